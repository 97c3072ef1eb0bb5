"""What an interval of one model's error rate is resampled in: speakers, and of rendered speech the variants of voices.

A variant of espeak-ng is a larynx and a mouth, and a corpus has it in several accents: these are easy or hard together.
Resampled one by one, as if independent, they give an interval that is too narrow: by a factor of up to the square root
of the number of accents. On `commands` (12 variants in 4 accents) an interval of 5.0 points of WER becomes one of 8.0.

A *change* between two models stays with speakers: what is hard is hard for both, and the standard errors of the
committed changes differ by less than 5% between the two ways to count.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lrsms.data.synthetic.voice import variants_of
from lrsms.statistics import stats
from lrsms.statistics.stats import Interval

Codes = npt.NDArray[np.intp]


def codes_of(names: Sequence[str] | npt.NDArray[Any]) -> Codes | None:
    """By unit the index of its cluster.

    None where units are their own: they are no rendered voices, or each of another variant, or all of one.
    """
    variants = variants_of(map(str, names))
    if variants is None or not 1 < len(set(variants)) < len(variants):
        return None
    return np.unique(variants, return_inverse=True)[1]


def noun(names: Sequence[str] | npt.NDArray[Any], unit: str) -> str:
    """The name of what is resampled, where units are called ``unit``."""
    return unit if codes_of(names) is None else "voice variant"


def bootstrap_rate(
    edits: npt.NDArray[Any], words: npt.NDArray[Any], names: Sequence[str] | npt.NDArray[Any]
) -> Interval:
    """The interval of one model's error rate, from the edits, words and names of its units, ``(units,)`` each."""
    codes = codes_of(names)
    if codes is not None:
        edits, words = np.bincount(codes, edits), np.bincount(codes, words)
    return stats.bootstrap_rate(edits, words)


def how_many(codes: Codes | None) -> int | None:
    """The number of clusters; None where units are their own."""
    return None if codes is None else int(codes.max()) + 1
