"""Facts about a prepared corpus that is opened: what is damaged or gone is named, and paths are not its identity."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from talking import BOTH, CHARACTERS, CORPUS, make, pictures_of, prepared_from, samples_of

from lrsms.corpus import LibriSpeech
from lrsms.data import prepare as prepare_module
from lrsms.data import video
from lrsms.data.corpora import manifest
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared

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
