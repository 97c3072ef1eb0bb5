"""Facts about preparing a corpus: what is kept exactly, what is skipped, what is refused; and none is half-done."""

import dataclasses
import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from talking import (
    AUDIO,
    BOTH,
    CHARACTERS,
    CORPUS,
    VIDEO,
    make,
    pictures_of,
    prepared_from,
    samples_of,
)

from lrsms.data import video
from lrsms.data.corpora import manifest
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.study.corpus import MostSkipped
from lrsms.study.run import Tokenizer


def test_audio_text_and_speakers_come_back_exactly_in_corpus_order(tmp_path):
    prepared = prepared_from(make(tmp_path / "root", u0="  AB  Cd "), tmp_path / "out")
    train = prepared.items("train")
    assert [item.id for item in train] == [f"u{number}" for number in range(20) if number % 10 < 8]
    for item in train:
        number = int(item.id[1:])
        wave = prepared.wave(item)
        assert wave.dtype == np.float32
        assert item.frames == 8  # 5,000 samples padded up to 5,120
        np.testing.assert_array_equal(wave[:5_000] * 32_768, samples_of(number))
        assert len(wave) == 640 * item.frames
        assert not wave[5_000:].any()
        assert item.text == "ab cd"
        assert item.speaker == f"s{number % 2}"
        assert prepared.tokenizer.decode(item.tokens) == item.text
    assert [item.id for split in ("valid", "test") for item in prepared.items(split)] == ["u8", "u18", "u9", "u19"]


def test_the_summary_counts_each_split(tmp_path):
    prepared = prepared_from(make(tmp_path / "root"), tmp_path / "out")
    hours = pytest.approx(16 * 8 / 25 / 3600, abs=1e-6)
    assert prepared.summary["splits"]["train"] == {"utterances": 16, "speakers": 2, "words": 32, "hours": hours}
    assert prepared.summary["corpus"] == {"kind": "manifest", "name": "mine"}
    assert prepared.summary["skipped"] == []


def test_whole_frames_get_no_padding(tmp_path):
    root = make(tmp_path / "root")
    soundfile.write(root / "u0.wav", samples_of(0, 640 * 7), 16_000)
    assert prepared_from(root, tmp_path / "out").items("train")[0].frames == 7


def test_a_wave_beyond_full_scale_is_scaled_not_clipped(tmp_path):
    root = make(tmp_path / "root")
    wave = 4 * np.sin(np.arange(6_400) / 9)
    soundfile.write(root / "u0.wav", wave, 16_000, subtype="FLOAT")
    prepared = prepared_from(root, tmp_path / "out")
    np.testing.assert_allclose(prepared.wave(prepared.items("train")[0]), wave / np.abs(wave).max(), atol=1e-4)


def test_the_hash_is_of_the_content(tmp_path):
    one = prepared_from(make(tmp_path / "one"), tmp_path / "out1").hash
    assert prepared_from(make(tmp_path / "two"), tmp_path / "out2").hash == one
    assert prepared_from(make(tmp_path / "three", u3="ab dc"), tmp_path / "out3").hash != one
    assert prepared_from(tmp_path / "one", tmp_path / "out4", Tokenizer(kind="unigram", pieces=6)).hash != one
    soundfile.write(tmp_path / "two" / "u0.wav", samples_of(77), 16_000)
    assert prepared_from(tmp_path / "two", tmp_path / "out2").hash != one


def test_progress_ends_at_all_of_them(tmp_path):
    seen: list[tuple[int, int]] = []
    prepared_from(make(tmp_path / "root"), tmp_path / "out", report=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 20) for done in range(1, 21)]


def break_audio(path: Path, how: str) -> None:
    waves = {"empty": np.zeros(0), "short": np.zeros(3_199), "nan": np.full(5_000, np.nan)}
    if how == "missing":
        path.unlink()
    elif how == "unreadable":
        path.write_bytes(b"RIFF no more")
    else:
        soundfile.write(path, waves[how], 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("missing", "no such file"),
        ("unreadable", "cannot be read"),
        ("empty", "holds no samples"),
        ("nan", "NaN"),
        ("short", "too short"),
    ],
)
def test_bad_audio_is_skipped_counted_and_listed(tmp_path, how, reason):
    root = make(tmp_path / "root", 100)
    break_audio(root / "u17.wav", how)
    prepared = prepared_from(root, tmp_path / "out")
    (skipped,) = prepared.summary["skipped"]
    assert (skipped["id"], skipped["split"]) == ("u17", "train")
    assert reason in skipped["reason"]
    assert prepared.summary["splits"]["train"]["utterances"] == 79
    kept = [item for split in ("train", "valid", "test") for item in prepared.items(split)]
    assert len(kept) == 99
    for item in kept:
        np.testing.assert_array_equal(prepared.wave(item)[:5_000] * 32_768, samples_of(int(item.id[1:])))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("  ", "transcript is empty"),
        ("ab xd", "character 'x' (latin small letter x, U+0078) is not in the tokenizer"),
        ("aabbc", None),  # 5 tokens and 2 blanks between equal ones: 7 of the 8 frames
        ("aaabbc", "transcript needs 9 frames for CTC, the recording has 8"),
    ],
)
def test_a_transcript_that_cannot_be_spelt_or_aligned_is_skipped(tmp_path, text, reason):
    prepared = prepared_from(make(tmp_path / "root", 100, u18=text), tmp_path / "out")
    assert len(prepared.items("valid")) == (10 if reason is None else 9)
    if reason:
        (skipped,) = prepared.summary["skipped"]
        assert skipped["id"] == "u18"
        assert reason in skipped["reason"]


