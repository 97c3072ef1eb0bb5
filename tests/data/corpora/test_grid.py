"""Facts about GRID as its archives unpack: where its files are found, what is held out, and every refusal."""

import shutil
from pathlib import Path
from typing import Any

import fabricate_corpora
import numpy as np
import pytest

from lrsms.base import random_streams
from lrsms.data import video
from lrsms.data.corpora.grid import utterances
from lrsms.data.recordings import sound
from lrsms.data.utterance import Utterance
from lrsms.study import corpus

SENTENCES = [f"{verb}{colour}af{digit}n" for verb in "bls" for colour in "rgw" for digit in "12"]
BY_TALKER = {"talkers": ("s1",), "valid_talkers": ("s2",), "test_talkers": ("s10",)}
BY_SENTENCE = {"talkers": ("s1", "s2"), "valid_sentences": 3, "test_sentences": 4}


def grid(**fields: Any) -> corpus.Grid:
    return corpus.Grid(kind="grid", name="grid", **fields)


def unpack(root: Path, talkers: dict[str, list[str]], videos: str = "{talker}", align: str = "{talker}/align") -> None:
    """Empty videos: nothing is opened here."""
    for talker, sentences in talkers.items():
        for sentence in sentences:
            clip = root / videos.format(talker=talker) / f"{sentence}.mpg"
            alignment = root / align.format(talker=talker) / f"{sentence}.align"
            for path in (clip, alignment):
                path.parent.mkdir(parents=True, exist_ok=True)
            clip.touch()
            alignment.write_text(fabricate_corpora.alignment(sentence))


def rows(settings: corpus.Grid, root: Path) -> list[Utterance]:
    return list(utterances(settings, root, root / "rendered"))


def test_talkers_that_are_held_out_are_their_own_splits(tmp_path):
    fabricate_corpora.write_grid(tmp_path, {"s1": ["lraf2n", "bbaf1n"], "s2": ["sgaf1n"], "s10": ["lraf2n"]})
    found = rows(grid(**BY_TALKER, box=(1, 2, 96, 96), boxes={"s10": (3, 4, 80, 80)}), tmp_path)
    assert [(row.id, row.split, row.speaker, row.text, row.box) for row in found] == [
        ("s1-bbaf1n", "train", "s1", "bin blue", (1, 2, 96, 96)),
        ("s1-lraf2n", "train", "s1", "lay red", (1, 2, 96, 96)),
        ("s2-sgaf1n", "valid", "s2", "set green", (1, 2, 96, 96)),
        ("s10-lraf2n", "test", "s10", "lay red", (3, 4, 80, 80)),
    ]
    assert all(row.audio == row.video and row.render is None for row in found)
    seen = video.read(found[0].video, found[0].box)
    heard = sound.read(found[0].audio)
    assert len(seen.frames) == fabricate_corpora.NUM_FRAMES
    assert len(heard.wave) / heard.rate == pytest.approx(fabricate_corpora.NUM_FRAMES / 25, abs=0.02)


@pytest.mark.parametrize("videos", ["{talker}", "video/{talker}", "{talker}/video"])
@pytest.mark.parametrize(
    "align", ["{talker}/align", "align/{talker}", "align/{talker}/align", "alignments/{talker}", "align"]
)
def test_archives_may_be_unpacked_in_any_of_the_usual_ways(tmp_path, videos, align):
    unpack(tmp_path, {"s1": SENTENCES, "s2": SENTENCES[:2], "s10": SENTENCES[:1]}, videos, align)
    found = rows(grid(**BY_TALKER), tmp_path)
    assert [row.speaker for row in found] == ["s1"] * len(SENTENCES) + ["s2"] * 2 + ["s10"]
    assert {row.text for row in found} == {
        f"{verb} {colour}" for verb in ("bin", "lay", "set") for colour in ("red", "green", "white")
    }


def test_an_alignment_is_the_talkers_own_before_one_of_all_talkers(tmp_path):
    unpack(tmp_path, {"s1": ["bbaf1n", "bgaf1n"], "s2": SENTENCES[:1], "s10": SENTENCES[:1]}, align="align")
    for place in ("s1/align", "align/s1"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "bgaf1n.align").write_text(f"0 2000 {place}\n")
    found = rows(grid(**BY_TALKER), tmp_path)
    assert [row.text for row in found[:2]] == ["bin blue", "s1/align"]


