"""The rules of trained runs: parity, degradation, improvement, trend, onset, sooner.

Each rule compares A, the baseline, with B. It says *supported*, *contradicted* or *undecided* at the level of the look.
The claim states a margin in advance: a fraction of A's error rate, and at least some points. Parity and improvement are
supported only if B does not fail to converge more often than A. If a group fails more often, by Fisher's exact test at
the same level, it is worse, whatever the error rate of its runs that converged.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lrsms.record.metric import Metric
from lrsms.report.claims import Rule
from lrsms.report.finding import Compared, Doses, Finding, Threshold, Verdict
from lrsms.report.paired import Paired
from lrsms.statistics import effects
from lrsms.statistics.convergence import Failures
from lrsms.statistics.effects import MIN_SEEDS, Effect
from lrsms.statistics.stats import UNKNOWN, Interval

_SOONER = "times the rate of beginning to learn"


def parity(compared: Compared, threshold: Threshold) -> Finding:
    """Non-inferiority: B's rate is below A's rate plus the margin. A rate better than A's is parity too."""
    if compared.paired is None:
        return _without_rates("parity", compared, threshold, worse="contradicted")
    margin, excess = allowance(compared.paired, threshold, compared.metric), excess_of(compared.paired, threshold)
    finding = _finding("parity", compared, threshold, excess, excess.p_below(level=threshold.level))
    if fails_more(compared.failures, threshold.alpha):
        return replace(finding, verdict="contradicted", because=_less_often(compared.failures))
    if undetermined := _undetermined(finding, excess):
        return undetermined
    if excess.interval_at(threshold.level).high < 0:
        return _unless_it_fails(finding, compared.failures, f"what exceeds {margin} lies below zero")
    if excess.interval_at(threshold.level).low > 0:
        return replace(finding, verdict="contradicted", because=f"what exceeds {margin} lies above zero")
    return replace(finding, because=f"what exceeds {margin} may lie on either side of zero")


def degradation(compared: Compared, threshold: Threshold) -> Finding:
    """B is worse than A by more than parity allows: a loss within the margin counts as parity everywhere."""
    if compared.paired is None:
        return _without_rates("degradation", compared, threshold, worse="supported")
    difference, excess = difference_of(compared.paired), excess_of(compared.paired, threshold)
    finding = _finding("degradation", compared, threshold, excess, difference.p_above(level=threshold.level))
    if fails_more(compared.failures, threshold.alpha):
        return replace(finding, verdict="supported", because=_less_often(compared.failures))
    if undetermined := _undetermined(finding, difference, excess):
        return undetermined
    change, beyond = difference.interval_at(threshold.level), excess.interval_at(threshold.level)
    if beyond.high < 0:
        within = f"parity is shown at {allowance(compared.paired, threshold, compared.metric)}"
        worse = ": the loss is certain, but smaller than that" if change.low > 0 else ""
        return _unless_it_fails(finding, compared.failures, within + worse, "contradicted")
    if change.high < 0:
        return _unless_it_fails(finding, compared.failures, "the change lies below zero", "contradicted")
    if change.low > 0:
        return replace(finding, verdict="supported", because="the change lies above zero")
    return replace(finding, because="the change may be none, and may exceed the margin")


def improvement(compared: Compared, threshold: Threshold) -> Finding:
    """B is better than A; contradicted if B is worse, or if a gain of the margin is excluded."""
    if compared.paired is None:
        return _without_rates("improvement", compared, threshold, worse="contradicted")
    difference, short = difference_of(compared.paired), excess_of(compared.paired, threshold, gain=True)
    finding = _finding("improvement", compared, threshold, short, difference.p_below(level=threshold.level))
    if fails_more(compared.failures, threshold.alpha):
        return replace(finding, verdict="contradicted", because=_less_often(compared.failures))
    if undetermined := _undetermined(finding, difference, short):
        return undetermined
    change = difference.interval_at(threshold.level)
    if change.high < 0:
        return _unless_it_fails(finding, compared.failures, "the change lies below zero")
    if change.low > 0:
        return replace(finding, verdict="contradicted", because="the change lies above zero")
    gain = allowance(compared.paired, threshold, compared.metric)
    if short.interval_at(threshold.level).low > 0:
        return replace(finding, verdict="contradicted", because=f"a gain of {gain} is excluded")
    return replace(finding, because=f"the change may be none, and may be a gain of {gain}")


