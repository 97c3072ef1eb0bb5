"""Reads the cells of a study from ``runs.csv``: a cell is a configuration, and its runs differ only in their seed.

Tables, figures and verdicts all use this reading. ``summary`` adds the error rates.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from lrsms.report import aggregate, nuisance
from lrsms.report.factored import Factored
from lrsms.report.paired import Key
from lrsms.report.steptimes import CEILING
from lrsms.statistics.effects import Effect
from lrsms.statistics.stats import Interval

Status = Literal["finished", "diverged", "timed", "missing"]


@dataclass(frozen=True)
class Estimate:
    """A number and its interval at the level ``stats.LEVEL``."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Score:
    """A metric of a cell with one decoder under one condition; means over the seeds.

    Attributes:
        rate: a ratio of sums; an error rate is a fraction. The interval is a t interval over seeds, or a bootstrap over
            units if there is one seed.
        change: this rate minus the baseline's, paired by seed and unit; None without a baseline. Its interval comes
            from ``effect``, and is unknown with one seed.
        improvement: share of resamples in which this cell makes fewer errors than its baseline; None with more than one
            seed.
        effect: the crossed model of seeds and units for this change; None with one seed.
        parts: substitutions, deletions and insertions, whose sum is the study's error rate; empty for other metrics.
        cer: character error rate, which may be the rate itself; NaN for other metrics.
    """

    rate: Estimate
    change: Estimate | None = None
    improvement: float | None = None
    effect: Effect | None = None
    parts: tuple[float, ...] = ()
    cer: float = math.nan


@dataclass(frozen=True)
class Cell:
    """A row of the table, and the unit that claims compare.

    Attributes:
        name: label of the cell.
        baseline: label of the dense cell that it is compared with; empty for the dense baseline.
        factored: the factorised matrices, and how they are factorised.
        axes: the further fields that the study varies, with their values as text.
        varied: those of them in which cells differ: nuisance fields are left out.
        fields: the fields by which claims select cells: those that are varied, and those of ``factored``, with their
            values as text.
        runs: names of the runs by seed.
        finished_runs: the runs that have finished.
        status: ``missing`` while any seed is missing; else ``diverged`` if any diverged; else ``finished``, with scores
            (``timed`` where the study trains nothing).
        diverged_at: step at which the first diverged seed diverged.
        valid_wer: WER on validation, half-way through training and at its end, means over the seeds; NaN while unknown.
        parameters: parameters of the whole model; None while unknown.
        parameters_factorised: parameters of the factorised matrices alone; ``parameters_factorised_dense`` when dense.
        macs_per_second: multiply-adds per second of audio.
        peak_memory_mb: largest memory of any seed in training: on the device, or of the process on a CPU.
        step_ms: median time of a training step in milliseconds.
        speedup: the dense baseline's median step time over this cell's, measured in turns.
        ceiling: how many times faster a step could be, by multiply-adds and by bytes, counted; None while unknown.
        steptime_device: the device and setting of both measurements; empty where there are none.
        times_fewer: the baseline's parameters over these; None unless ``summary`` found both.
        scores: scores of the study's error rate, by decoder and condition; empty unless ``summary`` computed them.
        further: the same for other metrics, by name. The decoder is empty where a metric has none.
    """

    name: str
    baseline: str
    factored: Factored
    axes: Mapping[str, str]
    varied: Mapping[str, str]
    fields: Mapping[str, str]
    runs: Mapping[int, str]
    finished_runs: Mapping[int, str]
    status: Status
    diverged_at: int | None
    valid_wer: tuple[float, float]
    parameters: int | None
    parameters_factorised: int | None
    parameters_factorised_dense: int | None
    macs_per_second: float | None
    peak_memory_mb: float | None
    step_ms: float | None
    speedup: Estimate | None
    ceiling: tuple[float, float] | None
    steptime_device: str
    times_fewer: float | None = None
    scores: Mapping[Key, Score] = field(default_factory=dict)
    further: Mapping[str, Mapping[Key, Score]] = field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """Number of seeds asked for."""
        return len(self.runs)

    @property
    def finished(self) -> int:
        """Number of seeds that have finished."""
        return len(self.finished_runs)

    @property
    def targets(self) -> tuple[str, ...]:
        """The factorised targets; empty for a dense model."""
        return self.factored.targets

    @property
    def ratio(self) -> float | None:
        """Fraction of full rank kept; None for a dense model, and where it differs between the targets."""
        return self.factored.ratio

    @property
    def kept(self) -> str:
        """That fraction in words, or those of the targets: ``0.12 + 0.5``; empty for a dense model."""
        return self.factored.kept

    @property
    def mapping(self) -> str:
        """Rank mapping with its numbers."""
        return self.factored.shape

    @property
    def init(self) -> str:
        """Initialisation of the factors."""
        return self.factored.init


