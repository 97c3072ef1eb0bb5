"""Rules that turn a comparison into a verdict: supported, contradicted, or undecided at this number of seeds and units.

Every rule is one small function of ``RULES``. A rule that concerns word error rates rests on the crossed model of seeds
and units (``effects``) and its two-sided 95% interval, so that each verdict is wrong at the boundary of its hypothesis
in at most about 2.5% of studies; ``p`` is the one-sided p of what the claim denies. Fewer than ``MIN_SEEDS`` seeds are
undecided by design: the variance between trainings is then a guess.

Counted parameters are exact and measured step times have an interval of their own: neither needs seeds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lrsms.record.metric import Metric
from lrsms.record.metrics import WORDS
from lrsms.report.claims import Rule
from lrsms.report.paired import Paired
from lrsms.statistics import effects, power
from lrsms.statistics.effects import MIN_SEEDS, Effect, Unit
from lrsms.statistics.stats import UNKNOWN, Interval

Verdict = Literal["supported", "contradicted", "undecided", "not run"]


@dataclass(frozen=True)
class Threshold:
    """What a claim states beforehand.

    Attributes:
        margin: by which fraction of A's error rate B may exceed it and still be on a par.
        times_fewer: least ratio of A's parameters to B's.
        speedup: least ratio of A's step time to B's.
    """

    margin: float = 0.1
    times_fewer: float | None = None
    speedup: float | None = None


@dataclass(frozen=True)
class Compared:
    """What is known of a claim's two groups; what is not known or not finished is None.

    Attributes:
        paired: their edits.
        parameters: of A and of B.
        speedup: A's median step time over B's.
        speedup_interval: of that ratio.
        device: on what both steps were timed.
        metric: what the edits are of.
    """

    paired: Paired | None = None
    parameters: tuple[int, int] | None = None
    speedup: float | None = None
    speedup_interval: Interval = UNKNOWN
    device: str = ""
    metric: Metric = WORDS

    @property
    def change(self) -> str:
        """What a rule's value is that compares rates."""
        return f"{self.metric.short} change ({self.metric.points})"


