"""Two cells on the same seeds and units: their edits side by side, and what the difference of their rates is.

Cells are configurations, here each given as its runs by seed. Whoever compares two of them, for a table or for a
verdict, takes the numbers from here.
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
    """What was counted on each unit, with one run, decoder and condition: ``(units,)`` each.

    Attributes:
        names: of the units.
        edits: word errors, or the numerator of another metric.
        words: reference words, or its denominator.
        unit: what they are.
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
        edits_b: ``(seeds, units)`` of the other, with the same seeds.
        words: ``(units,)`` reference words.
        unit: what the columns are.
        pairs: pairs of cells, and conditions, that are summed; the counts are those of all of them.
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
        interval: of the crossed model of seeds and units; ``UNKNOWN`` with one seed, since what another seed would
            change is then not known, and often more than what other units would.
        effect: the crossed model; None with one seed, which determines none.
        improvement: with one seed, the share of resamples in which B makes fewer errors; otherwise None.
    """

    value: float
    interval: Interval
    effect: Effect | None = None
    improvement: float | None = None


def by_run(speakers: pd.DataFrame, numerator: str = "edits", denominator: str = "words") -> Edits:
    """Counts by run, decoder and condition from the rows of ``speakers.csv``, their units in the order of their names.

    ``metrics.csv`` has the same rows for other metrics, of which these are the columns.

    A table of a thousand runs is cut into as many parts at once: a data frame for each would take longer than all the
    statistics made of them.
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
    """Edits of pairs of cells, summed so that each unit keeps one value a seed.

    Args:
        edits: see ``by_run``.
        cells: for each pair the runs of A and of B; all with the same seeds.
        key: decoder and condition.

    Raises:
        ValueError: ``speakers.csv`` lacks a run, or pairs what was scored on different units.
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
    """The same systems under several conditions, their edits summed so that each unit keeps one value a seed.

    Raises:
        ValueError: the conditions were scored on different units.
    """
    first = tables[0]
    if any(not np.array_equal(table.words, first.words) for table in tables):
        raise ValueError(OTHER_UNITS)
    edits_a, edits_b = (np.sum([getattr(one, name) for one in tables], axis=0) for name in ("edits_a", "edits_b"))
    return Paired(edits_a, edits_b, first.words * len(tables), first.unit, first.pairs * len(tables))


def change(paired: Paired) -> Change:
    """The difference of the rates, with what can be said of its chance at this number of seeds."""
    if len(paired.edits_a) > 1:
        effect = effects.difference(paired.edits_a, paired.edits_b, paired.words, paired.unit)
        return Change(effect.difference, effect.interval, effect)
    before, after = paired.rates
    _, improvement = stats.bootstrap_difference(paired.edits_a[0], paired.edits_b[0], paired.words)
    return Change(after - before, stats.UNKNOWN, improvement=None if math.isnan(improvement) else improvement)
