"""One utterance as it is prepared: whole frames of samples and of pictures, of one length, or the reason why not."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrsms.config import Modality
from lrsms.data import audio, video
from lrsms.data.audio import FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from lrsms.data.utterance import Utterance

FULL_SCALE = 32_768
MOST_APART = 2
"""Frames by which audio and video may differ in length; both are cut to the shorter."""
_MIN_FRAMES = 5  # 0.2 s: no word is shorter


@dataclass(frozen=True)
class Recording:
    """What was read, cut to one length."""

    frames: int
    samples: np.ndarray | None
    """``(640 * frames,)`` little-endian int16 at 16 kHz; None where audio is not wanted."""
    pictures: np.ndarray | None
    """``(frames, 96, 96)`` uint8; None where video is not wanted."""
    notes: tuple[str, ...]
    """What its user may want to know."""


def read(utterance: Utterance, modalities: tuple[Modality, ...]) -> Recording:
    """Renders the video where that is wanted and still to be done, reads what is wanted, and makes lengths equal.

    Audio is padded with silence to whole frames of 640 samples.

    Raises:
        ValueError: one line: a modality is not given, unreadable, not as it must be or shorter than 0.2 s, or audio
            and video differ by more than two frames.
    """
    for modality in modalities:
        if getattr(utterance, modality) is None:
            raise ValueError(f"no {modality} is given")
    samples, pictures = None, None
    notes: tuple[str, ...] = ()
    if "audio" in modalities and utterance.audio is not None:
        samples = read_samples(utterance.audio)
    if "video" in modalities and utterance.video is not None:
        if utterance.render is not None:
            utterance.render()
        seen = video.read(utterance.video, utterance.box)
        pictures, notes = seen.frames, seen.notes
        _refuse_short(utterance.video, len(pictures), f"{len(pictures)} frames")
    frames = _common_frames(samples, pictures)
    return Recording(
        frames,
        None if samples is None else cut_samples(samples, frames),
        None if pictures is None else pictures[:frames],
        notes,
    )


def read_samples(path: Path) -> np.ndarray:
    """Reads audio of at least 0.2 s.

    Returns:
        ``(S,)`` little-endian int16 at 16 kHz.

    Raises:
        ValueError: one line that names the file: it cannot be read, or is shorter.
    """
    wave = audio.read(path)
    _refuse_short(path, len(wave) / SAMPLES_PER_FRAME, f"{len(wave)} samples at 16 kHz")
    # A wave beyond full scale is scaled into it rather than clipped; features do not depend on level.
    scaled = wave / max(1.0, float(np.abs(wave).max()))
    return np.rint(scaled * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2")


def cut_samples(samples: np.ndarray, frames: int) -> np.ndarray:
    """``(640 * frames,)`` of ``samples``, cut at the end or padded with silence."""
    return np.pad(samples, (0, max(0, SAMPLES_PER_FRAME * frames - len(samples))))[: SAMPLES_PER_FRAME * frames]


def num_frames(samples: np.ndarray) -> int:
    """Frames of audio, the last of which may be padded."""
    return -(-len(samples) // SAMPLES_PER_FRAME)


def _refuse_short(path: Path, frames: float, length: str) -> None:
    if frames < _MIN_FRAMES:
        raise ValueError(f"{path}: too short ({length}; at least {_MIN_FRAMES / FRAMES_PER_SECOND:g} s is needed)")


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
