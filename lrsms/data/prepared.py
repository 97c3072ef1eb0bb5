"""A prepared corpus on disk: its layout, and reading it at memory speed.

The folder holds

- ``manifest.tsv``: id, split, speaker, frames, offset (samples into the audio), text, in the corpus's order;
- ``audio.npy``: int16 samples at 16 kHz of all utterances, each padded with silence to whole frames;
- ``tokenizer.json`` or ``tokenizer.model``;
- ``corpus.json``: the two configs, the content's hash, counts by split, and the utterances that were skipped and why.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrsms.data.audio import SAMPLES_PER_FRAME
from lrsms.data.manifest import SPLITS, read_tsv
from lrsms.data.text import Tokenizer, load_tokenizer
from lrsms.files import file_hash

MANIFEST = "manifest.tsv"
AUDIO = "audio.npy"
SUMMARY = "corpus.json"
COLUMNS = ("id", "split", "speaker", "frames", "offset", "text")
FULL_SCALE = 32_768


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
    """First sample in the corpus's audio."""
    tokens: tuple[int, ...]


class Prepared:
    """A prepared corpus, opened without reading its audio.

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
            """Identity of the prepared content: of the manifest, the audio and the tokenizer."""
            files = self.summary["files"]
            intact = content_hash(files) == self.hash
            # The audio is too long to hash at every opening; its length is checked below.
            intact = intact and all(file_hash(folder / name) == files[name] for name in files if name != AUDIO)
            self._audio = np.load(folder / AUDIO, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{folder}: is torn ({reason}); delete it and prepare the corpus again") from None
        if not intact:
            raise ValueError(f"{folder}: was changed after it was prepared; delete it and prepare the corpus again")
        self.tokenizer: Tokenizer = load_tokenizer(folder)
        self._rows = [row.cells for row in read_tsv(folder / MANIFEST, COLUMNS)]
        end = max(int(row["offset"]) + int(row["frames"]) * SAMPLES_PER_FRAME for row in self._rows)
        if self._audio.dtype != np.int16 or end > len(self._audio):
            raise ValueError(f"{folder / AUDIO}: is shorter than its manifest says; delete {folder} and prepare again")

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

    def items(self, split: str) -> list[Item]:
        """The utterances of ``train``, ``valid`` or ``test``, in the corpus's order."""
        assert split in SPLITS, split
        return [
            Item(
                id=row["id"],
                split=split,
                speaker=row["speaker"],
                text=row["text"],
                frames=int(row["frames"]),
                offset=int(row["offset"]),
                tokens=tuple(self.tokenizer.encode(row["text"])),
            )
            for row in self._rows
            if row["split"] == split
        ]

    def wave(self, item: Item) -> np.ndarray:
        """Samples ``(640 * item.frames,)`` at 16 kHz, float32 in [-1, 1)."""
        samples = self._audio[item.offset : item.offset + SAMPLES_PER_FRAME * item.frames]
        return samples.astype(np.float32) / FULL_SCALE


def content_hash(files: dict[str, str]) -> str:
    """SHA-256 over the files' names and SHA-256s: the identity of what was prepared."""
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()
