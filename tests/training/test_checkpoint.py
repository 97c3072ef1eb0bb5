"""Facts about checkpoints: bits come back, two are kept, and damage costs one of them at most."""

import errno
import hashlib
import json
import os
import pickle
import warnings

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from lrsms.base import files
from lrsms.training import checkpoint
from lrsms.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, write_tensors


def make(step: int) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    tensors = {
        "model/a": torch.randn(3, 5, generator=generator),
        "model/transposed": torch.randn(4, 2, generator=generator).T,
        "model/half": torch.randn(7, generator=generator).bfloat16(),
        "optimizer/step/a": torch.tensor(float(step)),
        "empty": torch.zeros(0, 3),
    }
    return Checkpoint(step, tensors, {"data_hash": "abc", "seconds": 1.5})


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    assert (one.step, one.extra, set(one.tensors)) == (other.step, other.extra, set(other.tensors))
    for name, tensor in one.tensors.items():
        assert tensor.dtype == other.tensors[name].dtype
        assert torch.equal(tensor, other.tensors[name])


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    save_checkpoint(tmp_path / "checkpoints", make(7))
    assert_same(load_checkpoint(tmp_path / "checkpoints"), make(7))


def test_no_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "absent") is None


def test_the_newest_two_are_kept(tmp_path):
    for step in (9, 10, 100, 1000):
        save_checkpoint(tmp_path, make(step))
    assert names(tmp_path) == [f"step-{step:08d}.{kind}" for step in (100, 1000) for kind in ("json", "safetensors")]
    assert load_checkpoint(tmp_path).step == 1000


@pytest.mark.parametrize("damage", ["truncated", "flipped", "absent", "empty note", "torn note", "other note"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, damage):
    save_checkpoint(tmp_path, make(1))
    save_checkpoint(tmp_path, make(2))
    tensors, note = tmp_path / "step-00000002.safetensors", tmp_path / "step-00000002.json"
    content = tensors.read_bytes()
    match damage:
        case "truncated":
            tensors.write_bytes(content[:-4])
        case "flipped":
            tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "absent":
            tensors.unlink()
        case "empty note":
            note.write_text("")
        case "torn note":
            note.write_text(note.read_text()[:-20])
        case "other note":
            note.write_text("[1]")
    with pytest.warns(
        UserWarning, match=r"step-00000002.safetensors: damaged checkpoint \(.+\); continuing from the one"
    ):
        loaded = load_checkpoint(tmp_path)
    assert_same(loaded, make(1))


def test_where_all_are_damaged_training_starts_anew(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path, make(step))
        (tmp_path / f"step-{step:08d}.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning) as caught:
        assert load_checkpoint(tmp_path) is None
    assert len(caught) == 2


def test_tensors_without_their_note_are_no_checkpoint(tmp_path):
    save_checkpoint(tmp_path, make(1))
    write_tensors(tmp_path / "step-00000002.safetensors", make(2).tensors)  # killed before the note
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_checkpoint(tmp_path).step == 1


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    save_checkpoint(tmp_path, make(1))
    write_tensors(tmp_path / "step-00000002.safetensors", make(2).tensors)
    (tmp_path / "step-00000003.safetensors.tmp").write_bytes(b"half")
    (tmp_path / "step-00000004.json.tmp").write_bytes(b"{")
    save_checkpoint(tmp_path, make(5))
    assert names(tmp_path) == [f"step-{step:08d}.{kind}" for step in (1, 5) for kind in ("json", "safetensors")]


def test_a_checkpoint_of_the_same_step_replaces_a_damaged_one(tmp_path):
    save_checkpoint(tmp_path, make(1))
    (tmp_path / "step-00000001.safetensors").write_bytes(b"damaged")
    save_checkpoint(tmp_path, make(1))
    assert_same(load_checkpoint(tmp_path), make(1))


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("module", "name", "error"),
    [
        (checkpoint, "save_file", SafetensorError("I/O error: No space left on device (os error 28)")),
        (checkpoint, "save_file", FULL),
        (checkpoint, "write_json", FULL),
        (files.os, "fsync", FULL),
    ],
)
def test_a_full_disk_leaves_the_checkpoints_that_are_there(tmp_path, monkeypatch, module, name, error):
    save_checkpoint(tmp_path, make(1))
    save_checkpoint(tmp_path, make(2))
    kept = names(tmp_path)

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, name, fail)
        with pytest.raises(OSError, match="No space left on device"):
            save_checkpoint(tmp_path, make(3))
    assert_same(load_checkpoint(tmp_path), make(2))
    assert not list(tmp_path.glob("*.tmp"))
    save_checkpoint(tmp_path, make(4))
    assert len(names(tmp_path)) == len(kept)


