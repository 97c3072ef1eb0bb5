"""A claim's comparison in words: which cells, how far they were trained, and which error rate it is."""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from statistics import fmean

from lrsms.record.metric import WORDS, Metric
from lrsms.report.claims import OF_RUNS, Part, Selection
from lrsms.report.comparison import Pairs
from lrsms.report.finding import Finding


def named(finding: Finding, metric: Metric) -> Finding:
    """The finding in terms of the error rate that was compared; rules speak of words."""
    if metric == WORDS or finding.rule not in OF_RUNS:
        return finding
    texts = {name: getattr(finding, name).replace(WORDS.short, metric.short) for name in ("metric", "because", "needs")}
    members = {name: named(member, metric) for name, member in finding.members.items()}
    return replace(finding, members=members, **texts)


def training(parts: Sequence[Pairs], metric: Metric) -> str:
    """Error rates on validation in the course of training: of models that still learn, a verdict is on how soon."""
    before, after = (
        [100 * fmean(cell.valid_wer[moment] for cell in cells) for moment in (0, 1)]
        for cells in zip(*(pair for pairs in parts for pair in pairs), strict=True)
    )
    if any(map(isnan, before + after)):
        return ""
    course = "{:.1f} and {:.1f}%".format
    what = f"Validation {metric.short} half-way through training and at its end"
    return f"{what}: {course(*after)}, against {course(*before)}."


def compared(part: Part, pairs: Pairs) -> str:
    """Which cells are compared with which."""
    if len(pairs) == 1:
        return f"'{pairs[0][1].name}' against '{pairs[0][0].name}'"
    against = "the dense baseline" if part.against == "baseline" else _selected(part.against)
    together = "" if {"trend", "onset"} & set(part.rules) else ", summed"
    return f"{_selected(part.group)} against {against}, {len(pairs)} pairs of cells alike in all else{together}"


def _selected(selection: Selection) -> str:
    parts = (
        f"{field.split('.')[-1]} {' + '.join(value) if isinstance(value, tuple) else value}"
        for field, value in selection.items()
    )
    return ", ".join(parts)
