"""Noise under speech: a bank of babble made of a corpus's own voices or of a recording, white noise, and mixing.

The bank is made once, when a corpus is prepared: 16 tracks of 20 s, each the sum of eight voices of the train split.
An utterance is never mixed with a track in which its own speaker is heard, unless there is no other speaker.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
import torch

from lrsms.base.random_streams import stream
from lrsms.data.audio import read
from lrsms.study.frames import SAMPLE_RATE, SAMPLES_PER_FRAME

Kind = Literal["babble", "white"]

_NUM_TRACKS = 16
_NUM_VOICES = 8
_SECONDS = 20
_PEAK = 32_000  # of int16: the level of a track does not matter, its resolution does


class Spoken(Protocol):
    """A recording that is part of a voice of babble."""

    @property
    def speaker(self) -> str:
        """Empty if unknown: then it counts as one more speaker."""

    @property
    def frames(self) -> int:
        """Length; 25 per second."""


Recording = TypeVar("Recording", bound=Spoken)


@dataclass(frozen=True)
class Babble:
    """The tracks from which noise is cut."""

    tracks: np.ndarray
    """``(K, S)`` int16 at 16 kHz."""
    speakers: tuple[tuple[str, ...], ...]
    """The speakers in each track; empty for a track that was recorded as babble."""

    def without(self, speaker: str) -> list[int]:
        """The tracks in which ``speaker`` is not heard; all tracks if there is none."""
        others = [track for track, heard in enumerate(self.speakers) if speaker not in heard]
        return others or list(range(len(self.speakers)))


def make_babble(recordings: Sequence[Recording], wave: Callable[[Recording], np.ndarray]) -> Babble:
    """Sums eight equally loud voices for each track, of different speakers if there are nine or more.

    Speakers are assigned to tracks in turn, so that each one is missing in some track. A voice is its speaker's
    recordings one after another, in a random order. A track is never longer than all recordings together.

    Args:
        recordings: of the train split.
        wave: reads one, ``(640 * frames,)``.
    """
    by_speaker: dict[str, list[Recording]] = {}
    for recording in recordings:
        by_speaker.setdefault(recording.speaker, []).append(recording)
    names = sorted(by_speaker)
    dealt = itertools.cycle([names[index] for index in torch.randperm(len(names), generator=_stream("deal"))])
    # With one speaker fewer than there are, no track has all speakers.
    num_distinct = min(_NUM_VOICES, max(1, len(names) - 1))
    speakers = tuple(tuple(itertools.islice(dealt, num_distinct)) for _ in range(_NUM_TRACKS))
    playlists = {name: _playlist(name, by_speaker[name]) for name in names}
    num_samples = min(_SECONDS * SAMPLE_RATE, SAMPLES_PER_FRAME * sum(recording.frames for recording in recordings))
    tracks = np.zeros((_NUM_TRACKS, num_samples), np.int16)
    for track, heard in zip(tracks, speakers, strict=True):
        names_of_voices = itertools.islice(itertools.cycle(heard), _NUM_VOICES)
        voices = [_voice(playlists[name], wave, num_samples) for name in names_of_voices]
        track[:] = _to_int16(np.sum(voices, axis=0))
    return Babble(tracks, speakers)


def read_babble(path: Path) -> Babble:
    """Makes one track from a recording, or from all recordings of a folder, equally loud, one after another.

    Raises:
        ValueError: there is no such file or folder, nothing is in it, or a recording cannot be read or is silent.
    """
    paths = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    if not paths:
        raise ValueError(f"{path}: is empty; give a recording of babble, or a folder of such recordings")
    waves = []
    for file in paths:
        wave = read(file)
        if not wave.any():
            raise ValueError(f"{file}: is silent; give a recording with babble")
        waves.append(_equally_loud(wave))
    return Babble(_to_int16(np.concatenate(waves))[None], ((),))


def cut(kind: Kind, num_samples: int, babble: Babble, speaker: str, generator: torch.Generator) -> np.ndarray:
    """A segment of noise, at any level.

    Args:
        kind: of noise.
        num_samples: S, its length; a track goes on from its beginning where it ends.
        babble: where babble is cut from.
        speaker: the speaker who must not be heard in it.
        generator: the source of randomness.

    Returns:
        ``(S,)`` float32.
    """
    if kind == "white":
        return torch.randn(num_samples, generator=generator).numpy()
    usable = babble.without(speaker)
    track = babble.tracks[usable[int(torch.randint(len(usable), (), generator=generator))]]
    start = int(torch.randint(len(track), (), generator=generator))
    return track.take(np.arange(start, start + num_samples), mode="wrap").astype(np.float32)


def mix(wave: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Adds noise so that the mean power of the speech is ``snr_db`` above the noise's, as torchaudio's ``add_noise``.

    Nothing is clipped. If the speech or the noise is silent, there is no ratio, and the speech is not changed.

    Args:
        wave: ``(S,)`` speech.
        noise: ``(S,)``.
        snr_db: ratio over the utterance, in dB.

    Returns:
        ``(S,)`` float32.
    """
    speech_power, noise_power = (float(np.mean(np.square(x, dtype=np.float64))) for x in (wave, noise))
    if speech_power == 0 or noise_power == 0:
        return wave
    gain = math.sqrt(speech_power / noise_power) * 10 ** (-snr_db / 20)
    return wave + np.float32(gain) * noise


def _playlist(speaker: str, recordings: Sequence[Recording]) -> Iterator[Recording]:
    order = torch.randperm(len(recordings), generator=_stream("playlist", speaker))
    return itertools.cycle([recordings[index] for index in order])


def _voice(playlist: Iterator[Recording], wave: Callable[[Recording], np.ndarray], num_samples: int) -> np.ndarray:
    """``(num_samples,)`` of unit power, of the next recordings."""
    waves: list[np.ndarray] = []
    while sum(map(len, waves)) < num_samples:
        waves.append(wave(next(playlist)))
    return _equally_loud(np.concatenate(waves)[:num_samples])


def _equally_loud(wave: np.ndarray) -> np.ndarray:
    power = float(np.mean(np.square(wave, dtype=np.float64)))
    return wave / np.float32(math.sqrt(power)) if power > 0 else wave


def _to_int16(wave: np.ndarray) -> np.ndarray:
    return np.rint(wave * (_PEAK / max(float(np.abs(wave).max()), 1e-12))).astype(np.int16)


def _stream(*purpose: str) -> torch.Generator:
    """A random stream of the corpus, not of a run, so that all runs hear the same noise."""
    return stream(0, "babble", *purpose)
