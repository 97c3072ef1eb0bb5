"""Reads one utterance: whole frames of samples and pictures, of equal length, or the reason why it cannot be used."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from lrsms.data import audio, video
from lrsms.data.recordings import band
from lrsms.data.recordings.sound import Sound
from lrsms.data.utterance import Utterance
from lrsms.data.video import Video
from lrsms.study.frames import FRAMES_PER_SECOND, SAMPLE_RATE, SAMPLES_PER_FRAME
from lrsms.study.run import Modality

FULL_SCALE = 32_768
MOST_APART = 2
"""Frames by which audio and video may differ in length; both are cut to the shorter."""
MIN_DURATION = 0.2
"""Least length of a recording in seconds, if the corpus has no ``min_duration``."""
_MIN_FRAMES = 5
"""Shorter recordings are padded to 0.2 s, the shortest length on which networks and their statistics are tested."""
_SILENCE = 2.0**-23
"""Largest range of a silent recording: the last bit of 24."""
_QUANTISED = 1e-4
"""Largest share of a recording's power that rounding to 16 bit may add as noise."""


@dataclass(frozen=True)
class Recording:
    """The data that were read, cut to one length."""

    frames: int
    samples: np.ndarray | None
    """``(640 * frames,)`` little-endian int16 at 16 kHz; None where audio is not wanted."""
    pictures: np.ndarray | None
    """``(frames, 96, 96)`` uint8; None where video is not wanted."""
    notes: tuple[str, ...]
    """Notes for the user."""


def read(utterance: Utterance, modalities: tuple[Modality, ...], min_duration: float | None = None) -> Recording:
    """Renders the video if it is wanted and not done yet, reads the wanted modalities, and makes lengths equal.

    If both are wanted, sound before the first picture of its file is left out. Audio is padded with silence to whole
    frames of 640 samples. A recording below 0.2 s is padded to that length, its video with its last picture.

    Args:
        utterance: the utterance to read.
        modalities: the wanted modalities.
        min_duration: least length in seconds; None: 0.2.

    Raises:
        ValueError: one line: a modality is not given, unreadable, not as it must be, silent or shorter than
            ``min_duration``, or audio and video differ by more than two frames.
    """
    for modality in modalities:
        if getattr(utterance, modality) is None:
            raise ValueError(f"no {modality} is given")
    samples, seen = None, None
    notes: list[str] = []
    if "audio" in modalities and utterance.audio is not None:
        sound = audio.hear(utterance.audio) if utterance.span is None else _part(utterance.audio, *utterance.span)
        if "video" in modalities:
            sound = _from_first_picture(sound)
        num_samples = len(sound.wave)
        _refuse_short(utterance.audio, num_samples / SAMPLE_RATE, f"{num_samples} samples at 16 kHz", min_duration)
        samples, changes = _quantised(utterance.audio, sound.wave)
        notes += [*sound.notes, *changes, *filter(None, [band.note(sound.wave, sound.rate)])]
    if "video" in modalities and utterance.video is not None:
        if utterance.render is not None:
            utterance.render()
        seen = video.read(utterance.video, utterance.box)
        notes += seen.notes
        num_pictures = len(seen.frames)
        _refuse_short(utterance.video, num_pictures / FRAMES_PER_SECOND, f"{num_pictures} frames", min_duration)
        if samples is not None:
            _refuse_other_rate(utterance.video, seen, len(samples) / SAMPLE_RATE)
    frames = padded_frames(_common_frames(samples, None if seen is None else seen.frames))
    return Recording(
        frames,
        None if samples is None else cut_samples(samples, frames),
        None if seen is None else cut_pictures(seen.frames, frames),
        tuple(notes),
    )


def _part(path: Path, begin: float, end: float) -> Sound:
    """What a file lets hear from ``begin`` to ``end``, in seconds."""
    sound = _long(path)
    length = len(sound.wave) / SAMPLE_RATE
    if not 0 <= begin < end or end > length + MOST_APART / FRAMES_PER_SECOND:
        raise ValueError(f"{path}: is {length:.2f} s long, and has no part from {begin:.2f} to {end:.2f} s")
    return replace(sound, wave=sound.wave[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)])


@lru_cache(maxsize=2)
def _long(path: Path) -> Sound:
    """A recording of which parts are wanted, one after another: it is decoded once."""
    return audio.hear(path)


