"""What training again, and other speakers, would do to a difference of error rates: what verdicts rest on.

Systems A and B are each trained with the same seeds and tested on the same units: speakers, or utterances where
speakers are unknown or there is one alone. The mean of the paired differences of edits, its standard error and its
degrees of freedom are those of the ``crossed`` model of seeds and units; here are the questions that are asked of it.

**Looks** (see ``looks``) test at levels far below 2.5%, where an approximation made for the middle of the distribution
does not reach: at 0.22% and three seeds it rejects a true hypothesis up to 0.78% of the time. So at such a level a
verdict counts at most S - 1 degrees of freedom below ``FEW_SEEDS`` seeds (``decisive``), which gives at most 0.22%. At
2.5%, where there is one look, the approximation holds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from lrsms.statistics import crossed
from lrsms.statistics.crossed import Array, Components
from lrsms.statistics.stats import LEVEL, UNKNOWN, Interval, Numbers, effective_units

Unit = Literal["speaker", "utterance"]
Table = Sequence[Numbers] | npt.NDArray[np.float64] | npt.NDArray[np.int64]

MIN_SEEDS = 3
"""With fewer trainings of each system there is an interval but no p: the variance between them is then a guess."""
FEW_SEEDS = 6
"""Below this number a look counts no more degrees of freedom than Student's over seeds."""
_NO_SPREAD = 1e-12
"""Values whose range is below this share of the largest differ by rounding only."""


@dataclass(frozen=True)
class Effect:
    """A difference of corpus error rates, B minus A, with the uncertainty of other seeds and other units.

    One seed, one unit, or a table without any spread determine no interval: ``se``, ``df`` and ``p`` are then NaN and
    the interval ``UNKNOWN``, which no verdict can rest on. With fewer than ``MIN_SEEDS`` seeds every p is NaN.
    """

    difference: float
    """The value as a fraction of the reference words; below zero, B makes fewer errors."""
    se: float
    df: float
    """Satterthwaite's degrees of freedom of the t distribution."""
    interval: Interval
    """Two-sided interval at the level ``LEVEL``."""
    p: float
    """Two-sided p of the hypothesis that there is no difference, by ``df``."""
    seeds: int
    units: int
    words: int
    """Reference words of the test set, counted once."""
    unit: Unit
    effective_units: float
    """How many units of equal length weigh as much as these: see ``stats.effective_units``."""
    components: Components

    def df_at(self, level: float) -> float:
        """Degrees of freedom that a verdict counts at the level of its two-sided interval."""
        return float(decisive(self.df, self.seeds, level))

    def p_below(self, margin: float = 0.0, level: float = LEVEL) -> float:
        """One-sided p of the hypothesis that the true difference is ``margin`` or more; small speaks for less."""
        return float(stats.t.cdf(self._t(margin), self.df_at(level)))

    def p_above(self, margin: float = 0.0, level: float = LEVEL) -> float:
        """One-sided p of the hypothesis that the true difference is ``margin`` or less; small speaks for more."""
        return float(stats.t.sf(self._t(margin), self.df_at(level)))

    def interval_at(self, level: float) -> Interval:
        """The two-sided interval of another level, which agrees with the one-sided p of that level."""
        half = float(stats.t.ppf((1 + level) / 2, self.df_at(level))) * self.se
        return Interval(self.difference - half, self.difference + half)

    def _t(self, margin: float) -> float:
        return (self.difference - margin) / self.se if self.seeds >= MIN_SEEDS else math.nan


def decisive(df: float | Array, seeds: int, level: float) -> float | Array:
    """Degrees of freedom that a verdict counts, of Satterthwaite's: see the head of this file.

    Args:
        df: Satterthwaite's.
        seeds: of each system.
        level: of the two-sided interval that agrees with the test.
    """
    is_extreme = level > LEVEL and not math.isclose(level, LEVEL)
    return np.minimum(df, seeds - 1) if is_extreme and seeds < FEW_SEEDS else df


def difference(edits_a: Table, edits_b: Table, words: Numbers, unit: Unit = "speaker") -> Effect:
    """The error rate of B minus that of A.

    Args:
        edits_a: ``(seeds, units)`` edits of system A (the baseline).
        edits_b: ``(seeds, units)`` edits of system B, trained with the same seeds in the same order.
        words: ``(units,)`` reference words.
        unit: what the columns are.

    Raises:
        ValueError: shapes do not fit, a count is negative or missing, or there are no reference words.
    """
    a, b, words = _checked(edits_a, edits_b, words)
    return _effect(b - a, words, unit)


def noninferiority(edits_a: Table, edits_b: Table, words: Numbers, margin: float, unit: Unit = "speaker") -> Effect:
    """By how much B's error rate exceeds (1 + margin) times that of A: parity where the interval lies below zero.

    The allowance ``margin * WER_a`` is itself estimated. Instead of taking it for known, the model is fitted to
    ``edits_b - (1 + margin) edits_a``, whose mean is below zero exactly where WER_b < (1 + margin) WER_a (Fieller 1954,
    "Some problems in interval estimation", *JRSS B* 16): the chance in A's rate is then in the standard error, and its
    correlation with B's is used. B better than A counts as parity by itself. A margin below zero asks for a gain: the
    excess of -0.1 is above zero exactly where B is not 10% better.

    Args:
        edits_a: ``(seeds, units)`` edits of system A (the baseline).
        edits_b: ``(seeds, units)`` edits of system B, trained with the same seeds in the same order.
        words: ``(units,)`` reference words.
        margin: what is tolerated, relative to A's error rate: 0.1 is 10%.
        unit: what the columns are.

    Returns:
        The excess as an ``Effect``: ``p_below()`` is the one-sided p of inferiority by the margin or more,
        ``p_above()`` that of its contrary.

    Raises:
        ValueError: as ``difference``, or the margin is not above -1.
    """
    if not -1 < margin < math.inf:
        raise ValueError(f"a margin is a fraction of A's error rate above -1, such as 0.1, got {margin}")
    a, b, words = _checked(edits_a, edits_b, words)
    return _effect(b - (1 + margin) * a, words, unit)


