"""Facts about decoding a run: a row for each utterance, decoder and condition, whatever shares the batch."""

import dataclasses
import json
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lrsms.data.prepared import Prepared
from lrsms.decoding import passes
from lrsms.decoding.decode import decode, load_trained
from lrsms.record.score import HYPOTHESIS_KEYS
from lrsms.study.decoding import Condition, Decoding

CPU = torch.device("cpu")


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_utterance_is_decoded_once_by_every_decoder_under_every_condition(
    trained, make_run, prepared, decoding, tmp_path
):
    conditions = {"seen": Condition(split="valid"), "unseen": Condition(split="test")}
    decode(
        make_run(),
        prepared,
        trained,
        tmp_path / "out.jsonl",
        Decoding(decoders=decoding.decoders, conditions=conditions),
        CPU,
    )
    found = rows(tmp_path / "out.jsonl")
    items = {"seen": prepared.items("valid"), "unseen": prepared.items("test")}
    wanted = {(d, c, item.id, item.speaker, item.text) for d in ("greedy", "beam") for c in items for item in items[c]}
    assert {tuple(row[key] for key in HYPOTHESIS_KEYS[:-1]) for row in found} == wanted
    assert len(found) == len(wanted)
    assert [row["decoder"] for row in found] == ["greedy"] * 14 + ["beam"] * 14
    assert all(set(row) == set(HYPOTHESIS_KEYS) for row in found)


def test_a_reference_that_nobody_can_spell_is_decoded_and_kept_as_it_is(
    trained, make_run, prepared, decoding, tmp_path, monkeypatch
):
    known, *others = prepared.items("test")
    strange = dataclasses.replace(known, text="\u00e9\u00e9 xyz " * 40, tokens=())
    monkeypatch.setattr(type(prepared), "items", lambda self, split: [strange, *others])
    written = []
    for run in (make_run(), make_run(corpus__transcripts={"apostrophes": "remove"})):
        decode(run, prepared, trained, tmp_path / "out.jsonl", decoding, CPU)
        written.append(rows(tmp_path / "out.jsonl"))
    assert {row["reference"] for row in written[0] if row["id"] == known.id} == {strange.text}
    assert len(written[0]) == 2 * (1 + len(others))
    assert [row["hypothesis"].replace("'", "") for row in written[0]] == [row["hypothesis"] for row in written[1]]


def test_hypotheses_do_not_depend_on_the_decoding_batch(trained, make_run, prepared, decoding, tmp_path, monkeypatch):
    written = []
    for frames in (1, 150, passes.BATCH_FRAMES):
        monkeypatch.setattr(passes, "BATCH_FRAMES", frames)
        path = tmp_path / f"{frames}.jsonl"
        decode(make_run(), prepared, trained, path, decoding, CPU)
        written.append(sorted(path.read_text(encoding="utf-8").splitlines()))
    assert written[0] == written[1] == written[2]


def test_what_it_took_lies_beside_the_hypotheses(trained, make_run, prepared, decoding, tmp_path):
    decode(make_run(), prepared, trained, tmp_path / "hypotheses-1.jsonl", decoding, CPU)
    times = json.loads((tmp_path / "hypotheses-1.times.json").read_text())
    assert times["threads"] == torch.get_num_threads() and times["device"]
    assert list(times["conditions"]) == list(decoding.conditions)
    for name, condition in times["conditions"].items():
        frames = sum(item.frames for item in prepared.items(decoding.conditions[name].split))
        assert condition["audio_seconds"] == pytest.approx(frames / 25)
        assert condition["network_seconds"] > 0
        assert list(condition["search_seconds"]) == list(decoding.decoders)
        assert all(seconds > 0 for seconds in condition["search_seconds"].values())