def test_more_than_one_percent_is_refused_with_the_list(tmp_path):
    root = make(tmp_path / "root", 100, u28="xyz")
    break_audio(root / "u3.wav", "nan")
    with pytest.raises(ValueError, match=r"^2 of 100 utterances cannot be used, more than 1%; 'u3': .*NaN") as caught:
        prepared_from(root, tmp_path / "out")
    listed = tmp_path / "out.skipped.tsv"
    assert str(listed) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [line.split("\t")[:2] for line in listed.read_text().splitlines()[1:]] == [["u3", "train"], ["u28", "valid"]]
    assert not (tmp_path / "out").exists()
    soundfile.write(root / "u3.wav", samples_of(3), 16_000)
    prepared_from(root, tmp_path / "out")
    assert not listed.exists()


def test_a_split_of_which_nothing_is_left_is_refused(tmp_path):
    root = make(tmp_path / "root", 110)
    text = (root / "manifest.tsv").read_text().replace("\tvalid\t", "\ttrain\t").replace("u0\ttrain", "u0\tvalid", 1)
    (root / "manifest.tsv").write_text(text)
    break_audio(root / "u0.wav", "nan")
    with pytest.raises(ValueError, match="corpus 'mine': no usable utterance is left in split 'valid'"):
        prepared_from(root, tmp_path / "out")


def test_a_corpus_without_a_root_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"^roots\.mine: not set"):
        prepare(CORPUS, CHARACTERS, AUDIO, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interrupt_leaves_what_was_there(tmp_path, monkeypatch, error):
    root = make(tmp_path / "root")
    before = prepared_from(root, tmp_path / "out").hash
    whole = manifest.utterances

    def stops_midway(*arguments) -> Iterator:
        utterances = whole(*arguments)
        yield next(utterances)
        raise error

    monkeypatch.setattr(manifest, "utterances", stops_midway)
    expected = ValueError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        prepare(CORPUS, CHARACTERS, AUDIO, root, tmp_path / "out")
    if expected is ValueError:
        assert "out: the disk is full" in str(caught.value)
    assert Prepared(tmp_path / "out").hash == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "root"]


def test_what_is_left_of_a_killed_run_is_not_taken_for_finished(tmp_path):
    (tmp_path / "out.partial" / "rendered").mkdir(parents=True)
    (tmp_path / "out.partial" / "audio.npy").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"out: is not a prepared corpus \(no corpus.json in it\)"):
        Prepared(tmp_path / "out")
    prepared_from(make(tmp_path / "root"), tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()


def test_a_folder_with_anything_else_in_it_is_not_replaced(tmp_path):
    root = make(tmp_path / "root")
    (tmp_path / "out").mkdir()
    prepared_from(root, tmp_path / "out")  # an empty one is
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"out: holds 'thesis\.tex'"):
        prepared_from(root, tmp_path / "out")
    with pytest.raises(ValueError, match=r"manifest\.tsv: is a file"):
        prepared_from(root, root / "manifest.tsv")


def test_a_copy_of_a_recording_in_another_split_is_refused(tmp_path):
    root = make(tmp_path / "root")
    shutil.copy(root / "u8.wav", root / "u9.wav")  # valid and test
    with pytest.raises(ValueError, match=r"^'u9' of split 'test' is the same recording as 'u8' of split 'valid'"):
        prepared_from(root, tmp_path / "out")


def test_rendering_happens_where_video_is_wanted_and_its_failure_is_named(tmp_path, monkeypatch):
    corpus = CORPUS.model_copy(update={"most_skipped": MostSkipped(train=0.1)})
    root = make(tmp_path / "root")
    listed = list(manifest.utterances(CORPUS, root, tmp_path))
    rendered = []

    def with_video(utterance):
        number, path = int(utterance.id[1:]), tmp_path / f"{utterance.id}.mp4"

        def render():
            if number == 5:
                raise ValueError("no face fits")
            video.write(path, pictures_of(number))
            rendered.append(number)

        return dataclasses.replace(utterance, video=path, render=render)

    monkeypatch.setattr(manifest, "utterances", lambda *_: map(with_video, listed))
    prepared_from(root, tmp_path / "heard")
    assert rendered == []
    prepare(corpus, CHARACTERS, BOTH, root, tmp_path / "both", threads=2)
    prepared = Prepared(tmp_path / "both")
    assert sorted(rendered) == [number for number in range(20) if number != 5]
    assert [one["reason"] for one in prepared.summary["skipped"]] == ["no face fits"]


