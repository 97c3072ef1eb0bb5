"""A prepared corpus on disk: its layout, and reading it at memory speed.

The folder holds

- ``manifest.tsv``: id, split, speaker, frames, offset (frames into the streams), text, in the corpus's order;
- ``audio.npy``: int16 samples at 16 kHz of all utterances, each of whole frames of 640 samples, if they are heard;
- ``video.npy``: uint8 pictures ``(96, 96)``, one a frame, if they are seen;
- or, of a corpus that is read in place, ``sources.tsv``: id, split, and absolute paths of audio and video. It belongs
  to the machine and is part of no hash;
- ``babble.npy``: noise to be mixed into what is heard;
- ``tokenizer.json`` or ``tokenizer.model``;
- ``corpus.json``: the two configs, the content's hash, counts by split, the utterances that were skipped and why, how
  many by split, and notes on those that were not.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lrsms.config import Modality
from lrsms.data import video
from lrsms.data.audio import SAMPLES_PER_FRAME
from lrsms.data.manifest import SPLITS, read_tsv
from lrsms.data.noise import Babble
from lrsms.data.recording import FULL_SCALE, cut_samples, num_frames, read_samples
from lrsms.data.text import Tokenizer, load_tokenizer
from lrsms.files import file_hash

MANIFEST = "manifest.tsv"
AUDIO = "audio.npy"
VIDEO = "video.npy"
SOURCES = "sources.tsv"
BABBLE = "babble.npy"
SUMMARY = "corpus.json"
COLUMNS = ("id", "split", "speaker", "frames", "offset", "text")
SOURCE_COLUMNS = ("id", "split", "audio", "video")


class Place(Protocol):
    """Where an utterance lies in the streams of a corpus."""

    @property
    def id(self) -> str:
        """Of the utterance."""

    @property
    def frames(self) -> int:
        """Its length."""

    @property
    def offset(self) -> int:
        """Its first frame."""


@dataclass(frozen=True, slots=True)
class Item:
    """One utterance of a prepared corpus."""

    id: str
    split: str
    speaker: str
    """Empty where unknown."""
    text: str
    """Normalised."""
    frames: int
    offset: int
    """First frame in the corpus's streams."""
    tokens: tuple[int, ...]
    """Of a test utterance, without the characters that the tokenizer does not know."""


class Streams:
    """The audio and video of a corpus, in the files of its folder or in place, opened without reading them.

    Raises:
        OSError, ValueError: a file is missing or torn.
    """

    def __init__(self, folder: Path, modalities: tuple[Modality, ...]) -> None:
        self._folder = folder
        self._sources: dict[str, dict[str, str]] | None = None
        self._audio = self._video = None
        if (folder / SOURCES).exists():
            rows = read_tsv(folder / SOURCES, SOURCE_COLUMNS)
            self._sources = {row.cells["id"]: row.cells for row in rows}
            return
        if "audio" in modalities:
            self._audio = _mapped(folder / AUDIO)
        if "video" in modalities:
            self._video = _mapped(folder / VIDEO)

    @property
    def in_place(self) -> bool:
        """Whether recordings are read where they are."""
        return self._sources is not None

    def check(self, ids: set[str], num_frames: int) -> None:
        """Raises ``ValueError``, one line, unless these utterances and this many frames are there."""
        if self._sources is not None and ids - set(self._sources):
            raise ValueError(f"{self._folder / SOURCES}: has no line for '{min(ids - set(self._sources))}'")
        for name, stream, dtype, per_frame in (
            (AUDIO, self._audio, np.int16, SAMPLES_PER_FRAME),
            (VIDEO, self._video, np.uint8, 1),
        ):
            if stream is not None and (stream.dtype != dtype or num_frames * per_frame > len(stream)):
                raise ValueError(
                    f"{self._folder / name}: is shorter than its manifest says; delete {self._folder} and prepare again"
                )

    def wave(self, place: Place) -> np.ndarray:
        """Samples ``(640 * frames,)`` at 16 kHz, float32 in [-1, 1).

        Raises:
            ValueError: one line: a recording in place is not what was prepared.
        """
        if self._audio is not None:
            begin = SAMPLES_PER_FRAME * place.offset
            samples = self._audio[begin : begin + SAMPLES_PER_FRAME * place.frames]
        else:
            path = self._source(place, "audio")
            samples = read_samples(path)
            _refuse_shorter(path, num_frames(samples), place)
            samples = cut_samples(samples, place.frames)
        return samples.astype(np.float32) / FULL_SCALE

    def video(self, place: Place) -> np.ndarray:
        """Pictures ``(frames, 96, 96)``, uint8; not to be written to.

        Raises:
            ValueError: one line: a recording in place is not what was prepared.
        """
        if self._video is not None:
            return self._video[place.offset : place.offset + place.frames]
        path = self._source(place, "video")
        pictures = video.read(path).frames
        _refuse_shorter(path, len(pictures), place)
        return pictures[: place.frames]

    def _source(self, place: Place, modality: Modality) -> Path:
        assert self._sources is not None, f"{self._folder} has no {modality}"
        return Path(self._sources[place.id][modality])


