"""Metrics other than the error rate by which a study is judged, in ``metrics.csv``.

It has a row for each run, metric, decoder, condition and unit of resampling, if the runs' records have the metric. The
decoder is empty if the metric does not depend on it. ``speakers.csv`` has the error rate itself.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lrsms.base.csvfile import write_csv
from lrsms.record.metric import Metric
from lrsms.record.metrics import FURTHER
from lrsms.report import paired
from lrsms.report.paired import Key
from lrsms.report.utterances import Utterances
from lrsms.report.validity.record import Record

FILE = "metrics.csv"
COLUMNS = ["run", "metric", "decoder", "condition", "unit", "speaker", "numerator", "denominator"]
"""``speaker`` is an utterance's id where ``unit`` is utterance."""
_DIGITS = 6
"""Digits of sums, as for the losses in a record."""


class Further:
    """Collects the metrics of a study's runs."""

    def __init__(self) -> None:
        self._found: list[pd.DataFrame] = []

    def add(self, run: str, record: Record, utterances: Utterances) -> None:
        """Adds a run.

        Args:
            run: its name.
            record: its record.
            utterances: the utterances of the study.
        """
        for name, metric in FURTHER.items():
            table = record.scores if metric.source == "scores" else record.losses
            if table is not None:
                rows = _by_unit(metric, table, utterances)
                if rows["denominator"].any():
                    self._found.append(rows.assign(run=run, metric=name))

    def write(self, folder: Path, runs: Iterable[str]) -> None:
        """Writes the rows of these runs. If there are none, it removes the file of an earlier choice."""
        kept = [rows for rows in self._found if rows["run"].iloc[0] in set(runs)]
        if not kept:
            (folder / FILE).unlink(missing_ok=True)
            return
        write_csv(folder / FILE, pd.concat(kept), COLUMNS)


def by_metric(table: pd.DataFrame) -> dict[str, paired.Edits]:
    """For each metric, numerators and denominators by run, decoder and condition, from the rows of ``metrics.csv``.

    They take the place of edits and words. So all code that compares cells by words can compare them by a metric.
    """
    found = {str(name): rows for name, rows in table.groupby("metric", sort=True)}
    return {name: paired.by_run(found[name], "numerator", "denominator") for name in FURTHER if name in found}


def _by_unit(metric: Metric, table: pd.DataFrame, utterances: Utterances) -> pd.DataFrame:
    """Sums over the utterances of each unit; a table without decoders has rows of the decoder ""."""
    keyed = table if metric.source == "scores" else table.assign(decoder="")
    ordered = keyed.sort_values(["decoder", "condition", "id"], ignore_index=True)
    sums = [np.asarray(values, dtype=np.float64) for values in metric.counts(ordered)]
    found = []
    for (decoder, condition), rows in ordered.groupby(["decoder", "condition"], sort=False).indices.items():
        part = utterances.of_condition(str(condition))
        numerator, denominator = (np.bincount(part.codes, values[rows]).round(_DIGITS) for values in sums)
        units = part.units[["unit", "speaker"]]
        found.append(units.assign(decoder=decoder, condition=condition, numerator=numerator, denominator=denominator))
    return pd.concat(found, ignore_index=True)


def keys_of(metric: Metric, keys: Iterable[Key]) -> list[Key]:
    """The decoders and conditions of a study for which a metric has values of their own, in their order."""
    if metric.source == "scores":
        return list(keys)
    return list(dict.fromkeys(("", condition) for _, condition in keys))
