"""The input and the result of a rule: the terms of a claim, the numbers of two groups, and a finding."""

import math
from dataclasses import dataclass, field
from typing import Literal

from lrsms.record.metric import Metric
from lrsms.record.metrics import WORDS
from lrsms.report.claims import Rule
from lrsms.report.paired import Paired
from lrsms.statistics import stats
from lrsms.statistics.convergence import Failures
from lrsms.statistics.crossed import Array
from lrsms.statistics.effects import Unit
from lrsms.statistics.stats import UNKNOWN, Interval
from lrsms.statistics.survival import LogRank

Verdict = Literal["supported", "contradicted", "undecided", "not run"]


@dataclass(frozen=True)
class Threshold:
    """The numbers that a claim states in advance, and the level of the look.

    Attributes:
        margin: the fraction of A's error rate that matters.
        least: the least margin, as a fraction of the words.
        times_fewer: least ratio of A's parameters to B's.
        speedup: least ratio of A's step time to B's.
        onset: the ratio at which degradation must be shown.
        level: level of two-sided intervals; a one-sided test has half of what is left.
    """

    margin: float = 0.1
    least: float = 0.0
    times_fewer: float | None = None
    speedup: float | None = None
    onset: float | None = None
    level: float = stats.LEVEL

    @property
    def alpha(self) -> float:
        """One-sided level."""
        return (1 - self.level) / 2


@dataclass(frozen=True)
class Doses:
    """Cells of rising dose, on the same seeds and units.

    Attributes:
        edits: ``(cells, seeds, units)``; the first is the dense model's.
        doses: doses of the cells; the dense model's is 0.
        words: ``(units,)`` reference words.
        unit: what a column is: speaker or utterance.
        dose: one unit of dose, in words.
        counted: how often each word is counted, which is once for each condition.
        other: a second group's edits and doses, whose slope is subtracted; None without.
    """

    edits: Array
    doses: tuple[float, ...]
    words: Array
    unit: Unit
    dose: str
    counted: int = 1
    other: tuple[Array, tuple[float, ...]] | None = None


@dataclass(frozen=True)
class Compared:
    """The numbers of a claim's two groups. A number that is unknown or not finished is None.

    Attributes:
        paired: their edits, on the seeds with which every run converged.
        failures: number of runs of each that did not converge.
        by_ratio: for each ratio, rising, the edits paired with the dense model's.
        doses: the edits of all cells by dose.
        log_rank: the test of how soon both begin to learn.
        parameters: parameters of A and of B.
        speedup: A's median step time over B's.
        speedup_interval: interval of that ratio.
        device: the device on which both steps were timed.
        metric: the metric that the edits count.
        losses: the same of each test loss that every run has, in place of edits.
    """

    paired: Paired | None = None
    failures: Failures | None = None
    by_ratio: tuple[tuple[float, Paired], ...] = ()
    doses: Doses | None = None
    log_rank: LogRank | None = None
    parameters: tuple[int, int] | None = None
    speedup: float | None = None
    speedup_interval: Interval = UNKNOWN
    device: str = ""
    metric: Metric = WORDS
    losses: tuple["Compared", ...] = ()

    @property
    def change(self) -> str:
        """Name of the value of a rule that compares rates."""
        return f"{self.metric.short} change ({self.metric.points})"


@dataclass(frozen=True)
class LossChange:
    """The change of a test loss: shown beside an error rate, on the same seeds, units and conditions.

    Attributes:
        metric: the loss.
        value: B's minus A's in the metric's unit, such as nats per token; of a trend, per unit of its dose.
        interval: of the level of the finding; unknown below three seeds.
        per: that dose; empty for other rules.
    """

    metric: Metric
    value: float
    interval: Interval
    per: str = ""


@dataclass(frozen=True)
class Finding:
    """The result of one rule for one comparison.

    Attributes:
        rule: name of the rule.
        verdict: the verdict by this rule alone.
        metric: name of ``value``.
        value: the effect: a difference of rates in the metric's points, or a ratio; NaN where unknown.
        interval: its interval at ``level``, in the same unit.
        because: the comparison behind the verdict, in a clause.
        excess: the rate minus the margin, in points; None for other rules.
        excess_interval: its interval; below zero is parity.
        p: one-sided p of the opposite of the claim; NaN where the rule is no test.
        df: degrees of freedom of the t distribution; NaN where the rule is no test.
        seeds: number of seeds on which error rates are compared; 0 where the rule needs none, as for ``units``,
            ``words`` and ``effective_units``.
        units: number of speakers or utterances.
        unit: speaker or utterance.
        words: reference words of the test set, counted once.
        effective_units: number of units of equal length that would weigh as much.
        device: the device of step times; empty for other rules.
        needs: what would decide it, in a sentence; empty unless undecided or not run.
        failures: runs of each group that did not converge; None where no runs are compared.
        level: level of the intervals.
        members: findings of the rule for each value of a family, by name.
        losses: changes of the test losses; they decide nothing.
    """

    rule: Rule
    verdict: Verdict
    metric: str
    value: float = math.nan
    interval: Interval = UNKNOWN
    because: str = ""
    excess: float | None = None
    excess_interval: Interval = UNKNOWN
    p: float = math.nan
    df: float = math.nan
    seeds: int = 0
    units: int = 0
    unit: Unit = "speaker"
    words: int = 0
    effective_units: float = 0.0
    device: str = ""
    needs: str = ""
    failures: Failures | None = None
    level: float = stats.LEVEL
    members: dict[str, "Finding"] = field(default_factory=dict)
    losses: tuple[LossChange, ...] = ()
