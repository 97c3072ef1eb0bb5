"""Test losses beside the error rates that claims are about: the same comparison in nats per token, and no verdict.

A loss is of every token and not of a threshold, so its relative error is a fraction of the error rate's: it shows that
one model fits worse, where too few words were counted to tell. The records of early runs have no losses. Where all of a
comparison have them they are shown, and where no record of a table has any, it has no column for them.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lrsms.record.metric import Metric
from lrsms.report.claims import Rule
from lrsms.report.finding import Compared, Finding, LossChange, Threshold
from lrsms.report.rate_rules import difference_of, slope_of
from lrsms.statistics.effects import MIN_SEEDS, Effect
from lrsms.statistics.stats import UNKNOWN, Interval

if TYPE_CHECKING:
    from lrsms.report.outcomes import Outcome

HEADER = "test loss (nats per token)"
NOTE = (
    "Test loss: the change of the CTC loss, or else of the attention loss, on the endpoint's conditions, with the same"
    " model and level as the error rate's; no decoding is part of it, and no verdict rests on it."
)


def of(rule: Rule, compared: Compared, threshold: Threshold) -> tuple[LossChange, ...]:
    """The change of each loss that all compared runs have, as the rule compares it; empty for other rules."""
    found = []
    for one in compared.losses:
        effect = _effect(rule, one, threshold)
        if effect is not None:
            scale, interval = one.metric.scale, effect.interval_at(threshold.level)
            shown = Interval(scale * interval.low, scale * interval.high) if effect.seeds >= MIN_SEEDS else UNKNOWN
            per = one.doses.dose if rule == "trend" and one.doses is not None else ""
            found.append(LossChange(one.metric, scale * effect.difference, shown, per))
    return tuple(found)


def _effect(rule: Rule, compared: Compared, threshold: Threshold) -> Effect | None:
    if rule == "trend":
        return None if compared.doses is None else slope_of(compared.doses, threshold)[0]
    if rule == "onset":
        at = [paired for ratio, paired in compared.by_ratio if math.isclose(ratio, threshold.onset or math.nan)]
        return difference_of(at[0]) if at else None
    if rule in ("parity", "degradation", "improvement") and compared.paired is not None:
        return difference_of(compared.paired)
    return None


def metrics_of(outcomes: Iterable["Outcome"]) -> list[Metric]:
    """The losses that any finding of a table has, CTC before attention."""
    found: dict[str, Metric] = {}
    for outcome in outcomes:
        others = (one for other in outcome.sensitivity for one in other.findings)
        members = (one for finding in outcome.findings for one in finding.members.values())
        for finding in (*outcome.findings, *members, *outcome.between, *others):
            found |= {one.metric.key: one.metric for one in finding.losses}
    return sorted(found.values(), key=_order)


def numbers(finding: Finding, metrics: Sequence[Metric]) -> dict[str, float]:
    """The change and interval of each loss of the table; NaN where a record lacks it."""
    row: dict[str, float] = {}
    known = {one.metric.key: one for one in finding.losses}
    for metric in metrics:
        one = known.get(metric.key, LossChange(metric, math.nan, UNKNOWN))
        name = f"{metric.key}_change"
        row |= {name: one.value, f"{name}_low": one.interval.low, f"{name}_high": one.interval.high}
    return row


def text(findings: Iterable[Finding]) -> str:
    """In short, once for all rules of one comparison: the CTC loss, or where it is not known the attention loss."""
    said = (_said(one) for finding in findings for one in sorted(finding.losses, key=_of_first)[:1])
    return "; ".join(dict.fromkeys(said))


def sentence(findings: Iterable[Finding]) -> str:
    """All that is known of the losses, in a sentence; empty where nothing is."""
    said = dict.fromkeys(_said(one) for finding in findings for one in sorted(finding.losses, key=_of_first))
    return f"Test loss, in nats per token: {'; '.join(said)}." if said else ""


def _order(metric: Metric) -> bool:
    return metric.key != "ctc_loss"


def _of_first(one: LossChange) -> bool:
    return _order(one.metric)


def _said(one: LossChange) -> str:
    digits = one.metric.digits
    value = f"{one.metric.short.removesuffix(' loss')} {one.value:+.{digits}f}"
    if not math.isnan(one.interval.low):
        value += f" [{one.interval.low:.{digits}f}, {one.interval.high:.{digits}f}]"
    return f"{value} per {one.per}" if one.per else value
