"""A claim's comparison in words: its cells, and how far they were trained."""

from collections.abc import Sequence
from math import isnan
from statistics import fmean

from lrsms.record.metric import Metric
from lrsms.report.claims import Part, Selection, Value
from lrsms.report.comparison import Pairs
from lrsms.report.factored import joined
from lrsms.study.fields import as_text


def training(parts: Sequence[Pairs], metric: Metric) -> str:
    """Error rates on validation during training. If models still learn, a verdict is only about how soon they do."""
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
    """Names the cells that are compared."""
    if len(pairs) == 1:
        return f"'{pairs[0][1].name}' against '{pairs[0][0].name}'"
    against = "the dense baseline" if part.against == "baseline" else _selected(part.against)
    together = "" if {"trend", "onset"} & set(part.rules) else ", summed"
    return f"{_selected(part.group)} against {against}, {len(pairs)} pairs of cells alike in all else{together}"


def _selected(selection: Selection) -> str:
    parts = (f"{field.split('.')[-1]} {_said(value)}" for field, value in selection.items())
    return ", ".join(parts)


def _said(value: Value) -> object:
    return joined(value) if isinstance(value, tuple) else as_text(value) if isinstance(value, dict) else value
