"""Facts about babble and mixing: who is heard, how loud, and at what ratio."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
import torch

from lrsms.base.random_streams import stream
from lrsms.data import noise
from lrsms.data.torchaudio_import import torchaudio


@dataclass(frozen=True)
class Spoken:
    speaker: str
    frames: int
    number: int = 0


def spoken(num_speakers: int, each: int = 3, frames: int = 250) -> list[Spoken]:
    return [Spoken(f"s{index % num_speakers}", frames, index) for index in range(num_speakers * each)]


def wave(recording: Spoken) -> np.ndarray:
    """Of very different levels."""
    loudness = 10.0 ** (recording.number % 4)
    return (loudness * np.random.default_rng(recording.number).standard_normal(640 * recording.frames)).astype("f4")


def tone(recording: Spoken) -> np.ndarray:
    """A sine of (100 + 20 k) Hz for speaker k."""
    hertz = 100 + 20 * int(recording.speaker[1:])
    return np.sin(2 * np.pi * hertz * np.arange(640 * recording.frames) / 16_000).astype("f4")


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


@pytest.mark.parametrize("snr", [-5.0, 0.0, 12.5])
def test_mixing_is_torchaudio_s_add_noise(snr):
    rng = np.random.default_rng(0)
    speech, other = (scale * rng.standard_normal(6_400).astype("f4") for scale in (0.05, 700))
    expected = torchaudio.functional.add_noise(*map(torch.from_numpy, (speech, other)), torch.tensor(snr))
    mixed = noise.mix(speech, other, snr)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, expected.numpy(), rtol=1e-4, atol=1e-6)
    assert 10 * np.log10(power(speech) / power(mixed - speech)) == pytest.approx(snr, abs=1e-3)


def test_nothing_is_clipped():
    speech = np.full(640, 0.9, np.float32)
    assert np.abs(noise.mix(speech, speech, -20)).max() == pytest.approx(0.9 * 11, rel=1e-5)


def test_silence_stays_as_it_is():
    silence, sound = np.zeros(640, np.float32), np.ones(640, np.float32)
    np.testing.assert_array_equal(noise.mix(silence, sound, 0), silence)
    np.testing.assert_array_equal(noise.mix(sound, silence, 0), sound)


@pytest.mark.parametrize("num_speakers", [1, 2, 3, 8, 9, 12, 40])
def test_every_speaker_is_missing_in_some_track_unless_alone(num_speakers):
    babble = noise.make_babble(spoken(num_speakers), wave)
    assert len(babble.speakers) == 16
    for heard in babble.speakers:
        assert len(set(heard)) == len(heard) == min(8, max(1, num_speakers - 1))
    for number in range(num_speakers):
        tracks = babble.without(f"s{number}")
        assert tracks
        if num_speakers > 1:
            assert all(f"s{number}" not in babble.speakers[track] for track in tracks)
    assert babble.without("somebody else") == list(range(16))
    counts = Counter(name for heard in babble.speakers for name in heard)
    assert max(counts.values()) - min(counts[f"s{n}"] for n in range(num_speakers)) <= 1


def test_a_track_holds_the_voices_it_says_equally_loud():
    babble = noise.make_babble(spoken(12), tone)
    assert babble.tracks.shape == (16, 20 * 16_000)
    assert babble.tracks.dtype == np.int16
    for track, heard in zip(babble.tracks, babble.speakers, strict=True):
        spectrum = np.abs(np.fft.rfft(track.astype(float)))
        level = {f"s{number}": spectrum[(100 + 20 * number) * 20] for number in range(12)}
        mean = np.mean([level[name] for name in heard])
        assert all(level[name] == pytest.approx(mean, rel=0.02) for name in heard)
        assert all(value < 0.02 * mean for name, value in level.items() if name not in heard)


def test_a_lone_speaker_is_eight_voices_of_different_recordings():
    recordings = spoken(1, each=16, frames=500)
    (track, *_), singles = noise.make_babble(recordings, wave).tracks, [wave(one) for one in recordings]
    heard = [abs(np.corrcoef(track, single)[0, 1]) > 0.2 for single in singles]
    assert sum(heard) == 8


def test_tracks_are_no_longer_than_the_recordings_and_silence_makes_silence():
    babble = noise.make_babble(spoken(2, each=2, frames=10), lambda one: np.zeros(640 * one.frames, np.float32))
    assert babble.tracks.shape == (16, 4 * 10 * 640)
    assert not babble.tracks.any()


def test_babble_is_the_same_every_time():
    one, again = (noise.make_babble(spoken(5), wave) for _ in range(2))
    torch.rand(3)
    np.testing.assert_array_equal(one.tracks, again.tracks)
    assert one.speakers == again.speakers


def test_a_stretch_never_holds_the_speaker_and_goes_on_from_the_beginning():
    tracks = np.arange(1, 11, dtype=np.int16) + np.array([[0], [100]], np.int16)
    babble = noise.Babble(tracks, (("a", "b"), ("b", "c")))
    for number in range(20):
        stretch = noise.cut("babble", 25, babble, "a", stream(1, "test", number))
        assert stretch.dtype == np.float32
        assert set(stretch) == set(range(101, 111))
        assert set(np.diff(stretch)) == {1, -9}
    starts = {noise.cut("babble", 1, babble, "x", stream(1, "test", number))[0] for number in range(400)}
    assert starts == set(tracks.ravel().astype(float))
    assert noise.cut("babble", 3, babble, "b", stream(1, "test")).shape == (3,)  # everywhere: any will do


def test_white_noise_is_standard_normal_and_of_its_stream():
    nothing = noise.Babble(np.zeros((1, 1), np.int16), ((),))
    white = noise.cut("white", 64_000, nothing, "", stream(1, "test"))
    assert abs(white.mean()) < 0.02
    assert white.std() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(white[1:], white[:-1])[0, 1]) < 0.02
    np.testing.assert_array_equal(white, noise.cut("white", 64_000, nothing, "", stream(1, "test")))
    assert not np.array_equal(white, noise.cut("white", 64_000, nothing, "", stream(2, "test")))


def test_recordings_of_babble_follow_one_another_equally_loud(tmp_path):
    rng = np.random.default_rng(0)
    for name, level in (("b.wav", 0.01), ("a.wav", 0.3)):
        soundfile.write(tmp_path / name, level * rng.uniform(-1, 1, 8_000), 8_000)
    babble = noise.read_babble(tmp_path)
    assert babble.tracks.shape == (1, 32_000)
    first, second = babble.tracks[0, :16_000], babble.tracks[0, 16_000:]
    assert power(first) == pytest.approx(power(second), rel=0.02)
    assert babble.without("anybody") == [0]
    assert noise.read_babble(tmp_path / "a.wav").tracks.shape == (1, 16_000)


def test_what_is_no_babble_is_refused_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    soundfile.write(tmp_path / "still.wav", np.zeros(16_000), 16_000)
    (tmp_path / "notes.txt").write_text("hello")
    for name, message in (
        ("empty", "is empty"),
        ("still.wav", "is silent"),
        ("notes.txt", "cannot be read as audio"),
        ("nowhere", "no such file"),
    ):
        with pytest.raises(ValueError, match=f"{name}: .*{message}") as caught:
            noise.read_babble(tmp_path / name)
        assert "\n" not in str(caught.value)
