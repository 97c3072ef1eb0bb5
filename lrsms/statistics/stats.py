"""Intervals and comparisons for error rates and step times.

A corpus error rate is the ratio of two sums, total edits over total reference words. Its bootstrap (Bisani and Ney
2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP) resamples *units* with
replacement: speakers where they are known, because the utterances of one speaker are not independent, otherwise
utterances. Such an interval takes the trained models as given; it says nothing about training them again. What another
seed would give is the question of ``t_interval`` for one rate, and of ``effects`` for the difference of two.

Everything here is a function of its arguments: one seed, one answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 1
"""Seed of the resamples; fixed, so that a table is the same each time."""

_CHUNK_ELEMENTS = 4_000_000
"""Largest temporary of a resampling loop, in elements: bounds memory for corpora of many thousand units."""

Numbers = Sequence[float] | npt.NDArray[np.float64] | npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """An interval of the level ``LEVEL``, in the unit of what it surrounds; NaN where the data do not determine it."""

    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float


def error_rate(edits: Numbers, words: Numbers) -> float:
    """Corpus error rate: total edits over total reference words, never a mean of the units' rates.

    Raises:
        ValueError: lengths differ, a count is negative, or there are no reference words.
    """
    edits, words = _counts(edits, words)
    return float(edits.sum() / words.sum())


def effective_units(words: Numbers) -> float:
    """How many units of equal length weigh as much as these: (sum w)^2 / sum w^2 (Kish 1965, *Survey Sampling*).

    Args:
        words: ``(units,)`` reference words; some must be above zero.
    """
    counts = np.asarray(words, dtype=np.float64)
    return float(counts.sum() ** 2 / np.sum(counts**2))


def few_weigh_most(units: int, effective: float) -> bool:
    """Whether a few units hold most of the words, so that less than half of their number is worth saying."""
    return 2 * effective < units


def bootstrap_rate(edits: Numbers, words: Numbers, seed: int = SEED, resamples: int = RESAMPLES) -> Interval:
    """Percentile bootstrap of a corpus error rate over units (Bisani and Ney 2004, section 2).

    Args:
        edits: ``(units,)`` substitutions, deletions and insertions of each unit.
        words: ``(units,)`` reference words of each unit.
        seed: of the resamples.
        resamples: number of resamples.

    Returns:
        The interval of the rate; ``UNKNOWN`` for a single unit, whose resamples are all alike and feign certainty.
        Where all units have one rate (no errors at all, say), resamples are alike too: the interval is then that of
        ``alike_rates``.

    Raises:
        ValueError: lengths differ, a count is negative, or there are no reference words.
    """
    edits, words = _counts(edits, words)
    if len(edits) == 1:
        return UNKNOWN
    if not _spread(edits, words):
        return alike_rates(float(edits.sum() / words.sum()), int(np.count_nonzero(words)))
    sums = _resampled_sums(np.stack([edits, words], axis=1), seed, resamples)
    return _percentiles(_ratio(sums[:, 0], sums[:, 1]))


def alike_rates(rate: float, num_units: int) -> Interval:
    """An interval of the mean rate where each of ``num_units`` units has the same rate, such as 0 or 1.

    By chance alone, that would happen at least ``(1 - LEVEL) / 2`` of the time if a share q of all units had another
    rate, (1 - q)^n = (1 - LEVEL) / 2 (Clopper and Pearson 1934; for no errors at 95% the "rule of three", q = 3.7 / n).
    Their rates are taken to lie between 0 and 1, so that the mean lies between (1 - q) rate and (1 - q) rate + q.
    """
    if num_units < 2:
        return UNKNOWN
    unseen = 1 - ((1 - LEVEL) / 2) ** (1 / num_units)
    return Interval((1 - unseen) * rate, (1 - unseen) * rate + unseen)


def bootstrap_difference(
    edits_a: Numbers, edits_b: Numbers, words: Numbers, seed: int = SEED, resamples: int = RESAMPLES
) -> tuple[Interval, float]:
    """Paired bootstrap of the error rate of system B minus that of system A on the same units.

    Both systems are seen on the same resample, so that what is hard for both cancels (Bisani and Ney 2004, section 3).

    Args:
        edits_a: ``(units,)`` edits of system A (the baseline).
        edits_b: ``(units,)`` edits of system B.
        words: ``(units,)`` reference words, the same for both.
        seed: of the resamples.
        resamples: number of resamples.

    Returns:
        The interval of ``rate_b - rate_a``, and the probability of improvement: the share of resamples in which B makes
        fewer errors than A. ``UNKNOWN`` and NaN for a single unit; ``UNKNOWN`` where all units differ alike, since
        equal resamples feign certainty.

    Raises:
        ValueError: lengths differ, a count is negative, or there are no reference words.
    """
    edits_a, words = _counts(edits_a, words)
    edits_b, _ = _counts(edits_b, words)
    if len(words) == 1:
        return UNKNOWN, math.nan
    sums = _resampled_sums(np.stack([edits_b - edits_a, words], axis=1), seed, resamples)
    # A difference of integer sums is exact, so that a tie counts as a tie.
    improvement = float(np.mean(sums[:, 0] < 0))
    if not _spread(edits_b - edits_a, words):
        return UNKNOWN, improvement
    return _percentiles(_ratio(sums[:, 0], sums[:, 1])), improvement


def t_interval(values: Numbers) -> Interval:
    """Student's t interval of the mean over seeds; ``UNKNOWN`` for fewer than two values, or where all are equal."""
    data = np.asarray(values, dtype=np.float64)
    if len(data) < 2 or not np.ptp(data):
        return UNKNOWN
    half = stats.t.ppf((1 + LEVEL) / 2, len(data) - 1) * data.std(ddof=1) / math.sqrt(len(data))
    return Interval(float(data.mean() - half), float(data.mean() + half))