def test_babble_comes_from_the_train_split_or_from_a_file(tmp_path):
    root = make(tmp_path / "root")
    own = prepared_from(root, tmp_path / "own")
    assert own.babble.tracks.shape == (16, 16 * 8 * 640)  # as long as the train split
    assert {speaker for heard in own.babble.speakers for speaker in heard} == {"s0", "s1"}
    soundfile.write(tmp_path / "crowd.wav", samples_of(99, 40_000), 16_000)
    given = prepared_from(root, tmp_path / "given", babble=tmp_path / "crowd.wav")
    assert given.babble.tracks.shape == (1, 40_000)
    assert given.babble.speakers == ((),)
    assert given.hash != own.hash
    assert given.manifest_hash == own.manifest_hash
    with pytest.raises(ValueError, match=r"nowhere\.wav: no such file"):
        prepared_from(root, tmp_path / "given", babble=tmp_path / "nowhere.wav")


@pytest.mark.parametrize(
    ("speaker", "who"), [("s1", "as 's1' is the only speaker"), ("", "as the speakers are unknown")]
)
def test_babble_of_the_utterance_s_own_voice_is_told(tmp_path, speaker, who):
    root = make(tmp_path / "root")
    assert prepare(CORPUS, CHARACTERS, AUDIO, root, tmp_path / "out") == []
    manifest_file = root / "manifest.tsv"
    manifest_file.write_text(re.sub(r"\ts[01]\t", f"\t{speaker}\t", manifest_file.read_text()))
    (line,) = prepare(CORPUS, CHARACTERS, AUDIO, root, tmp_path / "out")
    assert line.startswith("babble may contain an utterance's own voice") and who in line
    soundfile.write(tmp_path / "crowd.wav", samples_of(99, 40_000), 16_000)
    assert prepare(CORPUS, CHARACTERS, AUDIO, root, tmp_path / "out", babble=tmp_path / "crowd.wav") == []
    assert prepare(CORPUS, CHARACTERS, VIDEO, make(tmp_path / "films", pictures=True), tmp_path / "seen") == []


def test_short_words_are_kept_where_the_corpus_says_so_unless_ctc_needs_more_frames(tmp_path):
    root = make(tmp_path / "root", 100, u3="abcd", u5="aabbc")
    for name in ("u3", "u5"):
        soundfile.write(root / f"{name}.wav", samples_of(int(name[1:]), 2_400), 16_000)
    with pytest.raises(ValueError, match=r"'u3': u3.wav: too short \(2400 samples at 16 kHz; .*'min_duration'"):
        prepared_from(root, tmp_path / "out")
    short = CORPUS.model_copy(update={"min_duration": 0.1})
    line, left = prepare(short, CHARACTERS, AUDIO, root, tmp_path / "out")
    assert left.startswith("left out: train 1 of 80 ")
    assert line == "skipped 'u5': the transcript needs 7 frames for CTC, the recording has 5 (25 per second)"
    prepared = Prepared(tmp_path / "out")
    (item,) = [item for item in prepared.items("train") if item.id == "u3"]
    assert item.frames == 5 and len(prepared.wave(item)) == 3_200
    np.testing.assert_array_equal(prepared.wave(item)[:2_400] * 32_768, samples_of(3, 2_400))
    assert not prepared.wave(item)[2_400:].any()


def test_narrow_band_recordings_are_told_and_noted(tmp_path):
    root = make(tmp_path / "root")
    for number in range(20):
        soundfile.write(root / f"u{number}.wav", samples_of(number), 8_000)
    note = "sampled at 8000 Hz: it has nothing above 4000 Hz"
    assert prepare(CORPUS, CHARACTERS, AUDIO, root, tmp_path / "out") == [f"{note}: 20 utterances, first 'u0'"]
    assert Prepared(tmp_path / "out").summary["notes"] == [{"note": note, "utterances": 20, "first": "u0"}]


def test_a_file_without_a_header_stops_in_one_line_that_says_what_is_read(tmp_path):
    root = make(tmp_path / "root")
    (root / "u0.raw").write_bytes(samples_of(0).tobytes())
    text = (root / "manifest.tsv").read_text()
    (root / "manifest.tsv").write_text(text.replace("u0.wav", "u0.raw"))
    with pytest.raises(
        ValueError, match=r"^1 of 20 .*'u0': u0\.raw: cannot be read as audio \(it has no header"
    ) as caught:
        prepared_from(root, tmp_path / "out")
    assert "\n" not in str(caught.value)