@pytest.mark.parametrize("examples", [200, pytest.param(3_000, marks=pytest.mark.slow)])
def test_whatever_lies_there_is_a_checkpoint_or_one_line(tmp_path, examples):
    """Flipped, cut, swapped and invented notes and tensors, with hashes that fit them or do not."""
    save_checkpoint(tmp_path, make(1))
    save_checkpoint(tmp_path, make(2))
    tensors, note = tmp_path / "step-00000002.safetensors", tmp_path / "step-00000002.json"
    whole, whole_note = tensors.read_bytes(), json.loads(note.read_bytes())
    plain = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=6,
    )

    def mangled(content: bytes) -> st.SearchStrategy[bytes]:
        places = st.integers(0, len(content) - 1)
        flips = st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)
        header = len(content) - 1 if len(content) < 400 else 400

        def flip(pairs: list[tuple[int, int]]) -> bytes:
            changed = bytearray(content)
            for place, value in pairs:
                changed[place] = value
            return bytes(changed)

        return st.one_of(
            flips.map(flip),
            st.lists(st.tuples(st.integers(0, header), st.integers(0, 255)), max_size=2).map(flip),
            places.map(lambda place: content[:place]),
            st.binary(max_size=60),
            st.binary(max_size=20).map(lambda more: content + more),
        )

    def with_hash(content: bytes, fits: bool, changes: dict) -> bytes:
        digest = hashlib.sha256(content).hexdigest() if fits else whole_note["sha256"]
        return json.dumps(whole_note | {"sha256": digest} | changes).encode()

    changes = st.dictionaries(st.sampled_from(["step", "extra", "sha256", "other"]), plain, max_size=2)

    @st.composite
    def checkpoints(draw) -> tuple[bytes, bytes]:
        content = draw(st.just(whole) | mangled(whole))
        described = with_hash(content, draw(st.booleans()), draw(changes))
        return content, draw(st.just(described) | mangled(described))

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @example((whole, b"[" * 100_000))
    @example((whole, b'{"step": 1e999, "sha256": "", "extra": {}}'))
    @example((b"\xff" * 8 + whole, with_hash(b"\xff" * 8 + whole, True, {})))
    @given(checkpoints())
    def read(content):
        tensors.write_bytes(content[0])
        note.write_bytes(content[1])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = load_checkpoint(tmp_path)
        if caught:
            assert_same(loaded, make(1))
            (line,) = {str(each.message) for each in caught}
            assert line.startswith(f"{tensors}: damaged checkpoint (") and len(line.splitlines()) == 1
        else:
            assert loaded.step == 2

    read()


def test_nothing_is_pickled(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("pickle was used")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, fail)
    monkeypatch.setattr(torch, "save", fail)
    monkeypatch.setattr(torch, "load", fail)
    save_checkpoint(tmp_path, make(1))
    assert_same(load_checkpoint(tmp_path), make(1))


def test_damaged_later_checkpoints_make_room_for_those_of_the_run_that_began_again(tmp_path):
    for step in (100, 200):
        save_checkpoint(tmp_path, make(step))
        (tmp_path / f"step-{step:08d}.safetensors").write_bytes(b"torn")
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        assert load_checkpoint(tmp_path) is None
    for step in (50, 70):
        save_checkpoint(tmp_path, make(step))
    assert_same(load_checkpoint(tmp_path), make(70))
    assert {name.split(".")[0] for name in names(tmp_path)} == {"step-00000050", "step-00000070"}
