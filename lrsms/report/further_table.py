"""Columns of a study's table for further metrics. A column is there if any cell has its metric."""

from lrsms.record.metric import Metric
from lrsms.report.cells import Cell, Estimate
from lrsms.report.estimate_text import as_numbers, as_text, change_header
from lrsms.report.readable import Column
from lrsms.report.summary import Summary
from lrsms.statistics.stats import UNKNOWN


def numbers(summary: Summary, cell: Cell) -> dict[str, float | None]:
    """Further metrics in their own units; nothing if no cell has them."""
    row: dict[str, float | None] = {}
    for metric in summary.further:
        for key in summary.keys_of(metric):
            score, name = cell.further.get(metric.key, {}).get(key), "_".join(filter(None, key))
            row |= as_numbers(f"{metric.key}_{metric.suffix}_{name}", score.rate if score else None, metric.scale)
            row |= as_numbers(f"{metric.key}_change_{name}", score.change if score else None, metric.scale)
            effect = score.effect if score else None
            row |= {f"{metric.key}_change_p_{name}": effect.p if effect else None}
            row |= {f"{metric.key}_change_df_{name}": effect.df if effect else None}
    return row


def columns(summary: Summary) -> list[Column]:
    """For each metric its value under the first condition, and its change if any cell has one."""
    found = []
    for metric in summary.further:
        primary, digits = summary.keys_of(metric)[0], metric.digits if metric.digits is not None else 1
        scores = [cell.further.get(metric.key, {}).get(primary) for cell in summary.cells]
        values = [Estimate(score.rate.value, UNKNOWN) if score else None for score in scores]
        texts = tuple(as_text(value, digits, metric.scale) for value in values)
        found.append(Column(_value_header(metric), texts, 2))
        changes = [score.change if score else None for score in scores]
        if any(changes):
            shown = [as_text(change, digits, metric.scale, sign="+") for change in changes]
            texts = tuple(text if cell.baseline else "" for cell, text in zip(summary.cells, shown, strict=True))
            found.append(Column(change_header(metric), texts, 4))
    return found


def notes(summary: Summary, shown: set[str]) -> list[str]:
    """Explains each metric whose column is in ``shown``."""
    said = []
    for metric in summary.further:
        if _value_header(metric) in shown or change_header(metric) in shown:
            where = ", ".join(filter(None, summary.keys_of(metric)[0]))
            said.append(f"{metric.title}: {metric.explained}, in {metric.unit}; {where}.")
    return said


def _value_header(metric: Metric) -> str:
    return f"{metric.short} %" if metric.unit == "%" else metric.short