def holm(p_values: Numbers) -> list[float]:
    """Adjusted p-values of the comparisons of one table (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    The i-th smallest of m is multiplied by m - i + 1; none may be below a smaller one, nor above 1. Those below a level
    are the ones that Holm's sequence of tests rejects, with at most that probability of any false rejection.

    Args:
        p_values: of the comparisons; NaN (undecided by design) stays NaN and does not count as a comparison.

    Raises:
        ValueError: a p-value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    if not ((p[known] >= 0) & (p[known] <= 1)).all():
        raise ValueError("p-values must lie between 0 and 1")
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(len(p), math.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return [float(value) for value in adjusted]


def median_iqr(values: Numbers) -> Spread:
    """Median and quartiles of, for example, step times.

    Raises:
        ValueError: there are no values.
    """
    data = np.asarray(values, dtype=np.float64)
    if not len(data):
        raise ValueError("a median needs at least one value, got none")
    low, median, high = np.percentile(data, [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def median_ratio(
    baseline_ms: Numbers, run_ms: Numbers, seed: int = SEED, resamples: int = RESAMPLES
) -> tuple[float, Interval]:
    """Speed-up: median step time of the baseline over that of the run, with a percentile bootstrap over the pairs.

    Args:
        baseline_ms: ``(pairs,)`` step times of the baseline in milliseconds, measured in turns with the run's.
        run_ms: ``(pairs,)`` step times of the run. A pair is resampled whole: what slows the machine slows both.
        seed: of the resamples.
        resamples: number of resamples.

    Returns:
        The ratio (above 1: the run is faster), and its interval, ``UNKNOWN`` for a single pair.

    Raises:
        ValueError: lengths differ, there are no pairs, or a time is not positive.
    """
    pairs = _columns(baseline_ms, run_ms, "baseline_ms", "run_ms")
    if not (np.isfinite(pairs).all() and (pairs > 0).all()):
        raise ValueError("step times must be positive numbers of milliseconds")
    ratio = float(np.median(pairs[:, 0]) / np.median(pairs[:, 1]))
    if len(pairs) == 1:
        return ratio, UNKNOWN
    generator = np.random.default_rng(seed)
    ratios = []
    for size in _chunks(len(pairs), resamples):
        medians = np.median(pairs[generator.integers(len(pairs), size=(size, len(pairs)))], axis=1)
        ratios.append(medians[:, 0] / medians[:, 1])
    return ratio, _percentiles(np.concatenate(ratios))


def _counts(edits: Numbers, words: Numbers) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    columns = _columns(edits, words, "edits", "words")
    if not (np.isfinite(columns).all() and (columns >= 0).all()):
        raise ValueError("edits and words must be counts, not negative or NaN")
    if not columns[:, 1].any():
        raise ValueError("an error rate needs reference words, got none")
    return columns[:, 0], columns[:, 1]


def _columns(first: Numbers, second: Numbers, first_name: str, second_name: str) -> npt.NDArray[np.float64]:
    if len(first) != len(second) or not len(first):
        raise ValueError(
            f"{first_name} and {second_name} must be equally long and not empty, got {len(first)} and {len(second)}"
        )
    return np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)], axis=1)


def _spread(edits: npt.NDArray[np.float64], words: npt.NDArray[np.float64]) -> bool:
    """Whether any unit's rate differs from the rate of all units; exact for counts."""
    return bool((edits * words.sum() != words * edits.sum()).any())


def _resampled_sums(columns: npt.NDArray[np.float64], seed: int, resamples: int) -> npt.NDArray[np.float64]:
    """``(resamples, columns)`` sums over resampled units of ``(units, columns)``, exact for integers."""
    draws = _draws(len(columns), seed, resamples)
    ends = np.cumsum(_chunks(len(columns), resamples))
    # Converting a chunk at a time to float64 lets BLAS do the sums without a second copy of all draws.
    parts = [part.astype(np.float64) @ columns for part in np.split(draws, ends[:-1])]
    return np.concatenate(parts)


@lru_cache(maxsize=2)
def _draws(num_units: int, seed: int, resamples: int) -> npt.NDArray[np.uint16]:
    """``(resamples, units)``: how often each unit is drawn. Kept, because every row of a table is resampled alike."""
    generator = np.random.default_rng(seed)
    shares = np.full(num_units, 1 / num_units)
    draws = np.empty((resamples, num_units), dtype=np.uint16)
    start = 0
    for size in _chunks(num_units, resamples):
        draws[start : start + size] = generator.multinomial(num_units, shares, size=size)
        start += size
    draws.setflags(write=False)
    return draws


def _chunks(num_units: int, resamples: int) -> list[int]:
    size = max(1, _CHUNK_ELEMENTS // num_units)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _ratio(numerator: npt.NDArray[np.float64], denominator: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ratios of the resamples that have reference words: a unit may have none."""
    held = denominator > 0
    return numerator[held] / denominator[held]


def _percentiles(values: npt.NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(low), float(high))
