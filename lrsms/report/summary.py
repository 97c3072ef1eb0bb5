"""Computes rates with intervals from the counts of each cell of a study. Nothing else does this.

Tables and figures show the result.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lrsms.record.metric import Metric
from lrsms.record.metrics import METRICS, WORDS
from lrsms.record.score import EDITS
from lrsms.report import aggregate, clusters, further, nuisance, paired, remarks
from lrsms.report.bonuses import describe_bonuses
from lrsms.report.cells import Cell, Estimate, Score, cells_of
from lrsms.report.paired import Key, units_of
from lrsms.report.samples import Sample, describe_samples, sample_of
from lrsms.statistics import stats
from lrsms.statistics.stats import Interval


@dataclass(frozen=True)
class Counted:
    """The counts of a study's runs: edits, and for each further metric its numerators and denominators."""

    edits: paired.Edits
    further: Mapping[str, paired.Edits]


@dataclass(frozen=True)
class Summary:
    """All cells of a study, dense cells first, and the data behind them.

    Attributes:
        cells: the cells in the order of the study, dense cells before the others.
        decoders: decoders in the order of the configuration; the last is the primary one.
        conditions: conditions of the test split, in the order of the configuration; all of them if none is of it. A
            study that trains nothing has neither decoders nor conditions.
        samples: data by condition, for conditions with any score.
        devices: devices on which step times were measured.
        choices: how nuisance fields and length bonuses were chosen, in words.
        remarks: remarks on the records.
        metric: the error rate, of words or of characters.
        further: other metrics that any cell has.
        left_out: the part of the corpus on which no run was trained or scored, in words.
    """

    cells: tuple[Cell, ...]
    decoders: tuple[str, ...]
    conditions: tuple[str, ...]
    samples: Mapping[str, Sample]
    devices: tuple[str, ...]
    choices: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    metric: Metric = WORDS
    further: tuple[Metric, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def described_samples(self) -> list[str]:
        """Sentences about the counts and the intervals."""
        return describe_samples(self.samples, (cell.seeds for cell in self.cells), self.metric)

    @property
    def keys(self) -> list[Key]:
        """Every decoder and condition, the primary pair first."""
        return [(decoder, condition) for condition in self.conditions for decoder in reversed(self.decoders)]

    def keys_of(self, metric: Metric) -> list[Key]:
        """The same for another metric; the decoder is empty if the metric does not depend on it."""
        return further.keys_of(metric, self.keys)


def summarise(folder: Path) -> Summary:
    """Reads ``runs.csv`` and ``speakers.csv`` of a folder and computes every cell.

    Raises:
        ValueError: one line: a file is missing or malformed, or has no rows.
    """
    runs, speakers = aggregate.read_runs(folder), aggregate.read_speakers(folder)
    if runs.empty:
        raise ValueError(f"{folder / 'runs.csv'}: has no rows; the study has no runs")
    conditions = list(runs.loc[runs["split"] == "test", "condition"].unique()) or list(runs["condition"].unique())
    runs = runs[runs["condition"].isin(conditions)]
    rows = {str(name): part for name, part in runs.groupby("cell", sort=False)}
    cells = {cell.name: cell for cell in cells_of(runs, folder)}
    counted = Counted(paired.by_run(speakers), further.by_metric(aggregate.read_further(folder)))
    # Sorting is stable: within dense and within low-rank cells the order is the study's.
    ordered = sorted(cells.values(), key=lambda cell: bool(cell.targets))
    scored = [_with_scores(cell, cells.get(cell.baseline), rows[cell.name], counted) for cell in ordered]
    return Summary(
        cells=tuple(scored),
        decoders=tuple(decoder for decoder in runs["decoder"].unique() if decoder),
        conditions=tuple(condition for condition in conditions if condition),
        samples={
            condition: sample for condition in conditions if (sample := sample_of(runs, condition, counted.edits))
        },
        devices=tuple(device for device in runs["steptime_device"].unique() if device),
        choices=(*nuisance.describe_choices(folder, aggregate.metric_of(runs)), *describe_bonuses(runs)),
        remarks=remarks.read(folder),
        metric=aggregate.metric_of(runs),
        further=tuple(METRICS[name] for name in counted.further if any(name in cell.further for cell in scored)),
        left_out=tuple(aggregate.left_out(runs)),
    )


def holm(summary: Summary) -> dict[str, float]:
    """For each cell, the p of its change (primary decoder and condition), adjusted for the other cells of the table.

    Cells without a p of the crossed model do not count: fewer than ``MIN_SEEDS`` seeds, no baseline, or unfinished.
    """
    changed = {
        cell.name: score.effect.p
        for cell in summary.cells
        for key in summary.keys[:1]
        if (score := cell.scores.get(key)) and score.effect is not None and not math.isnan(score.effect.p)
    }
    return dict(zip(changed, stats.holm(list(changed.values())), strict=True))


def _with_scores(cell: Cell, baseline: Cell | None, rows: pd.DataFrame, counted: Counted) -> Cell:
    """The cell with its comparison to the baseline, and with its metrics once all of its seeds have finished."""
    before = baseline.parameters if baseline is not None else None
    cell = replace(cell, times_fewer=before / cell.parameters if before and cell.parameters else None)
    if cell.status != "finished":
        return cell
    scores: dict[Key, Score] = {}
    for (decoder, condition), part in rows.groupby(["decoder", "condition"], sort=False):
        key = (str(decoder), str(condition))
        cer = float((part["character_edits"] / part["characters"]).mean())
        parts = tuple(part[[*EDITS]].div(part["words"], axis=0).mean())
        scores[key] = replace(_score(cell, baseline, counted.edits, key), parts=parts, cer=cer)
    found = {
        name: {
            key: _score(cell, baseline, edits, key)
            for key in further.keys_of(METRICS[name], scores)
            if _measured(edits, cell, key)
        }
        for name, edits in counted.further.items()
    }
    return replace(cell, scores=scores, further={name: by_key for name, by_key in found.items() if by_key})


def _measured(edits: paired.Edits, cell: Cell, key: Key) -> bool:
    """Whether the metric is known for all seeds of the cell; old records may lack it."""
    return all((run, *key) in edits and edits[(run, *key)].words.any() for run in cell.runs.values())


def _score(cell: Cell, baseline: Cell | None, edits: paired.Edits, key: Key) -> Score:
    units = [units_of(edits, run, key) for run in cell.runs.values()]
    rates = [stats.error_rate(unit.edits, unit.words) for unit in units]
    if len(rates) > 1:
        interval = stats.t_interval(rates)
        interval = Interval(max(interval.low, 0.0), interval.high)
    else:
        interval = clusters.bootstrap_rate(units[0].edits, units[0].words, units[0].names)
    score = Score(Estimate(math.fsum(rates) / len(rates), interval))
    # A reader would not see that a mean has fewer seeds than the rate beside it.
    if baseline is None or not cell.runs.keys() <= baseline.finished_runs.keys():
        return score
    before = {seed: baseline.finished_runs[seed] for seed in cell.runs}
    if not all(_alike(edits, before[seed], run, key) for seed, run in cell.runs.items()):
        return score
    change = paired.change(paired.pair(edits, [(before, cell.runs)], key))
    estimate = Estimate(change.value, change.interval)
    return replace(score, change=estimate, improvement=change.improvement, effect=change.effect)


def _alike(edits: paired.Edits, before: str, run: str, key: Key) -> bool:
    """Whether two runs have the same denominators. Losses of old records, or of two tokenizers, may not.

    All runs share reference words, so there ``paired.pair`` refuses a difference.
    """
    if key[0]:
        return True
    found = edits.get((before, *key))
    return found is not None and np.array_equal(found.words, units_of(edits, run, key).words)
