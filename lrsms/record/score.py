"""Errors per utterance: hypotheses are aligned with references, word by word; counts and rates follow from that.

If a corpus counts characters, because its text has no spaces between words, each character is a word here, and spaces
are not words. Characters are code points of text in NFC.
"""

import csv
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import IO

import jiwer
import numpy as np
import pandas

from lrsms.base.csvfile import guarded, unguard, unguarded
from lrsms.base.files import write_atomically
from lrsms.record.zipped import opened, zipped
from lrsms.study.corpus import Unit


@dataclass(frozen=True)
class Alignment:
    """The alignment of one utterance's hypothesis with its reference.

    Characters include one space between words. If a corpus counts characters, its characters are the words here.
    """

    letters: str
    """A letter for every reference word (``C`` correct, ``S`` substituted, ``D`` deleted) and an ``I`` for every
    inserted word, in the order of time, as in the reports of NIST's sclite."""
    characters: int
    """In the reference."""
    character_edits: int

    @property
    def words(self) -> int:
        """In the reference."""
        return len(self.letters) - self.insertions

    @property
    def substitutions(self) -> int:
        """The three kinds of word errors."""
        return self.letters.count("S")

    @property
    def deletions(self) -> int:
        """Counted in words."""
        return self.letters.count("D")

    @property
    def insertions(self) -> int:
        """Counted in words."""
        return self.letters.count("I")

    @property
    def edits(self) -> int:
        """Word substitutions, deletions and insertions."""
        return len(self.letters) - self.letters.count("C")


@dataclass(frozen=True)
class Score:
    """One row of a run's score table."""

    decoder: str
    condition: str
    id: str
    speaker: str
    alignment: Alignment


KEYS = ("decoder", "condition", "id", "speaker")
COUNTS = ("words", "substitutions", "deletions", "insertions", "characters", "character_edits")
EDITS = ("substitutions", "deletions", "insertions")
"""Counted in words."""
COLUMNS = (*KEYS, *COUNTS, "alignment")
HYPOTHESIS_KEYS = (*KEYS, "reference", "hypothesis")
_LETTERS = {"equal": "C", "substitute": "S", "delete": "D", "insert": "I"}


def align(reference: str, hypothesis: str, unit: Unit | None = None) -> Alignment:
    """Aligns with the fewest edits of the unit; None means words.

    White space only separates words; nothing else is normalised.

    Among alignments with equally few edits, it is always jiwer's: equal words at the start and at the end are correct.
    The words between are traversed from their end, and there a deletion is preferred to a substitution, a substitution
    to an insertion, and an insertion to a correct word. So the sum of the three errors is unique, but each of them is
    not. (NIST's sclite gives a substitution weight 4, and a deletion or an insertion weight 3, so it may align
    differently.)
    """
    reference, hypothesis = " ".join(counted(reference, unit)), " ".join(counted(hypothesis, unit))
    chunks = jiwer.process_words(reference, hypothesis).alignments[0]
    letters = "".join(
        _LETTERS[chunk.type] * max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        for chunk in chunks
    )
    if unit == "characters":
        return Alignment(letters, len(letters) - letters.count("I"), len(letters) - letters.count("C"))
    characters = jiwer.process_characters(reference, hypothesis)
    return Alignment(
        letters=letters,
        characters=len(reference),
        character_edits=characters.substitutions + characters.deletions + characters.insertions,
    )


def counted(text: str, unit: Unit | None = None) -> list[str]:
    """The units of a text that error rates count: its words, or its characters without spaces."""
    return list("".join(text.split())) if unit == "characters" else text.split()


def word_error_rate(alignments: Iterable[Alignment]) -> float:
    """Corpus WER: the sum of word edits divided by the sum of reference words, as a fraction.

    Raises:
        ValueError: there are no reference words.
    """
    alignments = list(alignments)
    num_words = sum(alignment.words for alignment in alignments)
    if num_words == 0:
        raise ValueError("an error rate needs reference words, found none")
    return sum(alignment.edits for alignment in alignments) / num_words


