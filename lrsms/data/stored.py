"""Audio and video that were copied when a corpus was prepared: reading is fast, and each utterance is checked.

- ``audio.npy``: int16 samples at 16 kHz of all utterances, each of whole frames of 640 samples, if they are heard;
- ``video.npy``: uint8 pictures ``(96, 96)``, one a frame, if they are seen;
- ``checksums.tsv``: id, split, and the CRC-32 of the utterance's audio and video.
"""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from lrsms.data import video
from lrsms.data.manifest import read_tsv, write_tsv
from lrsms.data.recordings.recording import FULL_SCALE
from lrsms.study.frames import SAMPLES_PER_FRAME
from lrsms.study.run import Modality

AUDIO = "audio.npy"
VIDEO = "video.npy"
CHECKSUMS = "checksums.tsv"
FILES: dict[Modality, str] = {"audio": AUDIO, "video": VIDEO}
_COLUMNS = ("id", "split", "audio", "video")
_PER_FRAME: dict[Modality, int] = {"audio": SAMPLES_PER_FRAME, "video": 1}
_KINDS: dict[Modality, tuple[type, tuple[int, ...]]] = {
    "audio": (np.int16, ()),
    "video": (np.uint8, (video.SIZE, video.SIZE)),
}


class Place(Protocol):
    """The place of an utterance in the streams of a corpus."""

    @property
    def id(self) -> str:
        """The utterance's id."""

    @property
    def split(self) -> str:
        """``train``, ``valid`` or ``test``."""

    @property
    def frames(self) -> int:
        """Its length."""

    @property
    def offset(self) -> int:
        """Its first frame."""


class Stored:
    """The streams of a prepared folder, opened without reading them.

    Raises:
        OSError, ValueError: a file is missing or torn.
    """

    in_place = False

    def __init__(self, folder: Path, modalities: Iterable[Modality]) -> None:
        self._folder = folder
        self._streams = {modality: mapped(folder / FILES[modality]) for modality in modalities}
        self._checksums = {row.cells["id"]: row.cells for row in read_tsv(folder / CHECKSUMS, _COLUMNS)}

    def check(self, ids: set[str], num_frames: int) -> None:
        """Raises ``ValueError``, one line, unless these utterances and this many frames are there."""
        for modality, stream in self._streams.items():
            path, (kind, shape) = self._folder / FILES[modality], _KINDS[modality]
            remedy = f"delete {self._folder} and prepare again"
            if stream.dtype != kind or stream.shape[1:] != shape or stream.ndim == 0:
                raise ValueError(f"{path}: holds {stream.dtype} of shape {stream.shape}, not a stream; {remedy}")
            if num_frames * _PER_FRAME[modality] > len(stream):
                raise ValueError(f"{path}: is shorter than its manifest says; {remedy}")
        if missing := ids - set(self._checksums):
            raise ValueError(
                f"{self._folder / CHECKSUMS}: has no line for '{min(missing)}'; delete {self._folder} and prepare again"
            )

    def wave(self, place: Place) -> np.ndarray:
        """Samples ``(640 * frames,)`` at 16 kHz, float32 in [-1, 1).

        Raises:
            ValueError: one line: they are not those that were prepared.
        """
        return self._checked(place, "audio").astype(np.float32) / FULL_SCALE

    def video(self, place: Place) -> np.ndarray:
        """Pictures ``(frames, 96, 96)``, uint8; not to be written to.

        Raises:
            ValueError: one line: they are not those that were prepared.
        """
        return self._checked(place, "video")

    def _checked(self, place: Place, modality: Modality) -> np.ndarray:
        assert modality in self._streams, f"{self._folder} has no {modality}"
        step = _PER_FRAME[modality]
        content = self._streams[modality][step * place.offset : step * (place.offset + place.frames)]
        if checksum(content) != self._checksums[place.id][modality]:
            raise ValueError(
                f"{self._folder / FILES[modality]}: utterance '{place.id}' was changed after it was prepared; "
                f"delete {self._folder} to prepare it again"
            )
        return content


def checksum(content: np.ndarray) -> str:
    """CRC-32 of an array's bytes: 2 GB a second, and it finds every error of fewer than 33 bits in a row."""
    return f"{zlib.crc32(np.ascontiguousarray(content).data):08x}"


def write_checksums(folder: Path, rows: Iterable[Place], checksums: dict[str, dict[Modality, str]]) -> None:
    """Writes ``checksums.tsv``, by utterance and modality; the cell of an absent modality is empty."""
    cells = ((row.id, row.split, *(checksums[row.id].get(modality, "") for modality in FILES)) for row in rows)
    write_tsv(folder / CHECKSUMS, _COLUMNS, cells)


def mapped(path: Path) -> np.ndarray:
    """An array whose parts are read from the disk when they are used.

    Raises:
        ValueError: the file, which is named, is missing or torn.
    """
    try:
        # As a plain array: each slice of NumPy's own class for mapped files costs more than a short wave.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(f"{path.name}: {reason}") from None
