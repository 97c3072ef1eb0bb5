"""Compares two cells on the same seeds and units: their edits in pairs, and the difference of their rates.

A cell is a configuration, and is given by its runs for each seed. Tables and verdicts both take their comparisons from
here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrsms.statistics import effects, stats
from lrsms.statistics.crossed import Array
from lrsms.statistics.effects import Effect, Unit
from lrsms.statistics.stats import Interval

Key = tuple[str, str]
"""A decoder and a condition."""
OTHER_UNITS = (
    "speakers.csv: conditions that are pooled were scored on other units (speakers or utterances of another test set); "
    "name one condition, or conditions of one test set"
)
Runs = Mapping[int, str]
"""Names of a cell's runs by seed."""


@dataclass(frozen=True)
class Counts:
    """The counts of each unit, for one run, decoder and condition: ``(units,)`` each.

    Attributes:
        names: names of the units.
        edits: word errors, or the numerator of another metric.
        words: reference words, or the denominator of another metric.
        unit: speaker or utterance.
    """

    names: npt.NDArray[np.object_]
    edits: Array
    words: Array
    unit: Unit


Edits = Mapping[tuple[str, str, str], Counts]
"""Counts by run, decoder and condition."""


@dataclass(frozen=True)
class Paired:
    """Edits of two systems on the same seeds and units.

    Attributes:
        edits_a: ``(seeds, units)`` of the baseline.
        edits_b: ``(seeds, units)`` of the other cell, with the same seeds.
        words: ``(units,)`` reference words.
        unit: what a column is: speaker or utterance.
        pairs: number of pairs of cells, and conditions, over which the counts are summed.
    """

    edits_a: Array
    edits_b: Array
    words: Array
    unit: Unit
    pairs: int = 1

    @property
    def rates(self) -> tuple[float, float]:
        """Error rates of A and B, as fractions."""
        total = len(self.edits_a) * self.words.sum()
        return float(self.edits_a.sum() / total), float(self.edits_b.sum() / total)


@dataclass(frozen=True)
class Change:
    """The error rate of B minus that of A, as a fraction.

    Attributes:
        value: the mean over seeds.
        interval: interval by the crossed model of seeds and units. It is ``UNKNOWN`` with one seed: the change by
            another seed is then unknown, and often larger than the change by other units.
        effect: the crossed model; None with one seed.
        improvement: with one seed, the share of resamples in which B makes fewer errors; else None.
    """

    value: float
    interval: Interval
    effect: Effect | None = None
    improvement: float | None = None


def by_run(speakers: pd.DataFrame, numerator: str = "edits", denominator: str = "words") -> Edits:
    """Counts by run, decoder and condition from the rows of ``speakers.csv``, with units in the order of their names.

    ``metrics.csv`` has the same rows for other metrics; the arguments name its columns.

    A table of a thousand runs is cut into parts all at once. One data frame for each part would take longer than all
    the statistics.
    """
    table = speakers.sort_values("speaker", kind="stable")
    names, unit = table["speaker"].to_numpy(dtype=object), table["unit"].to_numpy(dtype=object)
    edits, words = (table[name].to_numpy(dtype=np.float64, na_value=math.nan) for name in (numerator, denominator))
    parts = table.groupby(["run", "decoder", "condition"], sort=False).indices
    return {key: Counts(names[rows], edits[rows], words[rows], unit[rows[0]]) for key, rows in parts.items()}


def units_of(edits: Edits, run: str, key: Key) -> Counts:
    """A run's counts by unit.

    Raises:
        ValueError: ``speakers.csv`` has none.
    """
    if (run, *key) not in edits:
        raise ValueError(f"speakers.csv: no rows for run '{run}', {' and '.join(key)}; delete it to aggregate again")
    return edits[(run, *key)]


def pair(edits: Edits, cells: Iterable[tuple[Runs, Runs]], key: Key) -> Paired:
    """Edits of pairs of cells, summed so that each unit has one value for each seed.

    Args:
        edits: see ``by_run``.
        cells: for each pair the runs of A and of B, all with the same seeds.
        key: decoder and condition.

    Raises:
        ValueError: ``speakers.csv`` lacks a run, or runs were scored on different units.
    """
    cells = list(cells)
    seeds = sorted(cells[0][0])
    assert all(sorted(runs) == seeds for both in cells for runs in both), "pairs are of the same seeds"
    first = units_of(edits, cells[0][0][seeds[0]], key)

    def counts(runs: Runs) -> Array:
        rows = []
        for seed in seeds:
            found = units_of(edits, runs[seed], key)
            if not (np.array_equal(found.names, first.names) and np.array_equal(found.words, first.words)):
                raise ValueError(f"speakers.csv: run '{runs[seed]}' has other units; delete it to aggregate again")
            rows.append(found.edits)
        return np.stack(rows)

    edits_a = np.sum([counts(a) for a, _ in cells], axis=0)
    edits_b = np.sum([counts(b) for _, b in cells], axis=0)
    return Paired(edits_a, edits_b, first.words * len(cells), first.unit, len(cells))


def pooled(tables: Sequence[Paired]) -> Paired:
    """The same systems under several conditions, with edits summed so that each unit has one value for each seed.

    Raises:
        ValueError: the conditions were scored on different units.
    """
    first = tables[0]
    if any(not np.array_equal(table.words, first.words) for table in tables):
        raise ValueError(OTHER_UNITS)
    edits_a, edits_b = (np.sum([getattr(one, name) for one in tables], axis=0) for name in ("edits_a", "edits_b"))
    return Paired(edits_a, edits_b, first.words * len(tables), first.unit, first.pairs * len(tables))


def change(paired: Paired) -> Change:
    """The difference of the rates, with the interval that this number of seeds allows."""
    if len(paired.edits_a) > 1:
        effect = effects.difference(paired.edits_a, paired.edits_b, paired.words, paired.unit)
        return Change(effect.difference, effect.interval, effect)
    before, after = paired.rates
    _, improvement = stats.bootstrap_difference(paired.edits_a[0], paired.edits_b[0], paired.words)
    return Change(after - before, stats.UNKNOWN, improvement=None if math.isnan(improvement) else improvement)