def scored(hypotheses: Iterable[Mapping[str, str]], unit: Unit | None = None) -> list[Score]:
    """Aligns every hypothesis, a row with ``HYPOTHESIS_KEYS``, with its reference; ``unit``: see ``align``."""
    return [
        Score(
            *(row["decoder"], row["condition"], row["id"], row["speaker"]),
            align(row["reference"], row["hypothesis"], unit),
        )
        for row in hypotheses
    ]


def write_scores(path: Path, rows: Iterable[Score]) -> None:
    """Writes ``table_bytes``, atomically."""
    write_atomically(path, table_bytes(rows))


def table_bytes(rows: Iterable[Score]) -> bytes:
    """Writes the score table as gzipped CSV. Its bytes depend only on the rows, not on their order.

    Rows are sorted by id first: neighbouring rows of one utterance then differ little, which halves the file.
    """
    ordered = sorted(rows, key=lambda row: (row.id, row.decoder, row.condition))
    return zipped(COLUMNS, map(_cells, ordered))


def read_scores(path: Path) -> pandas.DataFrame:
    """Reads what ``write_scores`` wrote: ``COLUMNS``, text as text (an id may be "007" or "nan"), counts as int64.

    Old tables lack the column of alignments: MAPSSWE cannot be computed from them.

    Raises:
        ValueError: the file is incomplete, too large or not a score table, or its counts disagree with its alignments.
    """
    types = dict.fromkeys((*KEYS, "alignment"), "str") | dict.fromkeys(COUNTS, "int64")
    with _opened(path) as file:
        return _read_table(file, types)


def read_alignments(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The alignments of each utterance, by decoder and condition, in a table that ``read_scores`` has checked.

    Empty for an old table, which has none.

    Raises:
        ValueError: the file is torn.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    with _opened(path) as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if "alignment" in header:
            named = itemgetter(*map(header.index, ("decoder", "condition", "id", "alignment")))
            for decoder, condition, utterance, alignment in map(named, rows):
                found.setdefault((decoder, condition), {})[unguarded(utterance)] = alignment
    return found


def _opened(path: Path) -> AbstractContextManager[IO[str]]:
    return opened(path, "score table", "score the run again")


def _cells(row: Score) -> list[object]:
    counts = (getattr(row.alignment, name) for name in COUNTS)
    return [row.decoder, row.condition, guarded(row.id), guarded(row.speaker), *counts, row.alignment.letters]


def _read_table(file: IO[str], types: dict[str, str]) -> pandas.DataFrame:
    table = pandas.read_csv(file, dtype=types, keep_default_na=False)
    if tuple(table.columns) not in (COLUMNS, COLUMNS[:-1]):
        raise ValueError(f"its columns are {', '.join(table.columns)}, expected {', '.join(COLUMNS)}")
    if "alignment" in table.columns:
        _check_counts(table)
    return unguard(table, ("id", "speaker"))


def _check_counts(table: pandas.DataFrame) -> None:
    alignments = table["alignment"].tolist()
    counted = [_counts_of(text) for text in alignments]
    correct, *errors = np.array(counted, dtype=np.int64).reshape(-1, 4).T
    substitutions, deletions, insertions = errors
    words = correct + substitutions + deletions
    wrong = np.array([len(text) for text in alignments], dtype=np.int64) != words + insertions
    for name, count in zip(("words", "substitutions", "deletions", "insertions"), (words, *errors), strict=True):
        wrong |= table[name].to_numpy() != count
    if wrong.any():
        row = table[wrong].iloc[0]
        raise ValueError(f"utterance '{row['id']}' has other counts than its alignment '{row['alignment'][:80]}'")


@lru_cache(2**16)  # most alignments are short, and many are equal
def _counts_of(alignment: str) -> tuple[int, ...]:
    """How often each letter occurs."""
    return tuple(alignment.count(letter) for letter in "CSDI")
