"""The table of further metrics of a run, such as losses, for its page."""

from collections.abc import Iterator

import pandas as pd

from lrsms.record.metric import Metric
from lrsms.record.metrics import FURTHER
from lrsms.report.pages.markup import Table
from lrsms.report.pages.material import Material
from lrsms.study.decoding import Decoding

_HEADERS = ("metric", "decoder", "condition", "split", "counted on", "value", "unit")


def table(run: Material, decoding: Decoding) -> Table:
    """A row for each metric and condition, and for each decoder if the metric depends on it."""
    rows = [row for metric in FURTHER.values() for row in _rows(metric, run, decoding)]
    known = {row[0] for row in rows}
    said = [f"{metric.title}: {metric.explained}." for metric in FURTHER.values() if metric.title in known]
    return Table(_HEADERS, rows, frozenset({4, 5}), " ".join(said))


def _rows(metric: Metric, run: Material, decoding: Decoding) -> Iterator[tuple[str, ...]]:
    counted = run.scores if metric.source == "scores" else run.losses
    if counted is None or counted.empty:
        return
    numerator, denominator = metric.counts(counted)
    sums = pd.DataFrame({"condition": counted["condition"], "numerator": numerator, "denominator": denominator})
    sums["decoder"] = counted["decoder"] if metric.source == "scores" else "-"
    digits = 2 if metric.digits is None else metric.digits
    for (decoder, name), part in sums.groupby(["decoder", "condition"], sort=False):
        if total := part["denominator"].sum():
            value = metric.scale * part["numerator"].sum() / total
            where = (str(decoder), str(name), decoding.conditions[str(name)].tested_on)
            yield metric.title, *where, f"{total:,.0f} {metric.plural}", f"{value:.{digits}f}", metric.unit
