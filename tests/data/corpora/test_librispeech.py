"""Facts about LibriSpeech in its own folders: what is listed, in which order, and every refusal."""

from collections.abc import Callable
from pathlib import Path

import fabricate_corpora
import pytest
import soundfile

from lrsms.data.corpora.librispeech import utterances
from lrsms.study import corpus

CORPUS = corpus.LibriSpeech(
    kind="librispeech", name="libri", train=("train-clean-100", "train-other"), valid=("dev-clean",), test=("test",)
)
SUBSETS = {
    "train-clean-100": {"19-198-0001": "IT'S TWO", "19-198-0000": "ONE", "103-1240-0000": "CHAPTER ONE"},
    "train-other": {"7-1-0000": "SEVEN"},
    "dev-clean": {"84-121123-0000": "GO"},
    "test": {"61-70968-0000": "HE BEGAN"},
}


def test_every_recording_has_its_text_speaker_and_split(tmp_path):
    fabricate_corpora.write_librispeech(tmp_path, SUBSETS)
    found = list(utterances(CORPUS, tmp_path, tmp_path / "rendered"))
    assert [(row.id, row.split, row.speaker, row.text) for row in found] == [
        ("103-1240-0000", "train", "103", "CHAPTER ONE"),
        ("19-198-0001", "train", "19", "IT'S TWO"),
        ("19-198-0000", "train", "19", "ONE"),
        ("7-1-0000", "train", "7", "SEVEN"),
        ("84-121123-0000", "valid", "84", "GO"),
        ("61-70968-0000", "test", "61", "HE BEGAN"),
    ]
    assert all(row.video is None and row.box is None for row in found)
    assert all(soundfile.info(row.audio).frames == 640 * fabricate_corpora.NUM_FRAMES for row in found)


def test_the_order_of_the_file_system_does_not_matter(tmp_path, monkeypatch):
    fabricate_corpora.write_librispeech(tmp_path, SUBSETS)
    expected = list(utterances(CORPUS, tmp_path, tmp_path))
    listing = Path.iterdir
    for order in (sorted, lambda paths: sorted(paths, reverse=True)):
        monkeypatch.setattr(Path, "iterdir", lambda path, order=order: iter(order(listing(path))))
        assert list(utterances(CORPUS, tmp_path, tmp_path)) == expected


def test_a_recording_that_is_listed_but_missing_is_left_to_prepare(tmp_path):
    fabricate_corpora.write_librispeech(tmp_path, SUBSETS)
    missing = tmp_path / "dev-clean/84/121123/84-121123-0000.flac"
    missing.unlink()
    assert missing in {row.audio for row in utterances(CORPUS, tmp_path, tmp_path)}


def _append(line: str) -> Callable[[Path], object]:
    def damage(chapter: Path) -> None:
        with (chapter / "19-198.trans.txt").open("a") as file:
            file.write(f"{line}\n")

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda chapter: (chapter / "19-198.trans.txt").unlink(), r"19-198\.trans\.txt: cannot be read \(No such file"),
        (lambda chapter: (chapter / "19-198.trans.txt").write_text(""), r"19-198\.trans\.txt: is empty"),
        (lambda chapter: (chapter / "19-198-0002.flac").touch(), r"19-198\.trans\.txt: has no .* of 19-198-0002\.flac"),
        (_append("19-198-0000 TWICE"), r"19-198\.trans\.txt line 3: '19-198-0000' has a transcript already"),
        (_append("19-199-0000 ELSEWHERE"), r"19-198\.trans\.txt line 3: '19-199-0000' is not a recording of this chap"),
        (_append(""), r"19-198\.trans\.txt line 3: '' is not a recording"),
    ],
)
def test_missing_or_malformed_transcripts_are_refused_at_the_call_in_one_line(tmp_path, damage, message):
    fabricate_corpora.write_librispeech(tmp_path, SUBSETS)
    damage(tmp_path / "train-clean-100/19/198")
    with pytest.raises(ValueError, match=message) as caught:
        utterances(CORPUS, tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_subset_or_root_says_what_to_give(tmp_path):
    for root, message in {None: "not set", tmp_path: "is empty", tmp_path / "no": "is not a folder"}.items():
        with pytest.raises(
            ValueError, match=rf"^roots\.libri: .*{message}; give .*train-clean-100 with --config roots"
        ):
            utterances(CORPUS, root, tmp_path)
    fabricate_corpora.write_librispeech(tmp_path, {name: SUBSETS[name] for name in list(SUBSETS)[:3]})
    with pytest.raises(ValueError, match=r"^roots\.libri: .* holds no test; give the folder that holds its test with"):
        utterances(CORPUS, tmp_path, tmp_path)
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match=r"test: has no folders <speaker>/<chapter>; unpack test\.tar\.gz again"):
        utterances(CORPUS, tmp_path, tmp_path)


def test_splits_must_not_share_a_subset(tmp_path):
    shared = CORPUS.model_copy(update={"test": ("dev-clean",)})
    with pytest.raises(ValueError, match=r"corpus 'libri': 'dev-clean' is in 'valid' and again in 'test'"):
        utterances(shared, tmp_path, tmp_path)