@dataclass(frozen=True)
class Finding:
    """What one rule says of one comparison.

    Attributes:
        rule: its name.
        verdict: by this rule alone.
        metric: what ``value`` is.
        value: the effect: a difference of rates in the metric's points, or a ratio; NaN where unknown.
        interval: of the level ``stats.LEVEL``, in the same unit.
        because: the comparison that the verdict rests on, in a clause.
        excess: by how much the rate exceeds the margin, in points; None for other rules.
        excess_interval: its interval: below zero is parity.
        p: one-sided, of the hypothesis that the claim denies; NaN where the rule is no test.
        df: degrees of freedom of the t distribution; NaN likewise.
        seeds: of each group; 0 where the rule needs none, as are ``units`` and ``words``.
        units: speakers or utterances.
        unit: which of them.
        words: reference words of the test set, counted once.
        effective_units: how many units of equal length weigh as much as these; 0 likewise.
        device: on what step times were measured; empty for other rules.
        needs: what would decide it, in a sentence; empty unless undecided or not run.
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


def judge(rule: Rule, compared: Compared, threshold: Threshold) -> Finding:
    """What a rule says; ``needs`` is left to ``what_would_decide``, which takes longer than all the rest.

    Args:
        rule: one of ``RULES``.
        compared: A (the baseline) and B.
        threshold: as stated beforehand.
    """
    return RULES[rule](compared, threshold)


def combine(findings: Sequence[Finding]) -> Verdict:
    """A conjunction: contradicted if any part is, supported if all are."""
    verdicts = [finding.verdict for finding in findings]
    order: tuple[Verdict, ...] = ("contradicted", "not run", "undecided")
    return next((verdict for verdict in order if verdict in verdicts), "supported")


def parity(compared: Compared, threshold: Threshold) -> Finding:
    """Non-inferiority: B's rate is below (1 + margin) times A's; better than A is parity too."""
    paired = compared.paired
    if paired is None:
        return Finding("parity", "not run", compared.change)
    difference, excess = _difference(paired), _excess(paired, threshold)
    margin = f"{100 * threshold.margin:g}% of the baseline's {compared.metric.short}"
    finding = _finding("parity", compared, difference, excess, excess.p_below())
    if excess.seeds < MIN_SEEDS or math.isnan(excess.se):
        return _undetermined(finding)
    if excess.interval.high < 0:
        return replace(finding, verdict="supported", because=f"what exceeds {margin} lies below zero")
    if excess.interval.low > 0:
        return replace(finding, verdict="contradicted", because=f"what exceeds {margin} lies above zero")
    return replace(finding, because=f"what exceeds {margin} may lie on either side of zero")


def degradation(compared: Compared, threshold: Threshold) -> Finding:
    """B is worse than A, and not on a par with it: a loss within the margin is called parity everywhere."""
    paired = compared.paired
    if paired is None:
        return Finding("degradation", "not run", compared.change)
    difference, excess = _difference(paired), _excess(paired, threshold)
    finding = _finding("degradation", compared, difference, excess, difference.p_above())
    if difference.seeds < MIN_SEEDS or math.isnan(difference.se) or math.isnan(excess.se):
        return _undetermined(finding)
    if excess.interval.high < 0:
        within = f"parity is shown at {100 * threshold.margin:g}% of the baseline's {compared.metric.short}"
        worse = ": the loss is certain, but smaller than that" if difference.interval.low > 0 else ""
        return replace(finding, verdict="contradicted", because=within + worse)
    if difference.interval.high < 0:
        return replace(finding, verdict="contradicted", because="the change lies below zero")
    if difference.interval.low > 0:
        return replace(finding, verdict="supported", because="the change lies above zero")
    return replace(finding, because="the change may be none, and may exceed the margin")


def improvement(compared: Compared, _: Threshold) -> Finding:
    """B is better than A."""
    paired = compared.paired
    if paired is None:
        return Finding("improvement", "not run", compared.change)
    difference = _difference(paired)
    finding = _finding("improvement", compared, difference, None, difference.p_below())
    if difference.seeds < MIN_SEEDS or math.isnan(difference.se):
        return _undetermined(finding)
    if difference.interval.high < 0:
        return replace(finding, verdict="supported", because="the change lies below zero")
    if difference.interval.low > 0:
        return replace(finding, verdict="contradicted", because="the change lies above zero")
    return replace(finding, because="the change may lie on either side of zero")


def fewer_parameters(compared: Compared, threshold: Threshold) -> Finding:
    """A has at least ``times_fewer`` times B's parameters: counted, not estimated."""
    if compared.parameters is None:
        return Finding("fewer_parameters", "not run", _FEWER)
    assert threshold.times_fewer is not None, "a claim states how many times fewer"
    before, after = compared.parameters
    times = before / after
    holds = before >= threshold.times_fewer * after
    return Finding(
        "fewer_parameters",
        "supported" if holds else "contradicted",
        _FEWER,
        times,
        Interval(times, times),
        f"{before:,} and {after:,}, {'at least' if holds else 'less than'} {threshold.times_fewer:g} times, counted",
    )


def faster(compared: Compared, threshold: Threshold) -> Finding:
    """B's step is ``speedup`` times faster: the interval of the measured ratio lies at or above it."""
    if compared.speedup is None:
        return Finding("faster", "not run", _SPEEDUP)
    assert threshold.speedup is not None, "a claim states how much faster"
    finding = Finding("faster", "undecided", _SPEEDUP, compared.speedup, compared.speedup_interval)
    finding = replace(finding, device=compared.device)
    low, high = finding.interval.low, finding.interval.high
    if math.isnan(low):
        return replace(finding, because="a single pair of steps determines no interval")
    if low >= threshold.speedup:
        return replace(finding, verdict="supported", because=f"not below {threshold.speedup:g}")
    if high < threshold.speedup:
        return replace(finding, verdict="contradicted", because=f"below {threshold.speedup:g}")
    return replace(finding, because=f"on both sides of {threshold.speedup:g}")


