"""Whether runs learned at all: an event of its own, beside the error rate of those that did.

A run that never leaves its first plateau has an error rate near 100%. One such seed among ten turns a mean of error
rates into a count of accidents: with a chance of 2% in one arm, a rule on the mean is wrong 13 to 67% of the time. So
convergence is counted, and error rates are compared on the seeds with which every compared run converged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

LEARNED = 0.5
"""An error rate on validation, a fraction, above which nothing useful was learned."""
TIMES_MEDIAN = 3.0
"""A run this many times worse than the median of all compared has not converged either, where that is worse."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Failures:
    """Runs that did not converge in two arms: A, the baseline, and B.

    Attributes:
        failed_a: runs of A that did not.
        runs_a: all of A.
        failed_b: runs of B that did not.
        runs_b: all of B.
    """

    failed_a: int
    runs_a: int
    failed_b: int
    runs_b: int

    @property
    def p(self) -> float:
        """Two-sided p of Fisher's exact test that both arms fail equally often."""
        return float(stats.fisher_exact(self._table).pvalue)

    @property
    def p_more(self) -> float:
        """One-sided: small where B fails more often than A."""
        return float(stats.fisher_exact(self._table, alternative="greater").pvalue)

    @property
    def more(self) -> bool:
        """Whether a larger share of B failed than of A."""
        return self.failed_b * self.runs_a > self.failed_a * self.runs_b

    @property
    def _table(self) -> npt.NDArray[np.int64]:
        passed_a, passed_b = self.runs_a - self.failed_a, self.runs_b - self.failed_b
        return np.array([[self.failed_b, passed_b], [self.failed_a, passed_a]])


def bar(final: Sequence[float]) -> float:
    """The error rate on validation at the end of training above which a run has not converged.

    Args:
        final: of all runs compared, as fractions; NaN for one that diverged, which does not move the median.
    """
    known = np.asarray(final, dtype=np.float64)
    known = known[~np.isnan(known)]
    return max(LEARNED, TIMES_MEDIAN * float(np.median(known))) if known.size else LEARNED


def failed(final: float, diverged: bool, highest: float) -> bool:
    """Whether a run has not converged: it diverged, or its error rate on validation ended above ``highest``.

    A record without a curve, whose error rate on validation is not known, counts as converged unless it diverged.
    """
    return diverged or final > highest


def most_likely_failures(runs: int) -> float:
    """Upper bound of the chance of failure where none of ``runs`` failed: 1 - 0.05^(1/n), 63% at 3, 26% at 10.

    With a larger chance, no failure at all would be rarer than 5% (Clopper and Pearson 1934, one-sided).

    Raises:
        ValueError: there are no runs.
    """
    if runs < 1:
        raise ValueError(f"a bound needs at least one run, got {runs}")
    return float(1 - (1 - CONFIDENCE) ** (1 / runs))