def trend(compared: Compared, threshold: Threshold) -> Finding:
    """The error rate rises with the dose; contradicted if it falls, or if its whole rise is below the margin."""
    doses = compared.doses
    if doses is None:
        return _undecidable("trend", compared, threshold)
    slope, excess = slope_of(doses, threshold)
    finding = replace(
        _finding(
            "trend",
            replace(compared, paired=_first(doses)),
            threshold,
            None,
            slope.p_above(level=threshold.level),
            slope,
        ),
        metric=f"{compared.change} per {doses.dose}",
        excess=compared.metric.scale * excess.difference,
        excess_interval=_scaled(excess.interval_at(threshold.level), compared.metric.scale),
    )
    if undetermined := _undetermined(finding, slope, excess):
        return undetermined
    interval = slope.interval_at(threshold.level)
    if interval.low > 0:
        return replace(finding, verdict="supported", because="the slope lies above zero")
    if interval.high < 0:
        return replace(finding, verdict="contradicted", because="the slope lies below zero")
    if excess.interval_at(threshold.level).high < 0:
        return replace(finding, verdict="contradicted", because="over all doses the rise is smaller than the margin")
    return replace(finding, because="the slope may be none, and the rise over all doses may exceed the margin")


def onset(compared: Compared, threshold: Threshold) -> Finding:
    """Degradation is shown from the lowest ratio up to ``onset``: a fixed sequence, each ratio at the look's level."""
    if not compared.by_ratio:
        return _undecidable("onset", compared, threshold)
    assert threshold.onset is not None, "a claim states where degradation begins"
    effects_ = [(ratio, difference_of(paired)) for ratio, paired in compared.by_ratio]
    p_values = [effect.p_above(level=threshold.level) for _, effect in effects_]
    reached = effects.step_down(p_values, threshold.alpha)
    at = next((n for n, (ratio, _) in enumerate(effects_) if math.isclose(ratio, threshold.onset)), len(effects_) - 1)
    here = replace(compared, paired=compared.by_ratio[at][1])
    found = degradation(here, threshold)
    shown = ", ".join(f"{ratio:g}" for ratio, _ in effects_[:reached])
    because = (
        f"a loss is shown, from the lowest ratio up, at {shown}"
        if reached
        else "not even the lowest ratio shows a loss"
    )
    finding = replace(found, rule="onset", p=float(np.max(p_values[: at + 1])), verdict="undecided", because=because)
    if reached > at:
        return replace(finding, verdict="supported")
    if found.verdict == "contradicted":
        return replace(finding, verdict="contradicted", because=f"{because}; at {effects_[at][0]:g}, {found.because}")
    return finding


def sooner(compared: Compared, threshold: Threshold) -> Finding:
    """B begins to learn sooner than A: the log-rank test of the steps until validation falls below 50%."""
    test = compared.log_rank
    if test is None:
        return Finding("sooner", "not run", _SOONER)
    ratio, interval = test.hazard_ratio(threshold.level)
    runs = compared.failures.runs_b if compared.failures else 0
    finding = Finding("sooner", "undecided", _SOONER, ratio, interval, p=test.p_sooner, failures=compared.failures)
    finding = replace(finding, level=threshold.level, seeds=runs)
    if runs < MIN_SEEDS or math.isnan(test.z):
        return replace(finding, because="too few runs began to learn" if runs >= MIN_SEEDS else _few(runs))
    if test.p_sooner <= threshold.alpha:
        return replace(finding, verdict="supported", because="it leaves the first plateau sooner (log-rank)")
    if test.p_later <= threshold.alpha:
        return replace(finding, verdict="contradicted", because="it leaves the first plateau later (log-rank)")
    return replace(finding, because="which leaves the first plateau sooner is not shown (log-rank)")


RULES: dict[Rule, Callable[[Compared, Threshold], Finding]] = {
    "parity": parity,
    "degradation": degradation,
    "improvement": improvement,
    "trend": trend,
    "onset": onset,
    "sooner": sooner,
}


def difference_of(paired: Paired) -> Effect:
    """B's rate minus A's."""
    return effects.difference(paired.edits_a, paired.edits_b, paired.words, paired.unit)


def excess_of(paired: Paired, threshold: Threshold, gain: bool = False) -> Effect:
    """B's rate minus A's rate and the margin; or, for a ``gain``, plus the margin. Above zero, B misses the margin."""
    tables = paired.edits_a, paired.edits_b, paired.words
    sign = -1 if gain else 1
    if by_points(paired, threshold):
        return effects.beyond(*tables, sign * threshold.least, paired.unit)
    return effects.noninferiority(*tables, sign * threshold.margin, paired.unit)


def by_points(paired: Paired, threshold: Threshold) -> bool:
    """Whether the margin in points applies, because A's error rate is low."""
    return threshold.margin * paired.rates[0] < threshold.least


def allowance(paired: Paired, threshold: Threshold, metric: Metric) -> str:
    """The margin in words."""
    if by_points(paired, threshold):
        return f"{metric.scale * threshold.least:g} {metric.points}"
    return f"{100 * threshold.margin:g}% of the baseline's {metric.short}"


