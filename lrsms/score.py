"""Errors per utterance: hypotheses aligned with references and kept as counts; rates are derived from their sums."""

import csv
import gzip
import io
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO

import jiwer
import pandas

from lrsms.files import write_atomically


@dataclass(frozen=True)
class Counts:
    """Of one utterance. Characters include one blank between words."""

    words: int
    """In the reference."""
    substitutions: int
    deletions: int
    insertions: int
    characters: int
    """In the reference."""
    character_edits: int

    @property
    def edits(self) -> int:
        """Word substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions


@dataclass(frozen=True)
class Score:
    """One row of a run's score table."""

    decoder: str
    condition: str
    id: str
    speaker: str
    counts: Counts


KEYS = ("decoder", "condition", "id", "speaker")
COUNTS = tuple(field.name for field in fields(Counts))
COLUMNS = KEYS + COUNTS
HYPOTHESIS_KEYS = (*KEYS, "reference", "hypothesis")


def align(reference: str, hypothesis: str) -> Counts:
    """Counts of a Levenshtein alignment. White space only separates words; nothing else is normalised.

    Of several alignments with as few edits jiwer chooses one, so only the sum of the three word errors is unique.
    """
    reference, hypothesis = " ".join(reference.split()), " ".join(hypothesis.split())
    words = jiwer.process_words(reference, hypothesis)
    characters = jiwer.process_characters(reference, hypothesis)
    return Counts(
        words=words.hits + words.substitutions + words.deletions,
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        characters=len(reference),
        character_edits=characters.substitutions + characters.deletions + characters.insertions,
    )


def word_error_rate(counts: Iterable[Counts]) -> float:
    """Corpus WER: all word edits over all reference words, as a fraction.

    Raises:
        ValueError: there are no reference words.
    """
    counts = list(counts)
    return _rate(sum(c.edits for c in counts), sum(c.words for c in counts), "words")


def character_error_rate(counts: Iterable[Counts]) -> float:
    """Corpus CER: all character edits over all reference characters, as a fraction.

    Raises:
        ValueError: there are no reference characters.
    """
    counts = list(counts)
    return _rate(sum(c.character_edits for c in counts), sum(c.characters for c in counts), "characters")


def score(hypotheses_path: Path, scores_path: Path) -> None:
    """Aligns every line of a hypotheses file and writes the score table; no lines (a diverged run) give no rows.

    Args:
        hypotheses_path: JSON lines with the keys of ``HYPOTHESIS_KEYS``, all text.
        scores_path: see ``write_scores``.

    Raises:
        ValueError: a line that is torn, malformed, or repeats another's decoder, condition and id.
    """
    rows: dict[tuple[str, str, str], Score] = {}
    with open(hypotheses_path, "rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{hypotheses_path}, line {number}"
            row = _parse(line, where)
            key = row["decoder"], row["condition"], row["id"]
            if key in rows:
                raise ValueError(f"{where}: decoder, condition and id {key} already occurred; each may occur once")
            rows[key] = Score(*key, row["speaker"], align(row["reference"], row["hypothesis"]))
    write_scores(scores_path, rows.values())


def write_scores(path: Path, rows: Iterable[Score]) -> None:
    """Writes gzipped CSV, atomically. The bytes depend on the rows only, not on their order, the time or the path.

    Rows are sorted by id first: an utterance's rows then differ little from one to the next, which halves the file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: (row.id, row.decoder, row.condition)):
        writer.writerow([row.decoder, row.condition, row.id, row.speaker, *astuple(row.counts)])
    zipped = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=zipped, mtime=0) as file:
        file.write(text.getvalue().encode())
    write_atomically(path, zipped.getvalue())


def read_scores(path: Path) -> pandas.DataFrame:
    """Reads what ``write_scores`` wrote: ``COLUMNS``, text as text (an id may be "007" or "nan"), counts as int64.

    Raises:
        ValueError: the file is torn, or is not a score table.
    """
    types = dict.fromkeys(KEYS, "str") | dict.fromkeys(COUNTS, "int64")
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            table = _read_table(file, types)
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path}: not a complete score table ({error}); score the run again") from None
    return table


def _read_table(file: IO[str], types: dict[str, str]) -> pandas.DataFrame:
    table = pandas.read_csv(file, dtype=types, keep_default_na=False)
    if tuple(table.columns) != COLUMNS:
        raise ValueError(f"its columns are {', '.join(table.columns)}, expected {', '.join(COLUMNS)}")
    return table


def _parse(line: bytes, where: str) -> dict[str, str]:
    if not line.endswith(b"\n"):
        raise ValueError(f"{where}: the file ends within this line; decode the run again")
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where}: not JSON ({error}); decode the run again") from None
    if not isinstance(row, dict) or set(row) != set(HYPOTHESIS_KEYS):
        found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise ValueError(f"{where}: has {found}; expected an object with {', '.join(HYPOTHESIS_KEYS)}")
    for key, value in row.items():
        if not isinstance(value, str):
            raise ValueError(f"{where}: '{key}' is {json.dumps(value)[:80]}, expected text")
    return row


def _rate(num_edits: int, num_units: int, unit: str) -> float:
    if num_units == 0:
        raise ValueError(f"an error rate needs reference {unit}, found none")
    return num_edits / num_units