def test_the_network_is_the_trained_one_in_eval_mode(trained, make_run, prepared):
    model = load_trained(make_run(), trained, prepared.tokenizer.size, CPU)
    assert not any(module.training for module in model.modules())
    weights = load_file(trained / "weights.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def truncate(path):
    path.write_bytes(path.read_bytes()[:-50])


def drop_a_tensor(path):
    weights = load_file(path)
    del weights["ctc.weight"]
    save_file(weights, path)


def turn(factor):
    def damage(path):
        save_file({name: factor * tensor for name, tensor in load_file(path).items()}, path)

    return damage


@contextmanager
def refusal(match):
    """A refusal in one line."""
    with pytest.raises(ValueError, match=match) as caught:
        yield
    assert "\n" not in str(caught.value)


def without_hash(folder):
    """As of a run from before its weights' hash was kept."""
    outcome = json.loads((folder / "run.json").read_text())
    assert len(outcome.pop("weights_hash")) == 64
    (folder / "run.json").write_text(json.dumps(outcome))


@pytest.mark.parametrize("damage", [turn(-1), turn(0), truncate, drop_a_tensor])
def test_weights_that_are_not_those_of_the_training_are_refused(copy, make_run, prepared, decoding, tmp_path, damage):
    damage(copy / "weights.safetensors")
    with refusal(r"weights.safetensors: is not what training wrote .*; restore it, or"):
        decode(make_run(), prepared, copy, tmp_path / "out.jsonl", decoding, CPU)
    assert not (tmp_path / "out.jsonl").exists()


def test_weights_are_decoded_without_a_hash_to_compare_with(copy, trained, make_run, prepared, decoding, tmp_path):
    without_hash(copy)
    for folder in (copy, trained):
        decode(make_run(), prepared, folder, tmp_path / f"{folder.parent.name}.jsonl", decoding, CPU)
    one, other = tmp_path.glob("*.jsonl")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), truncate, drop_a_tensor])
def test_weights_that_cannot_be_loaded_are_named(copy, make_run, prepared, decoding, tmp_path, damage):
    without_hash(copy)
    damage(copy / "weights.safetensors")
    with refusal(r"weights.safetensors: cannot be loaded \(.+\); delete .*run.json and run"):
        decode(make_run(), prepared, copy, tmp_path / "out.jsonl", decoding, CPU)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("content", [None, "", '{"status": "fini', "[]", '{"status": "finished"}'])
def test_a_run_that_has_not_ended_is_not_decoded(copy, make_run, prepared, decoding, tmp_path, content):
    (copy / "run.json").unlink()
    if content is not None:
        (copy / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run.json: .*; delete it and run again"):
        decode(make_run(), prepared, copy, tmp_path / "out.jsonl", decoding, CPU)


def test_a_run_is_decoded_on_the_corpus_that_it_was_trained_on(copy, make_run, prepared, decoding, tmp_path):
    outcome = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(outcome | {"corpus_hash": "0"}))
    decode(make_run(), prepared, copy, tmp_path / "out.jsonl", decoding, CPU)  # a bit of audio may differ by machine
    (copy / "run.json").write_text(json.dumps(outcome | {"manifest_hash": "0"}))
    with pytest.raises(ValueError, match=r"was trained on other data than .* holds now; .* move the run's folder"):
        decode(make_run(), prepared, copy, tmp_path / "out.jsonl", decoding, CPU)


@pytest.mark.parametrize(("name", "message"), [("audio", "utterance 'test-0"), ("babble", "was changed after")])
def test_a_zeroed_stream_is_not_decoded(trained, make_run, prepared, decoding, tmp_path, name, message):
    folder = shutil.copytree(prepared.folder, tmp_path / "corpus")
    stream = np.load(folder / f"{name}.npy")
    np.save(folder / f"{name}.npy", np.zeros_like(stream))
    with pytest.raises(ValueError, match=rf"{name}.npy: {message}.*; delete {folder}"):
        decode(make_run(), Prepared(folder), trained, tmp_path / "out.jsonl", decoding, CPU)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_run_is_not_decoded_with_another_tokenizer(copy, make_run, prepared, decoding, tmp_path):
    outcome = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(outcome | {"tokenizer_hash": "0"}))
    with pytest.raises(ValueError, match=r"was trained with another tokenizer .* than .* holds now"):
        decode(make_run(), prepared, copy, tmp_path / "out.jsonl", decoding, CPU)
