"""The matched pairs sentence segment word error test of two given sets of hypotheses.

Errors of neighbouring words depend on each other, those of segments that are apart hardly do. A segment holds errors of
either system and reaches on both sides to at least two adjacent words that both have right, or to the end of the
utterance; an insertion between two words parts them. Over the n segments the mean difference of the errors, divided by
its standard error, is normal for large n (Gillick and Cox 1989, "Some statistical issues in the comparison of speech
recognition algorithms", ICASSP; the rule of NIST's ``sc_stats -t mapsswe``, SCTK, with its divisor n - 1).

It describes these hypotheses: training the same systems again may give another answer. See ``effects`` for that.

An alignment is the text that ``score`` keeps of an utterance: a letter for each column of an sclite report, C correct,
S substituted, D deleted, I inserted.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

BOUNDARY_WORDS = 2
"""Adjacent words that both systems have right end a segment."""


@dataclass(frozen=True)
class MatchedPairs:
    """Outcome of the test, of system B against system A."""

    segments: int
    """Segments with at least one error; the normal approximation needs more than about 50."""
    errors_a: int
    errors_b: int
    mean: float
    """Mean of B's errors minus A's per segment; NaN without segments."""
    z: float
    """NaN if one segment, or segments with equal differences, determine no standard error."""
    p: float
    """Two-sided p; 1 if the two systems never differ."""


def segments(alignment_a: str, alignment_b: str) -> list[tuple[int, int]]:
    """Errors of A and of B in each segment of an utterance that has any.

    Args:
        alignment_a: letters of system A's alignment with the reference.
        alignment_b: the same of system B with the same reference.

    Raises:
        ValueError: another letter than C, S, D and I, or references of different length.
    """
    found = []
    errors_a = errors_b = num_right = 0
    places_a, places_b = list(_places(alignment_a)), list(_places(alignment_b))
    if len(places_a) != len(places_b):
        raise ValueError(
            f"alignments of one utterance must hold the same words: '{alignment_a}' has {len(places_a) // 2},"
            f" '{alignment_b}' {len(places_b) // 2}"
        )
    for index, (here_a, here_b) in enumerate(zip(places_a, places_b, strict=True)):
        if here_a or here_b:
            errors_a, errors_b, num_right = errors_a + here_a, errors_b + here_b, 0
        elif index % 2:  # a word, and both have it right
            num_right += 1
            if num_right == BOUNDARY_WORDS and (errors_a or errors_b):
                found.append((errors_a, errors_b))
                errors_a = errors_b = 0
    if errors_a or errors_b:
        found.append((errors_a, errors_b))
    return found


def mapsswe(alignments_a: Sequence[str], alignments_b: Sequence[str]) -> MatchedPairs:
    """The test over a test set.

    Args:
        alignments_a: letters of system A, one text for each utterance.
        alignments_b: the same of system B, of the same utterances in the same order.

    Raises:
        ValueError: the numbers of utterances differ, or as ``segments``.
    """
    if len(alignments_a) != len(alignments_b):
        raise ValueError(f"both systems must have the same utterances, got {len(alignments_a)} and {len(alignments_b)}")
    pairs = [pair for a, b in zip(alignments_a, alignments_b, strict=True) for pair in _segments(a, b)]
    errors = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    differences = errors[:, 1] - errors[:, 0]
    mean, z, p = math.nan, math.nan, math.nan
    if len(pairs):
        mean = float(differences.mean())
    if not differences.any():
        p = 1.0
    elif np.ptp(differences):
        z = mean / (float(differences.std(ddof=1)) / math.sqrt(len(pairs)))
        p = float(2 * stats.norm.sf(abs(z)))
    return MatchedPairs(len(pairs), int(errors[:, 0].sum()), int(errors[:, 1].sum()), mean, z, p)


_segments = lru_cache(2**16)(segments)
"""Most pairs of alignments occur often: most utterances are short, and most words are correct."""


def _places(letters: str) -> Iterator[int]:
    """Errors at each place of an utterance of N words: 2N + 1 of them, a gap, a word, a gap, ..., a gap.

    A gap has as many errors as words are inserted there; a word has none or one.
    """
    inserted = 0
    for letter in letters:
        if letter == "I":
            inserted += 1
        elif letter in "CSD":
            yield inserted
            yield int(letter != "C")
            inserted = 0
        else:
            raise ValueError(f"an alignment is written in the letters C, S, D and I, got '{letters}'")
    yield inserted