def beyond(edits_a: Table, edits_b: Table, words: Numbers, points: float, unit: Unit = "speaker") -> Effect:
    """By how much B's error rate exceeds A's plus ``points`` (a fraction of the words; below zero, a gain).

    Raises:
        ValueError: as ``difference``.
    """
    a, b, words = _checked(edits_a, edits_b, words)
    return _effect(b - a - points * words, words, unit)


def trend(
    edits: Sequence[Table], doses: Numbers, words: Numbers, unit: Unit = "speaker", minus: Table | None = None
) -> Effect:
    """The slope of the error rate over the dose, by least squares over the cells, with each seed and unit its own.

    With cells c at the doses x_c, kappa_c = (x_c - mean x) / sum (x - mean x)^2 are the weights of the least-squares
    slope; d_sk = sum over c of kappa_c edits_csk is the slope of one seed and one unit, and the crossed model of d says
    how much it would differ with other seeds and other units.

    Args:
        edits: of each cell ``(seeds, units)``, all with the same seeds and units.
        doses: of each cell; a dense model has 0.
        words: ``(units,)`` reference words.
        unit: what the columns are.
        minus: ``(seeds, units)`` edits per unit of dose to be subtracted from the slope, such as another group's slope
            or a margin; nothing if None.

    Returns:
        The change of the error rate, a fraction, per unit of dose.

    Raises:
        ValueError: as ``difference``; the doses are fewer than two, all alike, or not one for each cell.
    """
    tables = [_checked(table, table, words)[0] for table in edits]
    kappa = contrast(doses)
    if len(tables) != len(kappa) or any(table.shape != tables[0].shape for table in tables):
        raise ValueError(
            f"a trend needs one table for each dose, all alike in shape, got {len(tables)} for {len(kappa)}"
        )
    slopes = np.tensordot(kappa, np.stack(tables), axes=1)
    if minus is not None:
        slopes = slopes - np.asarray(minus, dtype=np.float64)
    return _effect(slopes, np.asarray(words, dtype=np.float64), unit)


def contrast(doses: Numbers) -> Array:
    """The weights of the least-squares slope: they sum to zero, and their product with the doses is one.

    Raises:
        ValueError: fewer than two doses differ.
    """
    x = np.asarray(doses, dtype=np.float64)
    centred = x - x.mean()
    if x.size < 2 or not np.ptp(x) > 0:
        raise ValueError(f"a trend needs at least two doses, got {x.tolist()}")
    return centred / np.sum(centred**2)


def step_down(p_values: Sequence[float], alpha: float) -> int:
    """How many hypotheses of a fixed sequence are rejected: each at ``alpha``, up to the first that is not.

    Tested in an order that was fixed beforehand, all of them together are wrong with at most ``alpha`` (Tamhane,
    Hochberg and Dunnett 1996, "Multiple test procedures for dose finding", *Biometrics* 52, 21-37).
    """
    rejected = [p <= alpha for p in p_values]
    return rejected.index(False) if False in rejected else len(rejected)


def _checked(edits_a: Table, edits_b: Table, words: Numbers) -> tuple[Array, Array, Array]:
    a, b, counts = (np.asarray(values, dtype=np.float64) for values in (edits_a, edits_b, words))
    if a.ndim != 2 or not a.size or a.shape != b.shape or counts.shape != a.shape[1:]:
        raise ValueError(
            "edits_a and edits_b must be (seeds, units) and words (units,), none empty,"
            f" got {a.shape}, {b.shape} and {counts.shape}"
        )
    if not all(np.isfinite(values).all() and (values >= 0).all() for values in (a, b, counts)):
        raise ValueError("edits and words must be counts, not negative or NaN: leave out seeds that are not finished")
    if not counts.any():
        raise ValueError("an error rate needs reference words, got none")
    return a, b, counts


def _effect(differences: Array, words: Array, unit: Unit) -> Effect:
    """The model fitted to ``(seeds, units)`` differences of edits."""
    num_seeds, num_units = differences.shape
    mean = float(differences.sum() / (num_seeds * words.sum()))
    values = crossed.linearised(differences, words, mean)
    spread = values.max() - values.min() > _NO_SPREAD * np.abs(differences / words.mean()).max()
    se = df = p = math.nan
    interval, components = UNKNOWN, Components(math.nan, math.nan, math.nan)
    weigh_as = effective_units(words)
    if num_seeds > 1 and weigh_as > 1 and spread:
        squares = crossed.mean_squares(values, crossed.leverage(words))
        seed, within, residual = map(float, squares)
        components = crossed.components(seed, within, residual, num_seeds, num_units)
        se, df = (float(value) for value in crossed.standard_error(*squares, num_seeds, num_units, weigh_as))
        half = float(stats.t.ppf((1 + LEVEL) / 2, df)) * se
        interval = Interval(mean - half, mean + half)
        p = float(2 * stats.t.sf(abs(mean) / se, df)) if num_seeds >= MIN_SEEDS else math.nan
    return Effect(mean, se, df, interval, p, num_seeds, num_units, int(words.sum()), unit, weigh_as, components)
