import json
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lrsms.data import video
from lrsms.data.corpora import synthetic
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Synthetic


def corpus(**changes: object) -> Synthetic:
    settings = {
        "kind": "synthetic",
        "name": "scratch",
        "grammar": "commands",
        "train": 12,
        "valid": 4,
        "test": 6,
        "train_voices": 6,
        "valid_voices": 2,
        "test_voices": 3,
        "snr": (5.0, 20.0),
    }
    return Synthetic.model_validate(settings | changes)


def render(folder: Path, **changes: object) -> list[Utterance]:
    return list(synthetic.utterances(corpus(**changes), None, folder))


def film(row: Utterance) -> np.ndarray:
    assert row.render is not None and row.video is not None
    row.render()
    return video.read(row.video).frames


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    render(tmp_path / "first")
    render(tmp_path / "second")
    first = contents(tmp_path / "first")
    assert len(first) == 12 + 4 + 6 + 1
    assert first == contents(tmp_path / "second")


def test_the_seed_changes_sentences_voices_and_noise(tmp_path: Path) -> None:
    first, second = (render(tmp_path / str(seed), seed=seed, train=12, valid=4) for seed in (1, 2))
    assert {row.text for row in first} != {row.text for row in second}
    assert {row.speaker for row in first} != {row.speaker for row in second}
    assert not np.array_equal(synthetic.pink_noise(1000, 1), synthetic.pink_noise(1000, 2))


def test_files_are_16_khz_speech_of_about_two_seconds(tmp_path: Path) -> None:
    rows = render(tmp_path, snr=None)
    for row in rows:
        assert row.audio is not None and row.audio == (tmp_path / row.split / f"{row.id}.wav").absolute()
        info = soundfile.info(row.audio)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert 1.2 < info.duration < 3
        samples, _ = soundfile.read(row.audio)
        assert np.abs(samples).max() < 0.99
        assert 0.02 < samples.std() < 0.08  # -34 to -22 dB of full scale, silence included
        assert not samples[:1500].any() and not samples[-1500:].any()


def test_phonemes_lie_within_the_recording_and_where_the_speech_is(tmp_path: Path) -> None:
    rows = {row.id: row for row in render(tmp_path, snr=None, grammar="sentences")}
    lines = [json.loads(line) for line in (tmp_path / synthetic.PHONEMES).read_text().splitlines()]
    assert [line["id"] for line in lines] == list(rows)
    for line in lines:
        samples, rate = soundfile.read(rows[line["id"]].audio)
        starts = [start for _, start in line["phonemes"]]
        assert all(before <= after for before, after in pairwise(starts))
        assert starts[0] >= 0.1 and starts[-1] <= line["end"] <= len(samples) / rate
        spoken = samples[int(starts[0] * rate) : int(line["end"] * rate)]
        assert np.square(spoken).sum() > 0.99 * np.square(samples).sum()
        assert len(line["phonemes"]) > len(rows[line["id"]].text.split())


def test_phoneme_times_do_not_depend_on_the_noise(tmp_path: Path) -> None:
    render(tmp_path / "clean", snr=None)
    render(tmp_path / "noisy")
    clean, noisy = contents(tmp_path / "clean"), contents(tmp_path / "noisy")
    assert clean[synthetic.PHONEMES] == noisy[synthetic.PHONEMES]
    assert clean["test/test-00000.wav"] != noisy["test/test-00000.wav"]


def test_videos_are_rendered_when_asked_for_and_have_a_frame_for_every_640_samples(tmp_path: Path) -> None:
    rows = render(tmp_path, train=6, valid=2, test=3)
    assert not list(tmp_path.rglob("*.mp4"))
    for row in rows:
        assert row.video == (tmp_path / row.split / f"{row.id}.mp4").absolute() and row.audio is not None
        assert len(film(row)) == math.ceil(soundfile.info(row.audio).frames / 640)
    assert len(list(tmp_path.rglob("*.mp4*"))) == len(rows)


def test_videos_do_not_depend_on_threads_or_order(tmp_path: Path) -> None:
    first = render(tmp_path / "first", train=6, valid=2, test=3)
    for row in first:
        film(row)
    second = render(tmp_path / "second", train=6, valid=2, test=3)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(film, reversed(second)))
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_a_video_that_is_there_is_not_rendered_again(tmp_path: Path) -> None:
    row = render(tmp_path, train=6, valid=2, test=3)[0]
    film(row)
    before = row.video.stat().st_mtime_ns if row.video else 0
    film(row)
    assert row.video is not None and row.video.stat().st_mtime_ns == before