def read_samples(path: Path, from_first_picture: bool) -> np.ndarray:
    """Reads audio, of a video from its first picture on where those are wanted too.

    Returns:
        ``(S,)`` little-endian int16 at 16 kHz.

    Raises:
        ValueError: one line that names the file: it cannot be read, or is silent.
    """
    sound = audio.hear(path)
    return _quantised(path, (_from_first_picture(sound) if from_first_picture else sound).wave)[0]


def cut_samples(samples: np.ndarray, frames: int) -> np.ndarray:
    """``(640 * frames,)`` of ``samples``, cut at the end or padded with silence."""
    return np.pad(samples, (0, max(0, SAMPLES_PER_FRAME * frames - len(samples))))[: SAMPLES_PER_FRAME * frames]


def cut_pictures(pictures: np.ndarray, frames: int) -> np.ndarray:
    """``(frames, 96, 96)`` of ``pictures``, cut at the end or with the last one again and again."""
    return pictures[np.minimum(np.arange(frames), len(pictures) - 1)] if frames > len(pictures) else pictures[:frames]


def num_frames(samples: np.ndarray) -> int:
    """Frames of audio, the last of which may be padded."""
    return -(-len(samples) // SAMPLES_PER_FRAME)


def padded_frames(frames: int) -> int:
    """Frames that are kept of a recording."""
    return max(frames, _MIN_FRAMES)


def _from_first_picture(sound: Sound) -> Sound:
    """Leaves out sound without a picture, so that sounds and pictures belong together."""
    before = round(sound.lead * SAMPLE_RATE)
    notes = ("sound before the first picture is left out",) if before >= SAMPLES_PER_FRAME else ()
    return replace(sound, wave=sound.wave[before:], notes=sound.notes + notes)


def _quantised(path: Path, wave: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """``(S,)`` little-endian int16, and notes on what was done to the level, on which features do not depend."""
    if len(wave) == 0 or np.ptp(wave) <= _SILENCE:
        raise ValueError(f"{path}: is silent")
    peak = float(np.abs(wave).max())
    # A wave beyond full scale is scaled into it rather than clipped.
    scaled = wave / max(1.0, peak)
    rounded = np.rint(scaled * FULL_SCALE)
    notes: tuple[str, ...] = ()
    if np.var(rounded - scaled * FULL_SCALE, dtype=np.float64) > _QUANTISED * np.var(rounded, dtype=np.float64):
        # By a power of two, which rounds nothing.
        rounded = np.rint(np.ldexp(wave, -math.frexp(peak)[1]) * FULL_SCALE)
        notes = ("too quiet for 16 bit: made louder",)
    return rounded.clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2"), notes


def _refuse_short(path: Path, seconds: float, length: str, min_duration: float | None) -> None:
    if seconds < (MIN_DURATION if min_duration is None else min_duration):
        least = (
            f"at least {MIN_DURATION:g} s is needed where the corpus does not say 'min_duration'"
            if min_duration is None
            else f"the corpus's 'min_duration' is {min_duration:g} s"
        )
        raise ValueError(f"{path}: too short ({length}; {least})")


def _refuse_other_rate(path: Path, seen: Video, heard: float) -> None:
    """Refuses another frame rate. If only the stated rate is wrong, as in GRID, the length of the sound shows it."""
    if seen.rate is None or abs(seen.rate - FRAMES_PER_SECOND) <= video.RATE_TOLERANCE:
        return
    stated, at_25 = len(seen.frames) / seen.rate, len(seen.frames) / FRAMES_PER_SECOND
    if abs(stated - at_25) > 1 / FRAMES_PER_SECOND and abs(stated - heard) < abs(at_25 - heard):
        raise ValueError(
            f"{path}: has {seen.rate:.4g} frames a second ({len(seen.frames)} frames beside {heard:.2f} s of sound); "
            f"{FRAMES_PER_SECOND} are needed: convert it, such as with "
            f"ffmpeg -i {path.name} -r {FRAMES_PER_SECOND} new{path.suffix}"
        )


def _common_frames(samples: np.ndarray | None, pictures: np.ndarray | None) -> int:
    if samples is None or pictures is None:
        assert samples is not None or pictures is not None, "no modality is wanted"
        return num_frames(samples) if samples is not None else len(pictures)  # type: ignore[arg-type]
    heard, seen = num_frames(samples), len(pictures)
    if abs(heard - seen) > MOST_APART:
        raise ValueError(
            f"audio is {heard / FRAMES_PER_SECOND:.2f} s ({heard} frames) but video is {seen / FRAMES_PER_SECOND:.2f} "
            f"s ({seen} frames); they may differ by {MOST_APART} frames"
        )
    return min(heard, seen)
