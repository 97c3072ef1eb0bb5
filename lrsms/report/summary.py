"""What a study found out about each of its cells: the one place where counts become rates with intervals.

Tables and figures show what this returns.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from lrsms.record.metric import Metric
from lrsms.record.metrics import WORDS
from lrsms.record.score import EDITS
from lrsms.report import aggregate, nuisance, paired, remarks
from lrsms.report.bonuses import describe_bonuses
from lrsms.report.cells import Cell, Estimate, Score, cells_of
from lrsms.report.paired import Key, units_of
from lrsms.report.samples import Sample, describe_samples, sample_of
from lrsms.statistics import stats
from lrsms.statistics.stats import Interval


@dataclass(frozen=True)
class Summary:
    """All cells of a study, dense ones first, and what they were measured on.

    Attributes:
        cells: in the order of the study, dense cells before the others.
        decoders: in the order of the configuration; the last is the primary one.
        conditions: those of the test split, in the order of the configuration; all of them if none is. A study that
            trains nothing has neither decoders nor conditions.
        samples: by condition; without those that nothing has been scored on.
        devices: on which the step times were measured.
        choices: how nuisance fields and length bonuses were chosen, in words.
        remarks: what else there is to know of the records.
        metric: the error rate: of words, or of characters.
        left_out: what of the corpus no run was trained or scored on, in words.
    """

    cells: tuple[Cell, ...]
    decoders: tuple[str, ...]
    conditions: tuple[str, ...]
    samples: Mapping[str, Sample]
    devices: tuple[str, ...]
    choices: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    metric: Metric = WORDS
    left_out: tuple[str, ...] = ()

    @property
    def described_samples(self) -> list[str]:
        """What was counted, and what the intervals are, in sentences."""
        return describe_samples(self.samples, (cell.seeds for cell in self.cells), self.metric)

    @property
    def keys(self) -> list[Key]:
        """Every decoder and condition, the primary pair first."""
        return [(decoder, condition) for condition in self.conditions for decoder in reversed(self.decoders)]


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
    edits = paired.by_run(speakers)
    # Sorting is stable: within dense and within low-rank cells the order is the study's.
    ordered = sorted(cells.values(), key=lambda cell: bool(cell.targets))
    return Summary(
        cells=tuple(_with_scores(cell, cells.get(cell.baseline), rows[cell.name], edits) for cell in ordered),
        decoders=tuple(decoder for decoder in runs["decoder"].unique() if decoder),
        conditions=tuple(condition for condition in conditions if condition),
        samples={condition: sample for condition in conditions if (sample := sample_of(runs, condition, edits))},
        devices=tuple(device for device in runs["steptime_device"].unique() if device),
        choices=(*nuisance.describe_choices(folder, aggregate.metric_of(runs)), *describe_bonuses(runs)),
        remarks=remarks.read(folder),
        metric=aggregate.metric_of(runs),
        left_out=tuple(aggregate.left_out(runs)),
    )


def holm(summary: Summary) -> dict[str, float]:
    """By cell the p of its change with the primary decoder and condition, adjusted for the other cells of the table.

    Cells without a p of the crossed model (fewer than ``MIN_SEEDS`` seeds, no baseline, unfinished) are no comparisons.
    """
    changed = {
        cell.name: score.effect.p
        for cell in summary.cells
        for key in summary.keys[:1]
        if (score := cell.scores.get(key)) and score.effect is not None and not math.isnan(score.effect.p)
    }
    return dict(zip(changed, stats.holm(list(changed.values())), strict=True))


def _with_scores(cell: Cell, baseline: Cell | None, rows: pd.DataFrame, edits: paired.Edits) -> Cell:
    """The cell with what it has beside its baseline, and its error rates once all of its seeds have finished."""
    before = baseline.parameters if baseline is not None else None
    fewer = before / cell.parameters if before and cell.parameters else None
    scores: dict[Key, Score] = {}
    if cell.status == "finished":
        for (decoder, condition), part in rows.groupby(["decoder", "condition"], sort=False):
            key = (str(decoder), str(condition))
            scores[key] = _score(part, cell, baseline, edits, key)
    return replace(cell, times_fewer=fewer, scores=scores)


def _score(part: pd.DataFrame, cell: Cell, baseline: Cell | None, edits: paired.Edits, key: Key) -> Score:
    units = [units_of(edits, run, key) for run in cell.runs.values()]
    rates = [stats.error_rate(unit.edits, unit.words) for unit in units]
    if len(rates) > 1:
        interval = stats.t_interval(rates)
        interval = Interval(max(interval.low, 0.0), interval.high)
    else:
        interval = stats.bootstrap_rate(units[0].edits, units[0].words)
    wer = Estimate(math.fsum(rates) / len(rates), interval)
    cer = float((part["character_edits"] / part["characters"]).mean())
    score = Score(wer, cer, tuple(part[[*EDITS]].div(part["words"], axis=0).mean()))
    # A mean over fewer seeds than the rate beside it would not be seen as one.
    if baseline is None or not cell.runs.keys() <= baseline.finished_runs.keys():
        return score
    before = {seed: baseline.finished_runs[seed] for seed in cell.runs}
    change = paired.change(paired.pair(edits, [(before, cell.runs)], key))
    estimate = Estimate(change.value, change.interval)
    return replace(score, change=estimate, improvement=change.improvement, effect=change.effect)
