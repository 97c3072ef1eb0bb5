"""Says what would decide a claim: a look at so many seeds, with its range, or a larger test set.

The plan is of the claim's own tests, each at the level of its look, as in ``docs/power.md``. A plan for the observed
difference would rest on chance: if luck made the difference large, it asks for few seeds. So every rule is planned for
the margin that it states. The variances of a pilot are estimates too. With three seeds, the variance between
seeds lies, with 80% confidence, between 0.43 and 9.5 times its estimate. The number of seeds has a similar range.
"""

import math
from collections.abc import Sequence

from lrsms.report.finding import Compared, Finding, Threshold
from lrsms.report.paired import Paired
from lrsms.report.rate_rules import allowance, by_points, difference_of, excess_of, slope_of
from lrsms.report.samples import weigh_as
from lrsms.statistics import power
from lrsms.statistics.crossed import Components
from lrsms.statistics.effects import MIN_SEEDS, Effect
from lrsms.statistics.looks import Look

_MATTERS = 0.2
"""If the test set has more than this share of the squared standard error, the sentence says so."""


_MOST_UNITS = 400
"""More units than these are simulated as so many, with the same standard error: their number no longer matters."""


def what_would_decide(
    finding: Finding, compared: Compared, threshold: Threshold, looks: Sequence[Look], seen: int
) -> str:
    """A sentence on the seeds or units that an undecided finding lacks; nothing for others.

    Args:
        finding: of one rule.
        compared: the numbers that it was judged by.
        threshold: as stated beforehand.
        looks: all of the claim.
        seen: with how many seeds it was judged.
    """
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
    return f"{_seeds(effect, size, margin, looks, seen)}{_test_set(effect)}"


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


def _seeds(effect: Effect, size: float, margin: str, looks: Sequence[Look], seen: int) -> str:
    """The first of the looks to come at which the margin has been seen with the probability that is aimed at."""
    these = f"these {effect.units} {effect.unit}s{weigh_as(effect.units, effect.effective_units)}"
    weigh = min(effect.effective_units, _MOST_UNITS)

    def plan(components: Components) -> tuple[int | None, float]:
        """The seeds of that look, if there is one, and the probability by the last."""
        shown = power.shown_by(components, size, looks, effect.units, effective_units=weigh)
        enough = (look.seeds for look, p in zip(looks, shown, strict=True) if look.seeds > seen and p >= power.TARGET)
        return next(enough, None), shown[-1]

    planned, last = plan(effect.components)
    see = f"To see {margin} with probability {power.TARGET:g}"
    if planned is None:
        return f"{see}, no look is enough with {these}: at the last, of {looks[-1].seeds} seeds, it is {last:.2f}."
    likely = power.likely_components(
        effect.components, effect.seeds, effect.units, effective_units=effect.effective_units
    )
    (least, _), (most, _) = map(plan, likely)
    upper = f"more than {looks[-1].seeds}" if most is None else f"{most}"
    reach = f" (from {effect.seeds} seeds this is known to {least} to {upper})" if least != most else ""
    return f"{see}: the look at {planned} seeds, with {these}{reach}."


def _test_set(effect: Effect) -> str:
    """The gain from a larger test set: it removes the part of the error that does not come from seeds."""
    share = power.share_of_units(effect.components, effect.seeds, effect.units)
    if share < _MATTERS:
        return ""
    return f" {100 * share:.0f}% of the squared standard error is the test set's: a larger one would take that away."