RULES: dict[Rule, Callable[[Compared, Threshold], Finding]] = {
    "parity": parity,
    "degradation": degradation,
    "improvement": improvement,
    "fewer_parameters": fewer_parameters,
    "faster": faster,
}
_FEWER, _SPEEDUP = "times fewer parameters", "speed-up of a training step"


def what_would_decide(finding: Finding, compared: Compared, threshold: Threshold) -> str:
    """A sentence on the seeds or units that an undecided finding lacks; nothing for others.

    For parity the truth is taken to be no difference, or the excess that was observed where this study would have shown
    parity of equals already; for the other rules, the difference that was observed.
    """
    if finding.verdict != "undecided":
        return ""
    if finding.rule == "faster":
        return "To decide: time more steps (--seconds of the verb steptime) on a machine that is otherwise idle."
    paired = compared.paired
    assert paired is not None, "undecided rates were compared"
    if finding.seeds < MIN_SEEDS:
        return f"To decide: at least {MIN_SEEDS} seeds of each; there {'is' if finding.seeds == 1 else 'are'} only" + (
            f" {finding.seeds}."
        )
    scale, points = compared.metric.scale, compared.metric.points
    if finding.rule == "parity":
        effect, size = _excess(paired, threshold), threshold.margin * paired.rates[0]
        aim = f"the margin ({scale * size:.2f} {points}) if there is no difference"
    else:
        effect = _difference(paired)
        size = abs(effect.difference)
        aim = f"a difference of {scale * size:.2f} {points}, as observed"
    if math.isnan(effect.se) or size == 0:
        return f"To decide: a larger test set; these {finding.units} {finding.unit}s show no difference to plan from."
    shown = power.power(effect.components, size, effect.seeds, effect.units) >= power.TARGET
    if finding.rule == "parity" and shown and effect.difference != 0:
        size = abs(effect.difference)
        aim = f"an excess of {scale * effect.difference:+.2f} {points} over the margin, as observed,"
    seeds = power.seeds_needed(effect.components, size, effect.units)
    units = power.units_needed(effect.components, size, effect.seeds)
    ways = []
    if seeds.number is not None:
        ways.append(f"{seeds.number} seeds with these {effect.units} {effect.unit}s")
    if units.number is not None:
        ways.append(f"{units.number:,} {effect.unit}s with these {effect.seeds} seeds")
    if not ways:
        return f"To decide: {seeds.reason}."
    return f"To show {aim} with probability {power.TARGET:g}: about {' or '.join(ways)}."


def _difference(paired: Paired) -> Effect:
    return effects.difference(paired.edits_a, paired.edits_b, paired.words, paired.unit)


def _excess(paired: Paired, threshold: Threshold) -> Effect:
    return effects.noninferiority(paired.edits_a, paired.edits_b, paired.words, threshold.margin, paired.unit)


def _finding(rule: Rule, compared: Compared, difference: Effect, excess: Effect | None, p: float) -> Finding:
    assert compared.paired is not None, "rates were compared"
    scale = compared.metric.scale
    return Finding(
        rule,
        "undecided",
        compared.change,
        scale * difference.difference,
        _scaled(difference.interval, scale),
        "",
        None if excess is None else scale * excess.difference,
        UNKNOWN if excess is None else _scaled(excess.interval, scale),
        p,
        difference.df if excess is None or rule == "degradation" else excess.df,
        difference.seeds,
        difference.units,
        difference.unit,
        difference.words // compared.paired.pairs,
        difference.effective_units,
    )


def _undetermined(finding: Finding) -> Finding:
    if finding.seeds < MIN_SEEDS:
        seeds = "one seed" if finding.seeds == 1 else f"{finding.seeds} seeds"
        return replace(finding, because=f"{seeds} cannot decide, by design")
    return replace(finding, because=f"{finding.units} {finding.unit}s without any spread determine no interval")


def _scaled(interval: Interval, scale: float) -> Interval:
    return Interval(scale * interval.low, scale * interval.high)
