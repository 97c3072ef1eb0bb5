"""Utterances of a corpus that are in no table: counted by ``prepare``, kept in ``run.json``, noted below tables."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_WHY = {
    "recording": "of which the recording cannot be used",
    "transcript": "of which the transcript is empty",
    "spelling": "with letters that the train split does not have",
    "length": "too long for CTC",
}


def describe(left_out: Any) -> str:
    """For example ``test 2 of 720 (2 of which the recording cannot be used)``; empty where nothing is.

    Args:
        left_out: see ``data.skipping.left_out``; None where it is unknown, as of records from before it was kept.

    Raises:
        ValueError: it is something else.
    """
    if left_out is None:
        return ""
    try:
        return "; ".join(_of_split(split, counts) for split, counts in left_out.items())
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError("'left_out' must have, by split, 'of' and the numbers of utterances by reason") from None


def summarise(texts: Iterable[str]) -> list[str]:
    """A sentence on the utterances that each run's corpus lacks; runs with other tokenizers may lack others.

    Args:
        texts: of ``describe``, for each run.
    """
    counts = Counter(texts)
    return [
        f"Left out of the corpus{'' if len(counts) == 1 else f' of {runs} of {counts.total()} runs'}: {text}."
        for text, runs in counts.items()
        if text
    ]


def _of_split(split: str, counts: Mapping[str, int]) -> str:
    kinds = {kind: count for kind, count in counts.items() if kind != "of"}
    why = ", ".join(f"{count:,} {_WHY[kind]}" for kind, count in kinds.items())
    return f"{split} {sum(kinds.values()):,} of {counts['of']:,} ({why})"