def test_a_voice_has_one_face_and_two_voices_have_two(tmp_path: Path) -> None:
    rows = [row for row in render(tmp_path, train=6, valid=2, test=6, test_voices=2) if row.split == "test"]
    # Half a second at rest, whoever speaks: what is left is the face.
    rest = {row.id: film(row)[0].astype(float) for row in rows}
    for one in rows:
        for other in rows:
            if one.id < other.id:
                difference = np.abs(rest[one.id] - rest[other.id]).mean()
                assert (difference < 8) == (one.speaker == other.speaker), (one, other)


def test_lips_close_where_a_bilabial_is_heard(tmp_path: Path) -> None:
    """The mouth's darkest spot, at the times of the phonemes that were heard."""
    rows = {row.id: row for row in render(tmp_path, snr=None)}
    darkness: dict[str, list[float]] = {"closed": [], "open": []}
    for line in map(json.loads, (tmp_path / synthetic.PHONEMES).read_text().splitlines()):
        frames = film(rows[line["id"]]).astype(float)
        dark = np.percentile(frames[:, 40:72, 36:60], 3, axis=(1, 2)) / frames[:, 60:80].mean((1, 2))
        ends = [start for _, start in line["phonemes"][1:]] + [line["end"]]
        for (name, start), end in zip(line["phonemes"], ends, strict=True):
            if name.lstrip("',") in ("p", "b", "m", "aI", "E", "V"):
                kind = "closed" if name in "pbm" else "open"
                darkness[kind].append(float(dark[int((start + end) / 2 * 25)]))
    assert len(darkness["closed"]) > 10 and len(darkness["open"]) > 10
    assert np.mean(darkness["closed"]) > 1.5 * np.mean(darkness["open"])


def test_splits_share_no_sentence_no_speaker_and_deal_voices_evenly() -> None:
    lines = synthetic.script(corpus(train=300, valid=60, test=120, train_voices=100, valid_voices=20, test_voices=40))
    assert len({line.id for line in lines}) == len({line.text for line in lines}) == 480
    by_split = {split: [line.voice for line in lines if line.split == split] for split in ("train", "valid", "test")}
    variants = [{voice.variant for voice in voices} for voices in by_split.values()]
    assert sum(map(len, variants)) == len(set.union(*variants))
    for voices in by_split.values():
        assert {voices.count(voice) for voice in voices} == {3}
        assert len({(voice.accent, voice.variant) for voice in voices}) == len(voices) // 3
        assert len({voice.accent for voice in voices}) == 8


def test_all_voices_that_are_promised_exist() -> None:
    most = {"train_voices": 296, "valid_voices": 48, "test_voices": 96}
    voices = synthetic.voices_by_split(corpus(train=300, valid=60, test=120, **most))
    pairs = {(voice.accent, voice.variant) for split in voices.values() for voice in split}
    assert len(pairs) == 296 + 48 + 96


def test_more_training_data_leaves_test_and_valid_alone() -> None:
    small = synthetic.script(corpus())
    large = synthetic.script(corpus(train=500, train_voices=80))
    assert [line for line in small if line.split != "train"] == [line for line in large if line.split != "train"]


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_noise_has_the_power_that_was_asked(tmp_path: Path, snr: float) -> None:
    noisy, clean = render(tmp_path / "noisy", snr=(snr, snr)), render(tmp_path / "clean", snr=None)
    for one, other in zip(noisy, clean, strict=True):
        mixture, speech = soundfile.read(one.audio)[0], soundfile.read(other.audio)[0]
        spoken = np.flatnonzero(speech)
        power = np.square(speech).sum() / (spoken[-1] - spoken[0])
        assert 10 * np.log10(power / np.square(mixture - speech).mean()) == pytest.approx(snr, abs=1.5)


def test_pink_noise_falls_by_3_db_per_octave() -> None:
    power = np.abs(np.fft.rfft(synthetic.pink_noise(2**16, 1))) ** 2
    octaves = [power[2**k : 2 ** (k + 1)].mean() for k in range(9, 15)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx(-3.01, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_voices": 97, "test": 200}, "'test_voices' is 97, at most 96 are set aside for test"),
        ({"valid_voices": 5}, "'valid_voices' is 5, more than the 4 of 'valid'"),
        ({"train": 63_991}, "'train', 'valid' and 'test' sum to 64001, but 'commands' has 64000 sentences"),
        ({"snr": (20.0, 5.0)}, r"'snr' is \[20.0, 5.0\]; the lower end comes first"),
    ],
)
def test_impossible_corpora_are_refused_before_anything_is_rendered(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"corpus 'scratch': {message}"):
        synthetic.utterances(corpus(**changes), None, tmp_path / "rendered")
    assert not (tmp_path / "rendered").exists()