def cells_of(runs: pd.DataFrame, folder: Path) -> list[Cell]:
    """The cells of a study, in its order, without scores.

    Args:
        runs: its ``runs.csv``.
        folder: the folder of that file; it also names the study's nuisance fields.
    """
    chosen, varied = nuisance.fields(folder), aggregate.axes_of(runs)
    by_run = runs.drop_duplicates("run")
    return [_cell(part, varied, chosen) for _, part in by_run.groupby("cell", sort=False)]


def _cell(by_run: pd.DataFrame, varied: Sequence[str], chosen: Collection[str]) -> Cell:
    first: Mapping[str, Any] = by_run.iloc[0].to_dict()
    statuses = list(by_run["status"])
    order: tuple[Status, ...] = ("missing", "diverged", "timed")
    diverged_at = _known(by_run["diverged_at"].sort_values())
    factored, axes = Factored.read(first), {axis: first[axis] for axis in varied}
    differing = {name: text for name, text in axes.items() if name not in chosen}
    return Cell(
        name=first["cell"],
        baseline=first["baseline"],
        factored=factored,
        axes=axes,
        varied=differing,
        fields=factored.fields | differing,
        runs=_names(by_run),
        finished_runs=_names(by_run[by_run["status"] == "finished"]),
        status=next((word for word in order if word in statuses), "finished"),
        diverged_at=None if diverged_at is None else int(diverged_at),
        valid_wer=(by_run["valid_wer_halfway"].mean(), by_run["valid_wer_end"].mean()),
        parameters=_known_count(by_run["parameters"]),
        parameters_factorised=_known_count(by_run["factorised"]),
        parameters_factorised_dense=_known_count(by_run["factorised_dense"]),
        macs_per_second=_known(by_run["macs_per_second"]),
        peak_memory_mb=_known(by_run["peak_memory_mb"].sort_values(ascending=False)),
        step_ms=_known(by_run["step_ms"]),
        speedup=_speedup(by_run),
        ceiling=_ceiling(by_run),
        steptime_device=first["steptime_device"],
    )


def _names(by_run: pd.DataFrame) -> dict[int, str]:
    """Names of runs, by seed."""
    return {int(seed): str(run) for seed, run in zip(by_run["seed"], by_run["run"], strict=True)}


def _speedup(by_run: pd.DataFrame) -> Estimate | None:
    measured = by_run[["speedup", "speedup_low", "speedup_high"]].dropna(subset="speedup")
    if measured.empty:
        return None
    value, low, high = map(float, measured.iloc[0])
    return Estimate(value, Interval(low, high))


def _ceiling(by_run: pd.DataFrame) -> tuple[float, float] | None:
    by_macs, by_bytes = (_known(by_run[name]) if name in by_run else None for name in CEILING)
    return None if by_macs is None or by_bytes is None else (by_macs, by_bytes)


def _known(column: pd.Series) -> float | None:
    """The first known number. Cost is the same for every seed, or unknown for missing seeds."""
    numbers = column.dropna()
    return None if numbers.empty else float(numbers.iloc[0])


def _known_count(column: pd.Series) -> int | None:
    count = _known(column)
    return None if count is None else int(count)
