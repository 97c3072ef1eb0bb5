"""How soon runs begin to learn: the step at which the error rate on validation first falls below 50%.

Some runs never do. They are *censored* at the end of their training: it is known that they took longer, not how much.
The share of runs still without having learned is Kaplan and Meier's (1958, *JASA* 53, 457-481), two groups are compared
by the log-rank test (Mantel 1966; Peto and Peto 1972, *JRSS A* 135, 185-207) with the hypergeometric variance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from lrsms.statistics.convergence import LEARNED
from lrsms.statistics.stats import UNKNOWN, Interval

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Time:
    """Steps until a run learned, or until it was seen last without having done so.

    Attributes:
        steps: of the optimizer.
        learned: False where the run is censored.
    """

    steps: float
    learned: bool


@dataclass(frozen=True)
class LogRank:
    """The log-rank test of group B against A.

    Attributes:
        observed: runs of B that learned.
        expected: how many would have, if both groups learned at one rate.
        variance: of ``observed`` under that hypothesis; 0 where no run learned while both groups were waiting.
        z: above zero B learned sooner; NaN where no run of either learned while both groups were waiting.
        p: two-sided.
    """

    observed: float
    expected: float
    variance: float
    z: float
    p: float

    @property
    def p_sooner(self) -> float:
        """One-sided: small where B learned sooner than A."""
        return float(stats.norm.sf(self.z))

    @property
    def p_later(self) -> float:
        """One-sided: small where B learned later than A."""
        return float(stats.norm.cdf(self.z))

    def hazard_ratio(self, level: float) -> tuple[float, Interval]:
        """How many times the rate at which B learns is A's, by Peto's one step: exp((O - E) / V); NaN where V is 0."""
        if not self.variance:
            return math.nan, UNKNOWN
        log, half = (self.observed - self.expected) / self.variance, stats.norm.isf((1 - level) / 2)
        half /= math.sqrt(self.variance)
        return math.exp(log), Interval(math.exp(log - half), math.exp(log + half))


def time_to_learn(steps: Sequence[float], rates: Sequence[float], last: float) -> Time:
    """The first step at which the error rate is below 50%, at the times when it was measured.

    Args:
        steps: of the measurements, rising.
        rates: error rates, as fractions; NaN where there was no measurement.
        last: step at which a run that never learned is censored: the end of training as it was asked for, also for a
            run that diverged, since that will not learn either.
    """
    below = [step for step, rate in zip(steps, rates, strict=True) if rate < LEARNED]
    return Time(below[0], True) if below else Time(last, False)


def kaplan_meier(times: Sequence[Time]) -> tuple[Array, Array]:
    """Share of runs that have not learned yet: ``(steps, shares)`` of a curve that falls at each of ``steps``.

    The curve begins with the share 1 at step 0.

    Raises:
        ValueError: there are no runs.
    """
    if not times:
        raise ValueError("a Kaplan-Meier curve needs at least one run, got none")
    events = np.unique([time.steps for time in times if time.learned])
    waiting = np.array([sum(time.steps >= step for time in times) for step in events], dtype=np.float64)
    learned = np.array([sum(time.learned and time.steps == step for time in times) for step in events])
    shares = np.cumprod(1 - learned / waiting) if events.size else np.array([])
    return np.concatenate([[0.0], events]), np.concatenate([[1.0], shares])


def log_rank(times_a: Sequence[Time], times_b: Sequence[Time]) -> LogRank:
    """Whether group B learns sooner than group A.

    Raises:
        ValueError: a group has no runs.
    """
    if not times_a or not times_b:
        raise ValueError("a log-rank test needs at least one run in each group")
    observed = expected = variance = 0.0
    for step in sorted({time.steps for time in (*times_a, *times_b) if time.learned}):
        waiting_a, waiting_b = (sum(time.steps >= step for time in group) for group in (times_a, times_b))
        now_a, now_b = (sum(t.learned and t.steps == step for t in group) for group in (times_a, times_b))
        waiting, now = waiting_a + waiting_b, now_a + now_b
        share = waiting_b / waiting
        observed, expected = observed + now_b, expected + now * share
        if waiting > 1:
            variance += now * share * (1 - share) * (waiting - now) / (waiting - 1)
    if variance == 0:
        return LogRank(observed, expected, 0.0, math.nan, math.nan)
    z = (observed - expected) / math.sqrt(variance)
    return LogRank(observed, expected, variance, z, float(2 * stats.norm.sf(abs(z))))
