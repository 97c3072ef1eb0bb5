"""A prepared corpus on disk: its layout, and reading it at memory speed.

The folder holds

- ``manifest.tsv``: id, split, speaker, frames, offset (frames into the streams), text, in the corpus's order;
- ``audio.npy``, ``video.npy`` and ``checksums.tsv`` (see ``stored.py``);
- or, of a corpus that is read in place, ``sources.tsv`` (see ``inplace.py``). It is part of no hash of the content;
- of a test set alone, which conditions read (see ``testsets.py``), neither of the next two, but ``recordings.tsv``,
  by which recordings of other corpora are told apart from its own;
- ``babble.npy``: noise to be mixed into what is heard;
- ``tokenizer.json``, ``tokenizer.model`` or ``tokenizer.units.json``;
- ``corpus.json``: the two configs, hashes, counts by split, the utterances that were skipped and why, how many by
  split, and notes on those that were not.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrsms.base.files import file_hash
from lrsms.data.identity import content_hash
from lrsms.data.inplace import SOURCES, InPlace
from lrsms.data.manifest import SPLITS, read_tsv
from lrsms.data.noise import Babble
from lrsms.data.stored import Stored, mapped
from lrsms.data.text import Tokenizer, load_tokenizer
from lrsms.study.corpus import KINDS
from lrsms.study.run import PREPARED_LAYOUT, Modality

MANIFEST = "manifest.tsv"
BABBLE = "babble.npy"
SUMMARY = "corpus.json"
RECORDINGS = "recordings.tsv"
COLUMNS = ("id", "split", "speaker", "frames", "offset", "text")


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
    """Those of a test utterance lack the characters that the tokenizer does not know."""


def open_streams(folder: Path, modalities: tuple[Modality, ...], root: Path | None, name: str) -> Stored | InPlace:
    """The audio and video of a corpus, opened without reading them.

    Args:
        folder: where it is prepared.
        modalities: what it has.
        root: where the corpus called ``name`` lies, if it is read in place.
        name: of the corpus.

    Raises:
        OSError, ValueError: a file is missing or torn.
    """
    if root is None or not (folder / SOURCES).exists():
        return Stored(folder, modalities)
    return InPlace(folder, root, name, "video" in modalities)


class Prepared:
    """A prepared corpus, opened without reading its audio or video.

    Args:
        folder: where it was prepared.
        root: where a corpus in place lies now; None if it was not moved since.
        lender: of a test set alone: the corpus of the runs that are tested, whose tokenizer and babble it takes.

    Raises:
        ValueError: one line: there is no such folder, or it is not complete and as it was prepared.
    """

    def __init__(self, folder: Path, root: Path | None = None, lender: "Prepared | None" = None) -> None:
        self.folder = folder
        if not (folder / SUMMARY).is_file():
            raise ValueError(
                f"{folder}: is not a prepared corpus (no {SUMMARY} in it); prepare it first, such as"
                f" by snakemake --cores all {folder / SUMMARY}"
            )
        try:
            self.summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
            if self.summary.get("layout") != PREPARED_LAYOUT:
                raise ValueError("of another version of lrsms")
            self.hash: str = self.summary["hash"]
            """Identity of the prepared content: of the manifest, the streams, the babble and the tokenizer."""
            self.modalities: tuple[Modality, ...] = tuple(self.summary["modalities"])
            files, streams = self.summary["files"], self.summary["streams"]
            # Audio and video are too long to hash at every opening; each utterance is checked when it is read.
            short = {name: streams[name] for name in (BABBLE,) if name in streams}
            expected = files | short | self.summary["local"]
            changed = [name for name, sha256 in expected.items() if file_hash(folder / name) != sha256]
            if not changed and content_hash(files | streams) != self.hash:
                changed = [SUMMARY]
            if not changed:
                was = self.summary["root"]
                place = root or (Path(was) if was is not None else None)
                self._streams = open_streams(folder, self.modalities, place, self.summary["corpus"]["name"])
                self.babble: Babble | None = None
                """The babble that is mixed into audio; None if the corpus has no audio."""
                if lender is not None:
                    self.babble = lender.babble
                elif "audio" in self.modalities:
                    heard = tuple(tuple(track) for track in self.summary["babble"])
                    self.babble = Babble(mapped(folder / BABBLE), heard)
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{folder}: is torn ({reason}); delete it and prepare the corpus again") from None
        if changed:
            raise ValueError(
                f"{folder / changed[0]}: was changed after it was prepared; delete {folder} to prepare it again"
            )
        self.tokenizer: Tokenizer = load_tokenizer(folder) if lender is None else lender.tokenizer
        self._rows = [row.cells for row in read_tsv(folder / MANIFEST, COLUMNS)]
        end = max(int(row["offset"]) + int(row["frames"]) for row in self._rows)
        self._streams.check({row["id"] for row in self._rows}, end)

    @property
    def manifest_hash(self) -> str:
        """SHA-256 of the manifest alone: the same on every machine, which rendered audio is only within a last bit."""
        return self.summary["files"][MANIFEST]

    @property
    def data_hash(self) -> str:
        """The identity that runs must share to be compared: all content, or the manifest of a rendered corpus.

        Rendered elsewhere, its audio may differ in the last bit; its config, which is part of the run, says what it is.
        """
        return self.manifest_hash if KINDS[self.summary["corpus"]["kind"]].rendered else self.hash

    @property
    def identity(self) -> dict[str, str | None]:
        """The identity of the data that a run notes: see ``identity.py``; ``report/comparable.py`` says what must
        agree.

        The hashes of the prepared content beside that of the recordings and texts themselves, of the tokenizer, and of
        the prepared samples, pictures and babble alone.
        """
        return {
            "data_hash": self.data_hash,
            "corpus_hash": self.hash,
            "manifest_hash": self.manifest_hash,
            "source_hash": self.summary["source"],
            "tokenizer_hash": self.summary["tokenizer_hash"],
            "streams_hash": content_hash(self.summary["streams"]),
        }

    @property
    def left_out(self) -> dict[str, dict[str, int]]:
        """How many utterances of each split are left out, and why (see ``skipping.left_out``)."""
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
