"""Recordings of any length as pieces of the length that a network knows, cut where nobody speaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrsms.data.recordings import recording
from lrsms.data.recordings.media import film
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Box
from lrsms.study.frames import SAMPLES_PER_FRAME
from lrsms.study.run import MODALITIES, Modality, Task

_QUIET_FRAMES = 5
"""A cut lies in the middle of the quietest 0.2 s."""
_SILENT = 1e-6
"""Power of a frame, as a share of the loudest one's (-60 dB), in which nobody speaks."""


@dataclass(frozen=True)
class Piece:
    """A part of a recording, as the network reads it.

    Attributes:
        begin: its first frame in the recording.
        frames: its length, at least 0.2 s: the end of a recording is padded to that.
        samples: ``(640 * frames,)`` int16; None where nothing is heard.
        pictures: ``(frames, 96, 96)`` uint8; None where nothing is seen.
    """

    begin: int
    frames: int
    samples: np.ndarray | None
    pictures: np.ndarray | None

    @property
    def is_silent(self) -> bool:
        """Whether nothing is heard in it: not even noise."""
        return self.samples is not None and int(self.samples.min()) == int(self.samples.max())


@dataclass(frozen=True)
class Recorded:
    """A file that was read."""

    path: Path
    frames: int
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...]
    """Remarks for the user on how the file was read."""


def read(path: Path, task: Task, box: Box | None, longest: int) -> Recorded:
    """Reads a file and cuts it.

    Args:
        path: audio or video, of any format and rate that corpora may have.
        task: what is read of it.
        box: where the mouth is in the picture; None: all of it.
        longest: frames of a piece, at most.

    Raises:
        ValueError: one line: it cannot be read, or does not hold what the task needs.
    """
    modalities = MODALITIES[task]
    utterance = Utterance("file", "test", path, path, "", "", box=box if "video" in modalities else None)
    try:
        read = recording.read(utterance, modalities, min_duration=0.0)
    except ValueError as error:
        if missing := _missing(path, modalities):
            holds = "pictures that move" if missing == "video" else "sound"
            needs = " and ".join(modalities)
            raise ValueError(f"{path}: holds no {holds}; a run of task '{task}' needs {needs}") from None
        raise error
    cuts = even_cuts(read.frames, longest) if read.samples is None else quiet_cuts(read.samples, longest)
    parts = list(zip([0, *cuts], [*cuts, read.frames], strict=True))
    if cuts and read.samples is not None:
        parts = spoken(read.samples, parts)
    pieces = [_piece(read, begin, end) for begin, end in parts]
    return Recorded(path, read.frames, tuple(pieces), read.notes)


def quiet_cuts(samples: np.ndarray, longest: int) -> list[int]:
    """Frames before which a recording is cut: each piece ends in the quietest 0.2 s of the second half it could have.

    Args:
        samples: ``(640 * frames,)``.
        longest: frames of a piece, at most; twice ``_QUIET_FRAMES`` at least.
    """
    longest = max(longest, 2 * _QUIET_FRAMES)
    power = _power(samples)
    # The first of 0.2 s of frames that are looked at together; a cut is in their middle.
    quiet = np.convolve(power, np.ones(_QUIET_FRAMES), "valid")
    cuts: list[int] = []
    begin = 0
    while len(power) - begin > longest:
        first, last = begin + longest // 2 - _QUIET_FRAMES // 2, begin + longest - _QUIET_FRAMES // 2
        begin = int(first + quiet[first : last + 1].argmin()) + _QUIET_FRAMES // 2
        cuts.append(begin)
    return cuts


def spoken(samples: np.ndarray, parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Parts of a recording without the frames at their ends, or the parts, that are a millionth as loud as the loudest.

    Features are normalised over a piece: what no microphone records, such as digital silence, would change them all.

    Args:
        samples: ``(640 * frames,)``.
        parts: first frames, and those behind the last.
    """
    power = _power(samples)
    is_loud = power > _SILENT * power.max()
    found = []
    for begin, end in parts:
        loud = np.flatnonzero(is_loud[begin:end])
        if len(loud):
            found.append((begin + int(loud[0]), begin + int(loud[-1]) + 1))
    return found


def _power(samples: np.ndarray) -> np.ndarray:
    """Of each frame, about its mean."""
    return samples.reshape(-1, SAMPLES_PER_FRAME).astype(np.float64).var(1)


def even_cuts(frames: int, longest: int) -> list[int]:
    """The same for video without sound, where no silence is known: as few pieces of equal length as possible."""
    pieces = -(-frames // longest)
    return [round(frames * index / pieces) for index in range(1, pieces)]


def _piece(read: recording.Recording, begin: int, end: int) -> Piece:
    frames = recording.padded_frames(end - begin)
    samples, pictures = read.samples, read.pictures
    if samples is not None:
        part = samples[SAMPLES_PER_FRAME * begin : SAMPLES_PER_FRAME * end]
        samples = recording.cut_samples(part, frames)
    if pictures is not None:
        pictures = recording.cut_pictures(pictures[begin:end], frames)
    return Piece(begin, frames, samples, pictures)


def _missing(path: Path, modalities: Sequence[Modality]) -> Modality | None:
    """Names the modality that a file lacks although FFmpeg can open it; None if it lacks none."""
    import av

    try:
        with av.open(str(path)) as container:
            held = {"audio": bool(container.streams.audio), "video": film(container) is not None}
    except (av.FFmpegError, OSError, ValueError):
        return None
    return next((modality for modality in modalities if not held[modality]), None)
