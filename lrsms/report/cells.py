"""What ``runs.csv`` says of each of a study's cells: a cell is a configuration, its runs differ in their seed only.

The one reading of that table: tables, figures and verdicts go on from it. ``summary`` adds the error rates.
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
    """A metric of a cell with one decoder under one condition; means over the seeds.

    Attributes:
        rate: a ratio of sums, an error rate as a fraction; its interval is a t interval over seeds, or with one the
            bootstrap over units.
        change: that rate minus the baseline's, paired by seed and unit; None without a baseline. Its interval is that
            of ``effect``; unknown with one seed.
        improvement: share of resamples in which this cell makes fewer errors than its baseline; None unless the
            comparison is of one seed.
        effect: the crossed model of seeds and units of that change; None with one seed.
        parts: substitutions, deletions and insertions, whose sum is the study's error rate; of other metrics none.
        cer: character error rate; the same where that is the metric; NaN of other metrics.
    """

    rate: Estimate
    change: Estimate | None = None
    improvement: float | None = None
    effect: Effect | None = None
    parts: tuple[float, ...] = ()
    cer: float = math.nan


@dataclass(frozen=True)
class Cell:
    """A row of the table, and what claims compare.

    Attributes:
        name: label of the cell.
        baseline: label of the dense cell that it is compared with; empty for the dense baseline.
        factored: what is factorised, and how.
        axes: the further fields that the study varies and their values as text.
        fields: by what claims select cells: all fields that the study varies, and those of ``factored``, with their
            values as text. Nuisance fields, which do not tell cells apart, are left out.
        runs: names of the runs by seed.
        finished_runs: those of them that have finished.
        diverged: number of seeds that have diverged.
        status: ``missing`` while any seed is; else ``diverged`` if any did; else ``finished``, with scores (``timed``
            where the study trains nothing).
        diverged_at: step at which the first diverged seed did.
        valid_wer: on validation, half-way through training and at its end, means over the seeds; NaN while unknown.
        parameters: of the whole model; None while unknown.
        parameters_factorised: of the factorised matrices alone; ``parameters_factorised_dense`` before they were.
        macs_per_second: multiply-adds per second of audio.
        peak_memory_mb: most memory held in training by any seed: on the device, or by the process on a CPU.
        step_ms: median time of a training step in milliseconds.
        speedup: the dense baseline's median step time over this cell's, measured in turns.
        steptime_device: on what both were measured, and how; empty where they were not.
        times_fewer: the baseline's parameters over these; None unless ``summary`` found both.
        scores: of the study's error rate, by decoder and condition; empty unless ``summary`` computed them.
        further: of other metrics by name, likewise; the decoder is empty where none is part of a metric.
    """

    name: str
    baseline: str
    factored: Factored
    axes: Mapping[str, str]
    fields: Mapping[str, str]
    runs: Mapping[int, str]
    finished_runs: Mapping[int, str]
    diverged: int
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
        """What is factorised; nothing of a dense model."""
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
        folder: where that lies; the study's nuisance fields are named there.
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
    return Cell(
        name=first["cell"],
        baseline=first["baseline"],
        factored=factored,
        axes=axes,
        fields={name: text for name, text in (factored.fields | axes).items() if name not in chosen},
        runs=_names(by_run),
        finished_runs=_names(by_run[by_run["status"] == "finished"]),
        diverged=statuses.count("diverged"),
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
        steptime_device=first["steptime_device"],
    )


def _names(by_run: pd.DataFrame) -> dict[int, str]:
    """Of runs, by seed."""
    return {int(seed): str(run) for seed, run in zip(by_run["seed"], by_run["run"], strict=True)}


def _speedup(by_run: pd.DataFrame) -> Estimate | None:
    measured = by_run[["speedup", "speedup_low", "speedup_high"]].dropna(subset="speedup")
    if measured.empty:
        return None
    value, low, high = map(float, measured.iloc[0])
    return Estimate(value, Interval(low, high))


def _known(column: pd.Series) -> float | None:
    """The first number there is: cost is the same for every seed, or unknown for those that are missing."""
    numbers = column.dropna()
    return None if numbers.empty else float(numbers.iloc[0])


def _known_count(column: pd.Series) -> int | None:
    count = _known(column)
    return None if count is None else int(count)
