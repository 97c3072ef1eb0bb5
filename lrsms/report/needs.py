"""Says what would decide a claim: a number of seeds, with its range, or a larger test set.

A plan for the observed difference would rest on chance: if luck made the difference large, it asks for few seeds. So
every rule is planned for the margin that it states. The variances of a pilot are estimates too. With three seeds, the
variance between seeds lies, with 80% confidence, between 0.43 and 9.5 times its estimate. The number of seeds has a
similar range.
"""

import math

from lrsms.report.finding import Compared, Finding, Threshold
from lrsms.report.paired import Paired
from lrsms.report.rate_rules import allowance, by_points, difference_of, excess_of, slope_of
from lrsms.report.samples import weigh_as
from lrsms.statistics import power
from lrsms.statistics.crossed import Components
from lrsms.statistics.effects import MIN_SEEDS, Effect

_MATTERS = 0.2
"""If the test set has more than this share of the squared standard error, the sentence says so."""


def what_would_decide(finding: Finding, compared: Compared, threshold: Threshold) -> str:
    """A sentence on the seeds or units that an undecided finding lacks; nothing for others."""
    if finding.verdict != "undecided":
        return ""
    if finding.rule == "faster":
        return "To decide: time more steps (--seconds of the verb steptime) on a machine that is otherwise idle."
    if finding.rule == "sooner":
        return "To decide: more seeds."
    if finding.seeds < MIN_SEEDS:
        only = f"there {'is' if finding.seeds == 1 else 'are'} only {finding.seeds}"
        return f"To decide: at least {MIN_SEEDS} seeds with which all compared runs converge; {only}."
    planned = _planned(finding, compared, threshold)
    if planned is None:
        return f"To decide: a larger test set; these {finding.units} {finding.unit}s show no difference to plan from."
    effect, size, margin = planned
    return f"{_seeds(effect, size, margin)}{_test_set(effect)}"


def _planned(finding: Finding, compared: Compared, threshold: Threshold) -> tuple[Effect, float, str] | None:
    """The model that has the variances for the plan, the size to detect (a fraction), and its name."""
    if compared.doses is not None and finding.rule == "trend":
        effect, excess = slope_of(compared.doses, threshold)
        size = abs(effect.difference - excess.difference)
        shown = f"{compared.metric.scale * size:.2f} {compared.metric.points}"
        margin = f"the margin over all doses ({shown} per {compared.doses.dose})"
        return None if math.isnan(effect.se) or size == 0 else (effect, size, margin)
    paired = _compared_pair(finding, compared, threshold)
    if paired is None:
        return None
    effect = excess_of(paired, threshold) if finding.rule == "parity" else difference_of(paired)
    size = threshold.least if by_points(paired, threshold) else threshold.margin * paired.rates[0]
    if math.isnan(effect.se) or size == 0:
        return None
    metric = compared.metric
    points = "" if by_points(paired, threshold) else f" ({metric.scale * size:.2f} {metric.points})"
    return effect, size, f"the margin of {allowance(paired, threshold, metric)}{points}"


def _compared_pair(finding: Finding, compared: Compared, threshold: Threshold) -> Paired | None:
    if finding.rule != "onset":
        return compared.paired
    at = [paired for ratio, paired in compared.by_ratio if math.isclose(ratio, threshold.onset or math.nan)]
    return at[0] if at else None


def _seeds(effect: Effect, size: float, margin: str) -> str:
    these = f"these {effect.units} {effect.unit}s{weigh_as(effect.units, effect.effective_units)}"

    def needed(components: Components) -> power.Requirement:
        return power.seeds_needed(components, size, effect.units, effective_units=effect.effective_units)

    seeds = needed(effect.components)
    see = f"To see {margin} with probability {power.TARGET:g}: about"
    if seeds.number is None:
        evenness = effect.effective_units / effect.units
        units = power.units_needed(effect.components, size, effect.seeds, evenness=evenness).number
        return f"To decide: {seeds.reason}." if units is None else f"{see} {units:,} {effect.unit}s with these seeds."
    low, high = (
        needed(components).number
        for components in power.likely_components(
            effect.components, effect.seeds, effect.units, effective_units=effect.effective_units
        )
    )
    most = f"{power.MOST:,} or more" if high is None else f"{high:,}"
    reach = f" (from {effect.seeds} seeds this is known to {low:,} to {most})" if low != high else ""
    return f"{see} {seeds.number:,} seeds with {these}{reach}."


def _test_set(effect: Effect) -> str:
    """The gain from a larger test set: it removes the part of the error that does not come from seeds."""
    share = power.share_of_units(effect.components, effect.seeds, effect.units)
    if share < _MATTERS:
        return ""
    return f" {100 * share:.0f}% of the squared standard error is the test set's: a larger one would take that away."