def _mapped(path: Path) -> np.ndarray:
    """An array that is read from the disk where it is looked at."""
    # As a plain array: each slice of NumPy's own class for mapped files costs more than a short wave.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _refuse_shorter(path: Path, frames: int, place: Place) -> None:
    if frames < place.frames:
        raise ValueError(
            f"{path}: has {frames} frames, but {place.frames} when it was prepared; prepare the corpus again"
        )


class Prepared:
    """A prepared corpus, opened without reading its audio or video.

    Raises:
        ValueError: one line: there is no such folder, or it is not complete and as it was prepared.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / SUMMARY).is_file():
            raise ValueError(f"{folder}: is not a prepared corpus (no {SUMMARY} in it); prepare it first")
        try:
            self.summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
            self.hash: str = self.summary["hash"]
            """Identity of the prepared content: of the manifest, the streams, the babble and the tokenizer."""
            self.modalities: tuple[Modality, ...] = tuple(self.summary["modalities"])
            files, streams = self.summary["files"], self.summary["streams"]
            intact = content_hash(files | streams) == self.hash
            # Streams are too long to hash at every opening; their length is checked below.
            intact = intact and all(file_hash(folder / name) == files[name] for name in files)
            self._streams = Streams(folder, self.modalities)
            self.babble: Babble | None = None
            """What is mixed into audio as babble; None where nothing is heard."""
            if "audio" in self.modalities:
                self.babble = Babble(_mapped(folder / BABBLE), tuple(tuple(heard) for heard in self.summary["babble"]))
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{folder}: is torn ({reason}); delete it and prepare the corpus again") from None
        if not intact:
            raise ValueError(f"{folder}: was changed after it was prepared; delete it and prepare the corpus again")
        self.tokenizer: Tokenizer = load_tokenizer(folder)
        self._rows = [row.cells for row in read_tsv(folder / MANIFEST, COLUMNS)]
        end = max(int(row["offset"]) + int(row["frames"]) for row in self._rows)
        self._streams.check({row["id"] for row in self._rows}, end)

    @property
    def manifest_hash(self) -> str:
        """SHA-256 of the manifest alone: the same on every machine, which rendered audio is only within a last bit."""
        return self.summary["files"][MANIFEST]

    @property
    def data_hash(self) -> str:
        """What runs must share to be compared: everything, but of a rendered corpus the manifest.

        Rendered elsewhere, its audio may differ in the last bit; its config, which is part of the run, says what it is.
        """
        return self.manifest_hash if self.summary["corpus"]["kind"] == "synthetic" else self.hash

    @property
    def left_out(self) -> dict[str, dict[str, int]]:
        """How many utterances of each split are not there, and why (see ``skipping.left_out``)."""
        return self.summary["left_out"]

    @property
    def in_place(self) -> bool:
        """Whether recordings are decoded where they are, at each reading."""
        return self._streams.in_place

    def items(self, split: str) -> list[Item]:
        """The utterances of ``train``, ``valid`` or ``test``, in the corpus's order."""
        assert split in SPLITS, split
        encode = self.tokenizer.encode_known if split == "test" else self.tokenizer.encode
        return [
            Item(
                id=row["id"],
                split=split,
                speaker=row["speaker"],
                text=row["text"],
                frames=int(row["frames"]),
                offset=int(row["offset"]),
                tokens=tuple(encode(row["text"])),
            )
            for row in self._rows
            if row["split"] == split
        ]

    def wave(self, item: Item) -> np.ndarray:
        """Samples ``(640 * item.frames,)`` at 16 kHz, float32 in [-1, 1)."""
        return self._streams.wave(item)

    def video(self, item: Item) -> np.ndarray:
        """Pictures ``(item.frames, 96, 96)``, uint8; not to be written to."""
        return self._streams.video(item)


def content_hash(files: dict[str, str]) -> str:
    """SHA-256 over the files' names and SHA-256s: the identity of what was prepared."""
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()
