"""What a rule is given, and what it finds: the terms of a claim, the numbers of two groups, and a finding."""

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
    """What a claim states beforehand, and the level of the look.

    Attributes:
        margin: the fraction of A's error rate that matters.
        least: below which no margin falls, as a fraction of the words.
        times_fewer: least ratio of A's parameters to B's.
        speedup: least ratio of A's step time to B's.
        onset: the ratio at which degradation must be shown.
        level: of two-sided intervals; a test has half of what is left.
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
        doses: of the cells; the dense model's is 0.
        words: ``(units,)`` reference words.
        unit: what the columns are.
        dose: what one unit of dose is, in words.
        counted: how often each word is counted: once for every condition.
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
    """What is known of a claim's two groups; what is not known or not finished is None.

    Attributes:
        paired: their edits, on the seeds with which every run converged.
        failures: how many runs of each did not.
        by_ratio: of each ratio, rising, the edits beside the dense model's.
        doses: the edits of all cells by dose.
        log_rank: how soon both begin to learn.
        parameters: of A and of B.
        speedup: A's median step time over B's.
        speedup_interval: of that ratio.
        device: on what both steps were timed.
        metric: what the edits are of.
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
        """What a rule's value is that compares rates."""
        return f"{self.metric.short} change ({self.metric.points})"


@dataclass(frozen=True)
class LossChange:
    """What became of a test loss: shown beside an error rate, on the same seeds, units and conditions.

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
    """What one rule says of one comparison.

    Attributes:
        rule: its name.
        verdict: by this rule alone.
        metric: what ``value`` is.
        value: the effect: a difference of rates in the metric's points, or a ratio; NaN where unknown.
        interval: of the level ``level``, in the same unit.
        because: the comparison that the verdict rests on, in a clause.
        excess: by how much the rate exceeds the margin, in points; None for other rules.
        excess_interval: its interval: below zero is parity.
        p: one-sided, of the hypothesis that the claim denies; NaN where the rule is no test.
        df: degrees of freedom of the t distribution; NaN likewise.
        seeds: on which the error rates are compared; 0 where the rule needs none, as are ``units`` and ``words``.
        units: speakers or utterances.
        unit: which of them.
        words: reference words of the test set, counted once.
        effective_units: how many units of equal length weigh as much as these; 0 likewise.
        device: on what step times were measured; empty for other rules.
        needs: what would decide it, in a sentence; empty unless undecided or not run.
        failures: runs of each group that did not converge; None where no runs are compared.
        level: of the intervals.
        members: what the rule says of each value of a family, by name.
        losses: what became of the test losses; they decide nothing.
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
