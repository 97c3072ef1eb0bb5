"""Facts about what a corpus is: its recordings and texts, whatever the path, order, tokenizer, machine or library."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import nano
import numpy as np
import pytest
import soundfile
from talking import AUDIO, BOTH, CORPUS, make, prepared_from, samples_of

from lrsms.data import audio, text
from lrsms.data.identity import difference, tokenizer_hash, warn_of_unknown_pieces
from lrsms.data.prepare import listing, prepare
from lrsms.data.prepared import Prepared
from lrsms.study.corpus import Synthetic
from lrsms.study.run import Tokenizer

PIECES = Tokenizer(kind="unigram", pieces=6)


def change_line(root: Path, old: str, new: str) -> None:
    path = root / "manifest.tsv"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def reverse_lines(root: Path) -> None:
    header, *lines = (root / "manifest.tsv").read_text().splitlines(keepends=True)
    (root / "manifest.tsv").write_text("".join([header, *reversed(lines)]))


def rename(root: Path) -> None:
    (root / "u3.wav").rename(root / "renamed.wav")
    change_line(root, "u3.wav", "renamed.wav")


def rewrite(root: Path) -> None:
    soundfile.write(root / "u3.wav", samples_of(77), 16_000)


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Prepared:
    folder = tmp_path_factory.mktemp("one")
    return prepared_from(make(folder / "root"), folder / "out")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda root: None, True),
        (reverse_lines, True),
        (rename, True),
        (rewrite, False),
        (lambda root: change_line(root, "ab cd", "ab dc"), False),
        (lambda root: change_line(root, "ab cd", " AB  cd"), True),
        (lambda root: change_line(root, "\ttrain\t", "\ttest\t"), False),
        (lambda root: change_line(root, "\ts0\t", "\ts1\t"), False),
    ],
)
def test_recordings_texts_splits_and_speakers_are_a_corpus_s_identity(tmp_path, one, change, same):
    root = make(tmp_path / "elsewhere")
    change(root)
    found = prepared_from(root, tmp_path / "out")
    assert (found.identity["source_hash"] == one.identity["source_hash"]) is same


def test_a_tokenizer_is_no_part_of_it_nor_is_what_it_cannot_spell(tmp_path, one):
    """With pieces, an utterance needs fewer frames: one that is too long for characters is not for them."""
    other = prepared_from(make(tmp_path / "same"), tmp_path / "pieces", PIECES).identity
    assert other["data_hash"] != one.identity["data_hash"]
    assert other["tokenizer_hash"] != one.identity["tokenizer_hash"]
    assert other["source_hash"] == one.identity["source_hash"]
    assert other["streams_hash"] == one.identity["streams_hash"]
    root = make(tmp_path / "long", 100, u1="ab cd ab cd")
    characters, pieces = (prepared_from(root, tmp_path / k.kind, k) for k in (Tokenizer(kind="characters"), PIECES))
    assert [len(each.items("train")) for each in (characters, pieces)] == [79, 80]
    assert characters.identity["source_hash"] == pieces.identity["source_hash"]
    assert characters.manifest_hash != pieces.manifest_hash


def test_a_resampler_that_differs_in_the_last_bit_gives_the_same_corpus(tmp_path, monkeypatch):
    root = make(tmp_path / "root")
    for number in range(20):
        wave = np.random.default_rng(number).uniform(-0.5, 0.5, 14_000)
        soundfile.write(root / f"u{number}.wav", wave, 44_100)
    here = prepared_from(root, tmp_path / "here").identity
    resampler = audio._resampler
    monkeypatch.setattr(audio, "_resampler", lambda rate: lambda wave: resampler(rate)(wave) * (1 + 2**-12))
    there = prepared_from(root, tmp_path / "there").identity
    assert there["data_hash"] != here["data_hash"] and there["streams_hash"] != here["streams_hash"]
    assert there["source_hash"] == here["source_hash"] and there["manifest_hash"] == here["manifest_hash"]
    assert difference(here, there) is None


def test_only_what_is_read_counts(tmp_path):
    root = make(tmp_path / "root", pictures=True)
    heard, both = (prepared_from(root, tmp_path / str(len(m)), modalities=m).identity for m in (AUDIO, BOTH))
    (root / "u0.mp4").write_bytes((root / "u1.mp4").read_bytes())
    assert prepared_from(root, tmp_path / "1", modalities=AUDIO).identity == heard
    assert prepared_from(root, tmp_path / "2", modalities=BOTH).identity["source_hash"] != both["source_hash"]


def test_a_rendered_corpus_is_told_by_what_is_said_and_how_long_not_by_its_samples(tmp_path, monkeypatch):
    rendered = Synthetic(**(nano.CORPUS | {"snr": None}), name="few")
    found = []
    hear = audio.hear

    def softer(path, factor):
        sound = hear(path)
        return replace(sound, wave=sound.wave * np.float32(factor))

    for number, factor in enumerate((1.0, 0.5)):
        monkeypatch.setattr(audio, "hear", partial(softer, factor=factor))
        prepare(rendered, Tokenizer(kind="characters"), AUDIO, None, tmp_path / str(number))
        found.append(Prepared(tmp_path / str(number)).identity)
    assert found[0]["streams_hash"] != found[1]["streams_hash"]
    for name in ("source_hash", "data_hash", "manifest_hash"):
        assert found[0][name] == found[1][name]
    assert listing(rendered, tmp_path) is None


def test_a_tokenizer_is_its_units_and_how_they_spell():
    texts = ["see the sea", "the seas", "a sea see", "hear the ear"]
    settings = Tokenizer(kind="unigram", pieces=11)
    one, again = (text.train_tokenizer(settings, texts) for _ in range(2))
    other = text.train_tokenizer(settings, [*texts, *["ear ear"] * 9])
    assert tokenizer_hash(one, texts) == tokenizer_hash(again, texts)
    assert tokenizer_hash(one, texts) != tokenizer_hash(other, texts)
    letters = Tokenizer(kind="characters")
    assert tokenizer_hash(text.train_tokenizer(letters, texts), texts) == tokenizer_hash(
        text.train_tokenizer(letters, texts[::-1]), texts[:1]
    )


NOW = {
    "data_hash": "d",
    "corpus_hash": "c",
    "manifest_hash": "m",
    "source_hash": "s",
    "tokenizer_hash": "t",
    "streams_hash": "p",
}
OLD = {"data_hash": "d", "corpus_hash": "c", "manifest_hash": "m"}


@pytest.mark.parametrize(
    ("noted", "said"),
    [
        (NOW, None),
        (OLD, None),
        ({"data_hash": "d"}, None),  # an old checkpoint
        (NOW | {"data_hash": "x", "corpus_hash": "x", "streams_hash": "x"}, None),
        (OLD | {"data_hash": "x"}, "on other data"),
        (NOW | {"data_hash": "x", "source_hash": "x"}, "on other data"),
        (NOW | {"data_hash": "x", "manifest_hash": "x"}, "on other data"),
        (NOW | {"tokenizer_hash": "x"}, "with another tokenizer"),
        ({}, "on other data"),
    ],
)
def test_a_run_goes_on_with_the_same_recordings_lengths_and_tokenizer(noted, said):
    found = difference(noted, NOW)
    assert found is None if said is None else found.startswith(said)


def test_an_old_run_may_be_decoded_where_its_samples_differ_in_a_last_bit():
    assert difference(OLD | {"data_hash": "x", "corpus_hash": "x"}, NOW, by_manifest=True) is None
    assert difference(OLD | {"manifest_hash": "x"}, NOW, by_manifest=True) == "on other data"
    assert difference(NOW | {"data_hash": "x", "source_hash": "x"}, NOW, by_manifest=True) == "on other data"


def test_a_run_that_did_not_note_its_pieces_is_warned_of(tmp_path, recwarn, one):
    root = make(tmp_path / "root")
    pieces = prepared_from(root, tmp_path / "pieces", PIECES)
    known = {"data_hash": pieces.data_hash}
    for prepared, noted in (
        (one, {}),
        (pieces, known),
        (pieces, {"corpus_hash": pieces.hash}),
        (pieces, pieces.identity),
    ):
        warn_of_unknown_pieces(tmp_path, noted, prepared)
    assert not recwarn
    with pytest.warns(UserWarning, match="if sentencepiece was upgraded since"):
        warn_of_unknown_pieces(tmp_path, {"data_hash": pieces.manifest_hash, "corpus_hash": "other"}, pieces)


def test_lists_are_told_by_what_they_list_not_by_where_it_lies(tmp_path):
    root = make(tmp_path / "root")
    first = listing(CORPUS, root)
    moved = shutil.copytree(root, tmp_path / "moved")
    reverse_lines(moved)
    assert listing(CORPUS, moved) == first
    change_line(moved, "ab cd", "ab dc")
    assert listing(CORPUS, moved) != first
