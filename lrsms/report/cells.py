"""What a study found out about each of its cells: a cell is a configuration, its runs differ in their seed only.

The one place where counts become rates with intervals; tables and figures show what this returns.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from lrsms.record.metric import WORDS, Metric
from lrsms.record.score import EDITS
from lrsms.report import aggregate, nuisance, paired, remarks
from lrsms.report.bonuses import describe_bonuses
from lrsms.report.paired import Key, units_of
from lrsms.report.samples import Sample, describe_samples, sample_of
from lrsms.statistics import stats
from lrsms.statistics.effects import Effect
from lrsms.statistics.stats import Interval

Status = Literal["finished", "diverged", "timed", "missing"]


@dataclass(frozen=True)
class Estimate:
    """A number and its interval of the level ``stats.LEVEL``."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Score:
    """Error rates of a cell with one decoder under one condition, as fractions; means over the seeds.

    Attributes:
        wer: rate of the study's metric; its interval is a t interval over seeds, or with one the bootstrap over units.
        cer: character error rate; the same where that is the metric.
        parts: substitutions, deletions and insertions, whose sum is that rate.
        change: that error rate minus the baseline's, paired by seed and unit; None without a baseline. Its interval is
            that of ``effect``, or the bootstrap over units with one seed.
        improvement: share of resamples in which this cell makes fewer errors than its baseline; None unless the
            comparison is of one seed.
        effect: the crossed model of seeds and units of that change; None with one seed.
    """

    wer: Estimate
    cer: float
    parts: tuple[float, ...]
    change: Estimate | None = None
    improvement: float | None = None
    effect: Effect | None = None


@dataclass(frozen=True)
class Cell:
    """A row of the table.

    Attributes:
        name: label of the cell.
        baseline: label of the dense cell that it is compared with; empty for the dense baseline.
        targets: what is factorised, joined by " + "; empty for a dense model.
        ratio: fraction of full rank kept; None for a dense model.
        mapping: rank mapping with its parameters.
        init: initialisation of the factors.
        axes: the further fields that the study varies and their values as text.
        seeds: number of seeds asked for.
        finished: number of seeds that have finished.
        status: ``missing`` while any seed is; else ``diverged`` if any did; else ``finished``, with scores (``timed``
            where the study trains nothing).
        diverged_at: step at which the first diverged seed did.
        parameters: of the whole model; None while unknown.
        times_fewer: the baseline's parameters over these.
        parameters_factorised: of the factorised matrices alone; ``parameters_factorised_dense`` before they were.
        macs_per_second: multiply-adds per second of audio.
        peak_memory_mb: most memory held in training by any seed: on the device, or by the process on a CPU.
        step_ms: median time of a training step in milliseconds.
        speedup: the dense baseline's median step time over this cell's, measured in turns.
        steptime_device: on what both were measured, and how; empty where they were not.
        scores: by decoder and condition.
    """

    name: str
    baseline: str
    targets: str
    ratio: float | None
    mapping: str
    init: str
    axes: Mapping[str, str]
    seeds: int
    finished: int
    status: Status
    diverged_at: int | None
    parameters: int | None
    times_fewer: float | None
    parameters_factorised: int | None
    parameters_factorised_dense: int | None
    macs_per_second: float | None
    peak_memory_mb: float | None
    step_ms: float | None
    speedup: Estimate | None
    steptime_device: str
    scores: Mapping[Key, Score]


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
    axes = aggregate.axes_of(runs)
    rows = {str(name): part for name, part in runs.groupby("cell", sort=False)}
    edits = paired.by_run(speakers)
    # Sorting is stable: within dense and within low-rank cells the order is the study's.
    names = sorted(rows, key=lambda name: rows[name]["targets"].iloc[0] != "")
    return Summary(
        cells=tuple(_cell(rows[name], rows.get(rows[name]["baseline"].iloc[0]), edits, axes) for name in names),
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


def _cell(
    rows: pd.DataFrame,
    baseline: pd.DataFrame | None,
    edits: paired.Edits,
    axes: Sequence[str],
) -> Cell:
    first = rows.iloc[0]
    by_run = rows.drop_duplicates("run")
    statuses = set(by_run["status"])
    order: tuple[Status, ...] = ("missing", "diverged", "timed")
    status: Status = next((word for word in order if word in statuses), "finished")
    parameters = _known_count(rows["parameters"])
    before = _known(baseline["parameters"]) if baseline is not None else None
    step, speedup = _known(rows["step_ms"]), _known(rows["speedup"])
    scores: dict[Key, Score] = {}
    if status == "finished":
        for (decoder, condition), part in rows.groupby(["decoder", "condition"], sort=False):
            key = (str(decoder), str(condition))
            scores[key] = _score(part, baseline, edits, key)
    diverged_at = by_run["diverged_at"].min()
    return Cell(
        name=first["cell"],
        baseline=first["baseline"],
        targets=first["targets"],
        ratio=_known(rows["ratio"]),
        mapping=first["mapping"],
        init=first["init"],
        axes={axis: first[axis] for axis in axes},
        seeds=len(by_run),
        finished=int((by_run["status"] == "finished").sum()),
        status=status,
        diverged_at=None if pd.isna(diverged_at) else int(diverged_at),
        parameters=parameters,
        times_fewer=before / parameters if before and parameters else None,
        parameters_factorised=_known_count(rows["factorised"]),
        parameters_factorised_dense=_known_count(rows["factorised_dense"]),
        macs_per_second=_known(rows["macs_per_second"]),
        peak_memory_mb=_known(rows["peak_memory_mb"].sort_values(ascending=False)),
        step_ms=step,
        speedup=None
        if speedup is None
        else Estimate(speedup, Interval(float(first["speedup_low"]), float(first["speedup_high"]))),
        steptime_device=first["steptime_device"],
        scores=scores,
    )


def _known(column: pd.Series) -> float | None:
    """The first number there is: cost is the same for every seed, or unknown for those that are missing."""
    numbers = column.dropna()
    return None if numbers.empty else float(numbers.iloc[0])


def _known_count(column: pd.Series) -> int | None:
    count = _known(column)
    return None if count is None else int(count)


def _score(part: pd.DataFrame, baseline: pd.DataFrame | None, edits: paired.Edits, key: Key) -> Score:
    runs = _runs(part)
    units = [units_of(edits, run, key) for run in runs.values()]
    rates = [stats.error_rate(unit.edits, unit.words) for unit in units]
    if len(rates) > 1:
        interval = stats.t_interval(rates)
        interval = Interval(max(interval.low, 0.0), interval.high)
    else:
        interval = stats.bootstrap_rate(units[0].edits, units[0].words)
    wer = Estimate(math.fsum(rates) / len(rates), interval)
    cer = float((part["character_edits"] / part["characters"]).mean())
    score = Score(wer, cer, tuple(part[[*EDITS]].div(part["words"], axis=0).mean()))
    if baseline is None:
        return score
    same = baseline[(baseline["decoder"] == key[0]) & (baseline["condition"] == key[1])]
    before = _runs(same[(same["status"] == "finished") & same["seed"].isin(runs)])
    if set(before) != set(runs):  # a mean over fewer seeds than the rate beside it would not be seen as one
        return score
    change = paired.change(paired.pair(edits, [(before, runs)], key))
    estimate = Estimate(change.value, change.interval)
    return replace(score, change=estimate, improvement=change.improvement, effect=change.effect)


def _runs(rows: pd.DataFrame) -> dict[int, str]:
    """Names of runs by seed."""
    return {int(seed): str(run) for seed, run in zip(rows["seed"], rows["run"], strict=True)}
