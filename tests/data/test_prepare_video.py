"""Facts about preparing a corpus with video: what is kept exactly, what is cut, and all that is named as wrong."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from talking import (
    BOTH,
    CHARACTERS,
    CORPUS,
    FRAMES,
    VIDEO,
    damage,
    make,
    pictures_of,
    prepared_from,
    samples_of,
    write_any,
    write_sound,
)

from lrsms.data import video
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.study.corpus import MostSkipped


def test_audio_and_video_come_back_exactly_with_any_number_of_threads(tmp_path):
    root = make(tmp_path / "root", pictures=True)
    one, many = (prepared_from(root, tmp_path / f"out{n}", modalities=BOTH, threads=n) for n in (1, 3))
    assert one.hash == many.hash
    assert one.modalities == BOTH
    for item in one.items("train"):
        number = int(item.id[1:])
        assert item.frames == FRAMES
        np.testing.assert_array_equal(one.wave(item)[:5_000] * 32_768, samples_of(number))
        np.testing.assert_array_equal(one.video(item), video.read(root / f"{item.id}.mp4").frames)
        assert np.abs(one.video(item).astype(int) - pictures_of(number)).mean() < 3
    np.testing.assert_array_equal(np.load(tmp_path / "out1" / "video.npy"), np.load(tmp_path / "out3" / "video.npy"))


def test_only_what_is_wanted_is_opened(tmp_path):
    root = make(tmp_path / "root", pictures=True)
    for path in root.glob("*.mp4"):
        path.write_bytes(b"")
    heard = prepared_from(root, tmp_path / "heard")
    assert not (tmp_path / "heard" / "video.npy").exists()
    assert heard.babble is not None
    root = make(tmp_path / "silent", audio=False, pictures=True)
    seen = prepared_from(root, tmp_path / "seen", modalities=VIDEO)
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == [
        "checksums.tsv", "corpus.json", "manifest.tsv", "tokenizer.json", "video.npy",
    ]  # fmt: skip
    assert seen.babble is None
    assert seen.video(seen.items("test")[1]).shape == (FRAMES, 96, 96)


@pytest.mark.parametrize("num_pictures", [6, 7, 8, 9, 10])
def test_lengths_that_differ_by_two_frames_are_cut_to_the_shorter(tmp_path, num_pictures):
    root = make(tmp_path / "root", pictures=True)
    video.write(root / "u2.mp4", pictures_of(2, num_pictures))
    prepared = prepared_from(root, tmp_path / "out", modalities=BOTH)
    item = prepared.items("train")[2]
    assert item.frames == min(num_pictures, 8)
    assert prepared.wave(item).shape == (640 * item.frames,)
    assert prepared.video(item).shape == (item.frames, 96, 96)
    heard = min(5_000, 640 * item.frames)
    np.testing.assert_array_equal(prepared.wave(item)[:heard] * 32_768, samples_of(2)[:heard])
    following = prepared.items("train")[3]
    np.testing.assert_array_equal(prepared.wave(following)[:5_000] * 32_768, samples_of(3))


def test_a_video_file_may_also_be_the_audio(tmp_path):
    root = make(tmp_path / "root")
    write_sound(root / "u2.mov", samples_of(2))
    text = (root / "manifest.tsv").read_text()
    (root / "manifest.tsv").write_text(text.replace("u2.wav", "u2.mov"))
    prepared = prepared_from(root, tmp_path / "out")
    np.testing.assert_array_equal(prepared.wave(prepared.items("train")[2])[:5_000] * 32_768, samples_of(2))


def test_video_of_another_split_is_refused_where_nothing_is_heard(tmp_path):
    root = make(tmp_path / "root", audio=False, pictures=True)
    shutil.copy(root / "u8.mp4", root / "u9.mp4")
    with pytest.raises(ValueError, match=r"^'u9' of split 'test' is the same recording as 'u8' of split 'valid'"):
        prepared_from(root, tmp_path / "out", modalities=VIDEO)


def spoil(root: Path) -> dict[str, str]:
    """Everything that can be wrong with a recording, each in one utterance; the reasons to expect."""
    colours = np.stack([pictures_of(1), pictures_of(5), pictures_of(9)], axis=3)
    write_any(root / "u1.mp4", colours)  # used, with a note
    write_sound(root / "u2.mp4", samples_of(2, 16_000))
    write_any(root / "u3.mp4", pictures_of(3)[:, :80, :64])
    write_any(root / "u4.mp4", pictures_of(4), ticks=[0, 40, 80, 250, 290, 330, 500, 540])
    (root / "u5.wav").unlink()
    video.write(root / "u6.mp4", pictures_of(6, 11))
    soundfile.write(root / "u7.wav", samples_of(7, 16_000), 16_000)
    video.write(root / "u10.mp4", pictures_of(10, 60))
    damage(root / "u10.mp4")
    (root / "u11.mp4").write_bytes(b"")
    text = (root / "manifest.tsv").read_text().replace("u12.wav", "").replace("u13.mp4", "")
    (root / "manifest.tsv").write_text(text)
    video.write(root / "u14.mp4", pictures_of(14, 4))
    return {
        "u2": "no video stream",
        "u3": "pictures are 64x80, not 96x96",
        "u4": "frame rate varies",
        "u5": "no such file",
        "u6": r"audio is 0.32 s \(8 frames\) but video is 0.44 s \(11 frames\)",
        "u7": r"audio is 1.00 s \(25 frames\) but video is 0.32 s \(8 frames\)",
        "u10": "damaged",
        "u11": "cannot be read as video",
        "u12": "no audio is given",
        "u13": "no video is given",
        "u14": r"too short \(4 frames",
    }


def test_everything_that_can_be_wrong_is_named_in_one_line_and_in_the_list(tmp_path):
    root = make(tmp_path / "root", pictures=True)
    reasons = spoil(root)
    with pytest.raises(ValueError, match=r"^11 of 20 utterances cannot be used, more than 1%") as caught:
        prepared_from(root, tmp_path / "out", modalities=BOTH)
    assert "\n" not in str(caught.value)
    assert str(root) not in str(caught.value)
    _, *lines = (tmp_path / "out.skipped.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == list(reasons)
    for line, (name, reason) in zip(lines, reasons.items(), strict=True):
        assert re.search(reason, line), (line, reason)
        assert name == "u14" or re.search(f"'{name}': [^;]*{reason}", str(caught.value))  # the line holds ten


def test_what_is_wrong_loses_nothing_else(tmp_path):
    corpus = CORPUS.model_copy(update={"most_skipped": MostSkipped(train=0.7)})
    root = make(tmp_path / "root", pictures=True)
    reasons = spoil(root)
    findings = prepare(corpus, CHARACTERS, BOTH, root, tmp_path / "out", threads=2)
    assert [line.split()[1] for line in findings[:10]] == [f"'{name}':" for name in list(reasons)[:10]]
    assert findings[10:] == [
        "skipped 1 more, listed in corpus.json",
        "left out: train 11 of 16 (11 of which the recording cannot be used)",
        "colour read as grey: 1 utterances, first 'u1'",
    ]
    prepared = Prepared(tmp_path / "out")
    skipped = {one["id"]: one["reason"] for one in prepared.summary["skipped"]}
    assert list(skipped) == list(reasons)
    assert all(re.search(reason, skipped[name]) for name, reason in reasons.items())
    assert prepared.summary["notes"] == [{"note": "colour read as grey", "utterances": 1, "first": "u1"}]
    kept = {item.id: item for split in ("train", "valid", "test") for item in prepared.items(split)}
    assert set(kept) == {f"u{number}" for number in range(20)} - set(reasons)
    for name, item in kept.items():
        np.testing.assert_array_equal(prepared.wave(item)[:5_000] * 32_768, samples_of(int(name[1:])))
        np.testing.assert_array_equal(prepared.video(item), video.read(root / f"{name}.mp4").frames)
