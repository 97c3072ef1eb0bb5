"""The texts of a run's worst utterances. For all others, the record keeps the alignment and no text."""

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from pathlib import Path

from lrsms.base.files import read_json, write_json
from lrsms.record.run_files import beside
from lrsms.record.score import Score, counted
from lrsms.study.corpus import Unit

NUM_WORST = 10
"""Number of utterances for each decoder and condition."""
Words = Mapping[tuple[str, str, str], tuple[str, str]]
"""Reference and hypothesis by decoder, condition and id."""
_REMEDY = "restore it, or delete it to do without"


def worst_path(scores: Path) -> Path:
    """The path of the texts that belong to a score table."""
    return beside(scores, "worst.json")


def badness(edits: int, words: int, id: str) -> tuple[int, int, str]:
    """The order of the worst utterances: most word errors first; among equals, fewest words, then the id."""
    return -edits, words, id


def write_worst(path: Path, rows: Sequence[Mapping[str, str]], scores: Sequence[Score]) -> None:
    """Keeps reference and hypothesis of the ``NUM_WORST`` utterances with errors, by decoder and condition.

    Args:
        path: see ``worst_path``.
        rows: the hypotheses.
        scores: of the same rows.
    """
    parts: dict[tuple[str, str], list[tuple[tuple[int, int, str], int]]] = {}
    for index, score in enumerate(scores):
        if score.alignment.edits:
            key = badness(score.alignment.edits, score.alignment.words, score.id)
            parts.setdefault((score.decoder, score.condition), []).append((key, index))
    content: dict[str, dict[str, list[dict[str, str]]]] = {}
    for (decoder, condition), found in parts.items():
        chosen = [rows[index] for _, index in nsmallest(NUM_WORST, found)]
        kept = [{name: row[name] for name in ("id", "reference", "hypothesis")} for row in chosen]
        content.setdefault(decoder, {})[condition] = kept
    write_json(path, content)


def aligned_words(
    letters: str, reference: str, hypothesis: str, unit: Unit | None = None
) -> list[tuple[str, str, str]]:
    """The letter, the reference word and the hypothesised word at each place of an alignment; empty if there is none.

    If ``unit`` is characters, they take the place of words.

    Raises:
        ValueError: the words do not fit the alignment.
    """
    said, found = iter(counted(reference, unit)), iter(counted(hypothesis, unit))
    places = [
        (letter, "" if letter == "I" else next(said, ""), "" if letter == "D" else next(found, ""))
        for letter in letters
    ]
    fit = all((one == other) == (letter == "C") and (one or letter == "I") for letter, one, other in places)
    if not fit or next(said, None) is not None or next(found, None) is not None:
        raise ValueError(f"'{reference}' and '{hypothesis}' do not align like {letters}")
    return places


def load_worst(scores: Path) -> Words:
    """The texts that are kept beside a score table; empty for old records, which have none.

    Raises:
        ValueError: one line: the file is malformed.
    """
    path = worst_path(scores)
    if not path.is_file():
        return {}
    try:
        found = {
            (decoder, condition, row["id"]): (row["reference"], row["hypothesis"])
            for decoder, conditions in read_json(path, _REMEDY).items()
            for condition, rows in conditions.items()
            for row in rows
        }
        for texts in found.values():
            " ".join(texts).encode()
    except (LookupError, TypeError, AttributeError, UnicodeEncodeError):
        raise ValueError(f"{path}: has no texts of utterances; {_REMEDY}") from None
    return found
