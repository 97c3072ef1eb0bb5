"""Facts about a prepared corpus that is opened: what is damaged or gone is named, and paths are not its identity."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from talking import AUDIO, BOTH, CHARACTERS, CORPUS, make, pictures_of, prepared_from, samples_of

from lrsms.base.files import file_hash
from lrsms.data import inplace, video
from lrsms.data import prepare as prepare_module
from lrsms.data.corpora import manifest
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.study.corpus import LibriSpeech

IN_PLACE = LibriSpeech(kind="librispeech", name="there", train=("a",), valid=("b",), test=("c",))


@pytest.fixture
def in_place(tmp_path, monkeypatch) -> Path:
    """The root of a corpus that is prepared in place."""
    root = make(tmp_path / "root", pictures=True)
    listed = list(manifest.utterances(CORPUS, root, tmp_path))
    monkeypatch.setattr(prepare_module.corpora, "utterances", lambda *_: iter(listed))
    return root


def test_a_corpus_in_place_reads_as_its_copy_does(tmp_path, in_place):
    copied = prepared_from(in_place, tmp_path / "copied", modalities=BOTH)
    prepare(IN_PLACE, CHARACTERS, BOTH, in_place, tmp_path / "there", threads=2)
    there = Prepared(tmp_path / "there")
    assert not (tmp_path / "there" / "audio.npy").exists()
    assert not (tmp_path / "there" / "video.npy").exists()
    assert there.hash == copied.hash
    for split in ("train", "valid", "test"):
        assert there.items(split) == copied.items(split)
        for item in there.items(split):
            np.testing.assert_array_equal(there.wave(item), copied.wave(item))
            np.testing.assert_array_equal(there.video(item), copied.video(item))
    np.testing.assert_array_equal(there.babble.tracks, copied.babble.tracks)


def test_short_recordings_in_place_are_padded_as_their_copies_are(tmp_path, in_place):
    soundfile.write(in_place / "u0.wav", samples_of(0, 2_000), 16_000)
    video.write(in_place / "u0.mp4", pictures_of(0, 3))
    short = {"update": {"min_duration": 0.1}}
    opened = []
    for corpus in (CORPUS.model_copy(**short), IN_PLACE.model_copy(**short)):
        prepare(corpus, CHARACTERS, BOTH, in_place, tmp_path / corpus.name)
        opened.append(Prepared(tmp_path / corpus.name))
    copied, there = opened
    item = there.items("train")[0]
    assert there.hash == copied.hash and item.frames == 5
    np.testing.assert_array_equal(there.wave(item), copied.wave(item))
    np.testing.assert_array_equal(there.video(item), copied.video(item))


def test_paths_are_not_part_of_a_corpus_s_identity(tmp_path, in_place):
    prepare(IN_PLACE, CHARACTERS, BOTH, in_place, tmp_path / "there")
    before = Prepared(tmp_path / "there")
    shutil.copytree(in_place, tmp_path / "moved")
    shutil.rmtree(in_place)
    after = Prepared(tmp_path / "there", tmp_path / "moved")
    assert after.identity == before.identity
    assert (after.hash, after.manifest_hash) == (before.hash, before.manifest_hash)
    np.testing.assert_array_equal(after.wave(after.items("test")[0])[:5_000] * 32_768, samples_of(9))


def test_a_recording_in_place_that_is_gone_or_shorter_is_named(tmp_path, in_place):
    prepare(IN_PLACE, CHARACTERS, BOTH, in_place, tmp_path / "there")
    prepared = Prepared(tmp_path / "there")
    gone, shorter, unlisted = prepared.items("train")[:3]
    (in_place / f"{gone.id}.wav").unlink()
    video.write(in_place / f"{shorter.id}.mp4", pictures_of(1, 6))
    with pytest.raises(ValueError, match=r"u0\.wav: no such file, though .* roots='{there: /path/to/folder}'"):
        prepared.wave(gone)
    with pytest.raises(ValueError, match=r"u1\.mp4: is not the recording that corpus 'there' was prepared from \("):
        prepared.video(shorter)
    sources = tmp_path / "there" / "sources.tsv"
    lines = sources.read_text().splitlines(keepends=True)
    sources.write_text("".join(line for line in lines if not line.startswith(f"{unlisted.id}\t")))
    with pytest.raises(ValueError, match=r"sources\.tsv: was changed after it was prepared"):
        Prepared(tmp_path / "there")


def drop_audio(folder: Path) -> None:
    (folder / "audio.npy").unlink()


def drop_babble(folder: Path) -> None:
    (folder / "babble.npy").unlink()


def cut_audio(folder: Path) -> None:
    content = (folder / "audio.npy").read_bytes()
    (folder / "audio.npy").write_bytes(content[:-2_000])


def shorten_audio(folder: Path) -> None:
    np.save(folder / "audio.npy", np.load(folder / "audio.npy")[:-640])


def edit_manifest(folder: Path) -> None:
    text = (folder / "manifest.tsv").read_text()
    (folder / "manifest.tsv").write_text(text.replace("ab cd", "ab dc", 1))


def edit_hash(folder: Path) -> None:
    summary = json.loads((folder / "corpus.json").read_text())
    (folder / "corpus.json").write_text(json.dumps(summary | {"hash": "0" * 64}))


def cut_summary(folder: Path) -> None:
    (folder / "corpus.json").write_text((folder / "corpus.json").read_text()[:-9])


def drop_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_audio, "is torn"),
        (drop_babble, "is torn"),
        (cut_audio, "is torn"),
        (shorten_audio, "is shorter than its manifest says"),
        (edit_manifest, "was changed after it was prepared"),
        (edit_hash, "was changed after it was prepared"),
        (cut_summary, "is torn"),
        (drop_tokenizer, "is torn"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(tmp_path, damage, message):
    prepared_from(make(tmp_path / "root"), tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(ValueError, match=message) as caught:
        Prepared(tmp_path / "out")
    assert str(tmp_path / "out") in str(caught.value)
    assert "\n" not in str(caught.value)


def write_over(path: Path, content: bytes) -> None:
    """Within the file, as a disk does that loses a block."""
    with path.open("r+b") as file:
        file.seek(-len(content), 2)
        file.write(content)


@pytest.mark.parametrize(("name", "read"), [("audio.npy", Prepared.wave), ("video.npy", Prepared.video)])
def test_a_stream_that_was_changed_is_found_as_its_utterance_is_read(tmp_path, name, read):
    folder = prepared_from(make(tmp_path / "root", pictures=True), tmp_path / "out", modalities=BOTH).folder
    write_over(folder / name, b"\1" * 64)  # the end of the last utterance
    prepared = Prepared(folder)
    intact, changed = prepared.items("valid")[-1], prepared.items("test")[-1]
    read(prepared, intact)
    with pytest.raises(
        ValueError, match=rf"{name}: utterance 'u19' was changed after it was prepared; delete {folder}"
    ):
        read(prepared, changed)


@pytest.mark.parametrize("name", ["babble.npy", "checksums.tsv", "tokenizer.json", "manifest.tsv"])
def test_what_is_read_whole_is_checked_at_opening(tmp_path, name):
    folder = prepared_from(make(tmp_path / "root"), tmp_path / "out").folder
    write_over(folder / name, b"\1" * 16)
    with pytest.raises(ValueError, match=rf"{name}: was changed after it was prepared; delete {folder} to"):
        Prepared(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("audio.npy", np.zeros(200_000, np.int32)),
        ("audio.npy", np.zeros((200_000, 1), np.int16)),
        ("audio.npy", np.int16(0)),
        ("video.npy", np.zeros((400, 88, 88), np.uint8)),
        ("video.npy", np.zeros((400, 96, 96), np.int8)),
    ],
)
def test_a_stream_of_another_shape_or_type_is_refused(tmp_path, name, content):
    folder = prepared_from(make(tmp_path / "root", pictures=True), tmp_path / "out", modalities=BOTH).folder
    np.save(folder / name, content)
    with pytest.raises(ValueError, match=rf"{name}: holds .*, not a stream; delete {folder} and prepare again"):
        Prepared(folder)


@pytest.mark.parametrize("name", ["audio.npy", "babble.npy"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr': '<i2', 'fo"])
def test_a_torn_stream_is_named_in_one_line(tmp_path, name, content):
    folder = prepared_from(make(tmp_path / "root"), tmp_path / "out").folder
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: .*; delete") as caught:
        Prepared(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_a_folder_of_another_layout_says_so(tmp_path):
    folder = prepared_from(make(tmp_path / "root"), tmp_path / "out").folder
    summary = json.loads((folder / "corpus.json").read_text())
    (folder / "corpus.json").write_text(json.dumps(summary | {"layout": 2}))
    with pytest.raises(ValueError, match=r"of another version of lrsms.*; delete it and prepare the corpus again"):
        Prepared(folder)


def replace_later(path: Path, wave: np.ndarray, as_before: bool = False) -> None:
    """Puts another recording of the same length in place of one; ``as_before``: with its times."""
    state, size = path.stat(), path.stat().st_size
    soundfile.write(path, wave, 16_000)
    assert path.stat().st_size == size
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + (0 if as_before else 1)))


def test_a_recording_in_place_that_was_replaced_by_one_as_long_is_found(tmp_path, in_place):
    prepare(IN_PLACE, CHARACTERS, AUDIO, in_place, tmp_path / "there")
    prepared = Prepared(tmp_path / "there")
    before, during, longer = prepared.items("train")[:3]
    replace_later(in_place / f"{before.id}.wav", samples_of(99), as_before=True)
    with pytest.raises(
        ValueError, match=r"u0\.wav: is not the recording .* \(as many bytes, but others\); put that one"
    ):
        prepared.wave(before)
    prepared.wave(during)
    replace_later(in_place / f"{during.id}.wav", samples_of(98))
    with pytest.raises(ValueError, match=r"u1\.wav: is not the recording .* \(as many bytes, but others\)"):
        prepared.wave(during)
    soundfile.write(in_place / f"{longer.id}.wav", samples_of(2, 6_000), 16_000)
    with pytest.raises(ValueError, match=r"u2\.wav: is not the recording .* \(12,044 bytes, 10,044 then\).*; put") as e:
        prepared.wave(longer)
    assert "\n" not in str(e.value) and str(tmp_path / "there") in str(e.value)


def test_a_recording_in_place_is_hashed_once(tmp_path, in_place, monkeypatch):
    prepare(IN_PLACE, CHARACTERS, AUDIO, in_place, tmp_path / "there")
    prepared = Prepared(tmp_path / "there")
    hashed = []
    monkeypatch.setattr(inplace, "file_hash", lambda path: hashed.append(path.name) or file_hash(path))
    for _ in range(3):
        prepared.wave(prepared.items("valid")[0])
    assert hashed == ["u8.wav"]


def test_the_root_that_is_given_is_read_also_where_the_former_one_is_still_there(tmp_path, in_place):
    prepare(IN_PLACE, CHARACTERS, AUDIO, in_place, tmp_path / "there")
    moved = shutil.copytree(in_place, tmp_path / "moved")
    soundfile.write(in_place / "u9.wav", samples_of(99), 16_000)
    item = Prepared(tmp_path / "there").items("test")[0]
    np.testing.assert_array_equal(Prepared(tmp_path / "there", moved).wave(item)[:5_000] * 32_768, samples_of(9))
    with pytest.raises(ValueError, match=r"u9\.wav: is not the recording"):
        Prepared(tmp_path / "there").wave(item)
