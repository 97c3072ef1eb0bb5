"""Checks a score table with its times and words: every utterance is there once, with possible counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lrsms.record.bonus import Choice
from lrsms.record.score import COUNTS, EDITS
from lrsms.record.worst import Words, aligned_words
from lrsms.report.paired import Key
from lrsms.report.validity.outcome import MOST_SECONDS
from lrsms.report.validity.values import Fields, remedy_of
from lrsms.study.decoding import Decoding
from lrsms.study.run import Run

_MOST_COUNT = 10**7
"""Largest number of words or characters in one utterance."""
Row = tuple[Any, ...]
"""The id, speaker, words and characters of a reference."""


def check_scores(path: Path, table: pd.DataFrame, run: Run, decoding: Decoding, status: str) -> None:
    """Every decoder scored every utterance of every condition once, and conditions of one test set have the same.

    Args:
        path: path of the table.
        table: its content, from ``read_scores``.
        run: the run.
        decoding: decoders and conditions that the table's name stands for.
        status: status in ``run.json``; a diverged run has no rows.

    Raises:
        ValueError: one line.
    """
    if status != "finished":
        if not table.empty:
            raise ValueError(f"{path}: has scores, but 'status' in run.json is '{status}'; {remedy_of(path)}")
        return
    parts = _parts(table)
    for condition in decoding.conditions:
        for decoder in decoding.decoders:
            if (decoder, condition) not in parts:
                raise ValueError(f"{path}: no rows for decoder '{decoder}' under condition '{condition}'")
    for decoder, condition in parts:
        if decoder not in decoding.decoders or condition not in decoding.conditions:
            raise ValueError(f"{path}: has rows for '{decoder}' under '{condition}', which nothing asks for")
    _check_counts(path, table, run)
    _check_utterances(path, parts, run, decoding)


def _parts(table: pd.DataFrame) -> dict[Key, list[Row]]:
    """The rows by decoder and condition, as tuples; data frames would take ten times as long."""
    columns = ("decoder", "condition", "id", "speaker", "words", "characters")
    parts: dict[Key, list[Row]] = {}
    for decoder, condition, *row in zip(*(table[name].tolist() for name in columns), strict=True):
        parts.setdefault((decoder, condition), []).append(tuple(row))
    return parts


def _check_counts(path: Path, table: pd.DataFrame, run: Run) -> None:
    counts = {name: table[name].to_numpy() for name in COUNTS}
    words, characters = counts["words"], counts["characters"]
    edits = sum(counts[name] for name in EDITS)
    least = words if run.corpus.unit == "characters" else np.maximum(2 * words - 1, 0)
    faults = {
        "negative counts": np.any([count < 0 for count in counts.values()], axis=0),
        "counts that no utterance has": np.any([count > _MOST_COUNT for count in counts.values()], axis=0),
        "more words wrong than it has": counts["substitutions"] + counts["deletions"] > words,
        "fewer characters than its words and the blanks between them": characters < least,
        "characters without words": (characters > 0) & (words == 0),
        "errors of words without errors of characters, or the reverse": (edits == 0)
        != (counts["character_edits"] == 0),
    }
    for fault, rows in faults.items():
        if rows.any():
            row = table[rows].iloc[0]
            raise _fault(path, row["id"], (row["decoder"], row["condition"]), f"has {fault}")


def _check_utterances(path: Path, parts: Mapping[Key, Sequence[Row]], run: Run, decoding: Decoding) -> None:
    """References and speakers of an utterance are the same by every decoder and under every condition of a split."""
    spoken: dict[tuple[str, str], dict[str, Row]] = {}
    for key, rows in parts.items():
        utterances = {row[0]: row for row in rows}
        if len(utterances) < len(rows):
            twice = next(row[0] for number, row in enumerate(rows) if row[0] in {r[0] for r in rows[:number]})
            raise _fault(path, twice, key, "is given twice")
        name, split = decoding.test_set_of(key[1])
        first = spoken.setdefault((name, split), utterances)
        if utterances != first:
            one = min(set(first.items()) ^ set(utterances.items()))[0]
            absent = "lacks" if one not in utterances else "has another reference or speaker of" * (one in first)
            raise ValueError(
                f"{path}: decoder '{key[0]}' under condition '{key[1]}' {absent or 'alone has'} utterance '{one}' of "
                f"the {split} split; {remedy_of(path)}"
            )
    for (name, split), found in spoken.items():
        corpus = (decoding.corpora or {})[name] if name else run.corpus
        if corpus.rendered and len(found) > (most := getattr(corpus, split)):
            raise ValueError(
                f"{path}: {len(found)} utterances of the {split} split, but corpus '{corpus.name}' has {most}; "
                f"{remedy_of(path)}"
            )


def _fault(path: Path, utterance: str, key: Key, fault: str) -> ValueError:
    return ValueError(
        f"{path}: utterance '{utterance}', decoder '{key[0]}', condition '{key[1]}', {fault}; {remedy_of(path)}"
    )


def check_words(path: Path, words: Words, table: pd.DataFrame, run: Run) -> None:
    """Checks that the words of the worst utterances align as in the score table.

    Raises:
        ValueError: one line.
    """
    if not words:
        return
    columns = ("decoder", "condition", "id", "alignment")
    scored = {row[:3]: row[3] for row in zip(*(table[name] for name in columns), strict=True) if row[:3] in words}
    for key, (reference, hypothesis) in words.items():
        try:
            aligned_words(scored[key], reference, hypothesis, run.corpus.unit)
        except (KeyError, ValueError):
            raise _fault(path, key[2], key[:2], "has other words than its alignment in the score table") from None


def check_choices(path: Path, choices: Mapping[str, Choice], table: pd.DataFrame, decoding: Decoding) -> None:
    """Checks that errors with a chosen length bonus are those of the valid split in the score table.

    Raises:
        ValueError: one line.
    """
    valid = table[table["condition"].isin(list(decoding.of_split("valid")))]
    for name, choice in choices.items():
        rows = valid[valid["decoder"] == name]
        found, told = int(rows[[*EDITS]].to_numpy().sum()), choice.tried[choice.chosen]
        if (found, int(rows["words"].sum())) != (told, choice.words):
            raise ValueError(
                f"{path}: '{name}' has {told} errors in {choice.words} words of the valid split, but the score table"
                f" has {found}; restore both, or delete them to decode again"
            )


def check_times(path: Path, content: Mapping[str, Any], decoding: Decoding) -> None:
    """Checks that times of decoding belong to its decoders and conditions, and to speech of some length.

    Raises:
        ValueError: one line.
    """
    fields = Fields(path, content)
    fields.optional("device", fields.text)
    fields.optional("threads", fields.whole, 1, 2**20)
    conditions = fields.below("conditions", fields.get("conditions"))
    for name, found in conditions.content.items():
        if name not in decoding.conditions:
            raise ValueError(f"{path}: 'conditions.{name}' was not asked for; {remedy_of(path)}")
        condition = conditions.below(name, found)
        condition.number("audio_seconds", 0.01, MOST_SECONDS)
        condition.number("network_seconds", 0.0, MOST_SECONDS)
        search = condition.below("search_seconds", condition.get("search_seconds"))
        for decoder in decoding.decoders:
            search.number(decoder, 0.0, MOST_SECONDS)