def slope_of(doses: Doses, threshold: Threshold) -> tuple[Effect, Effect]:
    """The slope, and the slope minus that of a rise by the margin over all doses."""
    arguments = list(doses.edits), doses.doses, doses.words, doses.unit
    other = 0.0 if doses.other is None else np.tensordot(effects.contrast(doses.other[1]), doses.other[0], axes=1)
    reach = max(doses.doses) - min(doses.doses)
    dense = doses.edits[0]
    relative = threshold.margin * dense.sum() / (len(dense) * doses.words.sum()) >= threshold.least
    margin = threshold.margin * dense if relative else threshold.least * doses.words * np.ones_like(dense)
    nothing = np.zeros_like(dense)
    return effects.trend(*arguments, nothing + other), effects.trend(*arguments, other + margin / reach)


def fails_more(failures: Failures | None, alpha: float) -> bool:
    """Whether B fails to converge more often than A by Fisher's exact test, one-sided."""
    return failures is not None and failures.more and failures.p_more <= alpha


def _unless_it_fails(
    finding: Finding, failures: Failures | None, because: str, verdict: Verdict = "supported"
) -> Finding:
    """The verdict, or undecided if B failed to converge more often than A."""
    if failures is not None and failures.more:
        return replace(finding, because=f"{because}, but it {_less_often(failures)}")
    return replace(finding, verdict=verdict, because=because)


def _less_often(failures: Failures | None) -> str:
    assert failures is not None, "runs were counted"
    passed_a, passed_b = failures.runs_a - failures.failed_a, failures.runs_b - failures.failed_b
    return f"converges less often ({passed_b} of {failures.runs_b} runs, against {passed_a} of {failures.runs_a})"


def _without_rates(rule: Rule, compared: Compared, threshold: Threshold, worse: Verdict) -> Finding:
    """The finding if no seed converged in all compared cells: then only convergence can decide."""
    finding = _undecidable(rule, compared, threshold)
    if fails_more(compared.failures, threshold.alpha):
        return replace(finding, verdict=worse, because=_less_often(compared.failures))
    return finding


def _undecidable(rule: Rule, compared: Compared, threshold: Threshold) -> Finding:
    """Not run; or undecided, where runs have ended but no seed converged in all compared cells."""
    if compared.failures is None or compared.paired is not None:
        return Finding(rule, "not run", compared.change)
    because = "there is no seed with which every compared run converged"
    finding = Finding(rule, "undecided", compared.change, failures=compared.failures, level=threshold.level)
    return replace(finding, because=because)


def _finding(
    rule: Rule, compared: Compared, threshold: Threshold, excess: Effect | None, p: float, effect: Effect | None = None
) -> Finding:
    paired = compared.paired
    assert paired is not None, "rates are compared"
    shown = effect or difference_of(paired)
    scale, shown_interval = compared.metric.scale, shown.interval_at(threshold.level)
    known = shown.seeds >= MIN_SEEDS
    excess_interval = UNKNOWN
    if known and excess is not None:
        excess_interval = _scaled(excess.interval_at(threshold.level), scale)
    return Finding(
        rule=rule,
        verdict="undecided",
        metric=compared.change,
        value=scale * shown.difference,
        interval=_scaled(shown_interval, scale) if known else UNKNOWN,
        excess=None if excess is None else scale * excess.difference,
        excess_interval=excess_interval,
        p=p,
        df=(excess if excess is not None and rule == "parity" else shown).df_at(threshold.level),
        seeds=shown.seeds,
        units=shown.units,
        unit=shown.unit,
        words=shown.words // paired.pairs,
        effective_units=shown.effective_units,
        failures=compared.failures,
        level=threshold.level,
    )


def _undetermined(finding: Finding, *effects_: Effect) -> Finding | None:
    if finding.seeds < MIN_SEEDS:
        return replace(finding, because=_few(finding.seeds, finding.failures))
    if any(math.isnan(effect.se) for effect in effects_):
        return replace(finding, because=f"{finding.units} {finding.unit}s without any spread determine no interval")
    return None


def _few(seeds: int, failures: Failures | None = None) -> str:
    number = "one seed" if seeds == 1 else f"{seeds} seeds"
    lost = failures is not None and failures.failed_a + failures.failed_b > 0
    return f"{number}{' with which all compared runs converged' if lost else ''} cannot decide, by design"


def _first(doses: Doses) -> Paired:
    """The dense model paired with the cell of the largest dose, for the numbers of words and units."""
    return Paired(doses.edits[0], doses.edits[-1], doses.words, doses.unit, doses.counted)


def _scaled(interval: Interval, scale: float) -> Interval:
    return Interval(scale * interval.low, scale * interval.high)