def test_sentences_that_are_held_out_depend_on_seed_and_talker_alone(tmp_path, monkeypatch):
    unpack(tmp_path, {"s1": SENTENCES, "s2": SENTENCES, "s3": SENTENCES})

    def splits(**fields: object) -> dict[str, str]:
        return {row.id: row.split for row in rows(grid(**{**BY_SENTENCE, **fields}), tmp_path)}

    both = splits()
    for talker in ("s1", "s2"):
        own = [split for name, split in both.items() if name.startswith(f"{talker}-")]
        assert [own.count(split) for split in ("train", "valid", "test")] == [len(SENTENCES) - 7, 3, 4]
    assert splits(talkers=("s3", "s2")).items() >= {
        (name, split) for name, split in both.items() if name.startswith("s2-")
    }
    assert [both[f"s1-{name}"] for name in SENTENCES] != [both[f"s2-{name}"] for name in SENTENCES]
    assert splits(seed=2) != both
    tests = {name for name, split in both.items() if split == "test"}
    assert {name for name, split in splits(valid_sentences=5).items() if split == "test"} == tests
    listing = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(sorted(listing(path), reverse=True)))
    assert list(splits().items()) == list(both.items())


def test_the_sentences_of_a_seed_never_change(tmp_path):
    drawn = sorted(SENTENCES, key=lambda sentence: random_streams.stream_seed(1, "grid", "s1", sentence))
    unpack(tmp_path, {"s1": SENTENCES, "s2": SENTENCES})
    found = {row.id: row.split for row in rows(grid(**BY_SENTENCE), tmp_path)}
    assert [found[f"s1-{sentence}"] for sentence in drawn] == ["test"] * 4 + ["valid"] * 3 + ["train"] * 11


def test_hidden_and_other_files_are_no_sentences(tmp_path):
    unpack(tmp_path, {"s1": SENTENCES, "s2": SENTENCES, "s10": SENTENCES})
    for name in ("._bbaf1n.mpg", "Thumbs.db", "notes.txt"):
        (tmp_path / "s1" / name).touch()
    assert len(rows(grid(**BY_TALKER), tmp_path)) == 3 * len(SENTENCES)


def _without(path: str):
    return lambda root: (root / path).unlink()


def _with_alignment(text: str):
    return lambda root: (root / "s2/align/bgaf1n.align").write_text(text)


@pytest.mark.parametrize(
    ("damage", "fields", "message"),
    [
        (
            lambda root: shutil.rmtree(root / "s2"),
            BY_TALKER,
            r"no videos of talker 's2' \(looked for s2/\*.mpg, video/",
        ),
        (
            _without("s2/align/bgaf1n.align"),
            BY_TALKER,
            r"bgaf1n.mpg: has no bgaf1n.align, like 1 of 18 videos of .*'s2'",
        ),
        (
            _with_alignment("0 2000 sil\n2000 bin\n"),
            BY_TALKER,
            r"bgaf1n.align line 2: '2000 bin' is not 'begin end word'",
        ),
        (_with_alignment("0 end sil\n"), BY_TALKER, r"bgaf1n.align line 1: '0 end sil' is not"),
        (_with_alignment(""), BY_TALKER, r"bgaf1n.align: is empty"),
        (lambda root: None, {**BY_SENTENCE, "valid_sentences": 14}, r"'grid': .* hold out 18 of the 18 .* talker 's1'"),
    ],
)
def test_what_is_missing_or_malformed_is_refused_at_the_call_in_one_line(tmp_path, damage, fields, message):
    unpack(tmp_path, {"s1": SENTENCES, "s2": SENTENCES, "s10": SENTENCES})
    damage(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        utterances(grid(**fields), tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_root_says_how_to_give_it(tmp_path):
    for root, message in {None: "not set", tmp_path: "is empty", tmp_path / "no": "is not a folder"}.items():
        with pytest.raises(ValueError, match=rf"^roots\.grid: .*{message}; give .*s1 or video with --config roots="):
            utterances(grid(**BY_TALKER), root, tmp_path)


def test_the_mouths_of_real_talker_1_are_those_cropped_before(tmp_path):
    real = Path(__file__).parents[4] / "shared/data/grid_s1"
    if not real.is_dir():
        pytest.skip("grid_s1 does not lie beside this checkout")
    shutil.copytree(real / "mpg", tmp_path / "s1")
    shutil.copytree(real / "align", tmp_path / "align")
    listed = dict(line.split(" ", 1) for line in (real / "text").read_text().splitlines())
    found = rows(grid(talkers=("s1",), valid_sentences=1, test_sentences=1), tmp_path)
    assert [row.text for row in found] == [listed[row.id.removeprefix("s1-")] for row in found]
    assert len(found) == 4
    for row in found:
        ours = video.read(row.video, row.box).frames.astype(float)
        theirs = video.read(real / "mouth96" / f"{row.video.stem}.mp4").frames.astype(float)
        assert ours.shape == theirs.shape == (75, 96, 96)
        # Theirs was encoded twice; a mouth that is off by one pixel or by one frame differs far more.
        moved = [np.roll(ours, step, axis) for axis in (0, 1, 2) for step in (1, -1)]
        assert np.abs(ours - theirs).mean() < 2, row.id
        assert all(np.abs(other - theirs).mean() > 1.2 * np.abs(ours - theirs).mean() for other in moved), row.id
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99, row.id
