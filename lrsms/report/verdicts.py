"""Rules that turn a comparison into a verdict: supported, contradicted, or undecided at this number of seeds and units.

Every rule is one small function in ``RULES``. Rules for trained runs are in ``rate_rules``, rules for step times and
parameters are here. A rule for error rates uses the crossed model of seeds and units (``effects``) at the level of the
look (``looks``). So at the boundary of its hypothesis, each verdict is wrong in at most about 2.5% of studies, over all
looks. ``p`` is one-sided and tests the opposite of the claim. Fewer than ``MIN_SEEDS`` seeds are always undecided: the
variance between trainings would be a guess. Counted parameters are exact, and measured step times have their own
interval, so neither needs seeds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lrsms.report import rate_rules
from lrsms.report.claims import Rule
from lrsms.report.finding import Compared, Finding, Threshold, Verdict
from lrsms.statistics import stats
from lrsms.statistics.stats import Interval


def judge(rule: Rule, compared: Compared, threshold: Threshold) -> Finding:
    """The finding of a rule. ``needs`` stays empty; ``needs.what_would_decide`` fills it, which takes longer.

    Args:
        rule: one of ``RULES``.
        compared: A (the baseline) and B.
        threshold: as stated beforehand.
    """
    return RULES[rule](compared, threshold)


def combine(findings: Sequence[Finding]) -> Verdict:
    """A conjunction: contradicted if any part is contradicted, supported if all parts are supported."""
    verdicts = [finding.verdict for finding in findings]
    order: tuple[Verdict, ...] = ("contradicted", "not run", "undecided")
    return next((verdict for verdict in order if verdict in verdicts), "supported")


def some(members: Mapping[str, Finding], threshold: Threshold) -> Finding:
    """A disjunction over a family: supported if any member is by its p after Holm, contradicted if all members are.

    A member without a p still counts as a comparison, since the claim stated the number of members in advance.

    Args:
        members: findings of one rule, by the value of the family.
        threshold: as stated beforehand.
    """
    adjusted = stats.holm([1.0 if math.isnan(one.p) else one.p for one in members.values()])
    # Adjusted p are often equal, where the p are not.
    best, name, p = min(
        zip(members.values(), members, adjusted, strict=True),
        key=lambda one: (math.inf if math.isnan(one[0].p) else one[0].p, math.isnan(one[0].value)),
    )
    shown = [label for (label, one), q in zip(members.items(), adjusted, strict=True) if _holds(one, q, threshold)]
    found = replace(best, p=math.nan if math.isnan(best.p) else p, members=dict(members))
    verdicts = {one.verdict for one in members.values()}
    if shown:
        return replace(
            found, verdict="supported", because=f"by Holm's p within the family it holds at {', '.join(shown)}"
        )
    if verdicts == {"contradicted"}:
        return replace(found, verdict="contradicted", because=f"it holds at none of {', '.join(members)}")
    if "not run" in verdicts:
        return replace(found, verdict="not run", because="")
    return replace(
        found, verdict="undecided", because=f"by Holm's p within the family it is shown at none; least p at {name}"
    )


def _holds(member: Finding, adjusted: float, threshold: Threshold) -> bool:
    return member.verdict == "supported" and adjusted <= threshold.alpha


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


_FEWER, _SPEEDUP = "times fewer parameters", "speed-up of a training step"
RULES: dict[Rule, Callable[[Compared, Threshold], Finding]] = rate_rules.RULES | {
    "fewer_parameters": fewer_parameters,
    "faster": faster,
}
