"""Cells of a study by the values of their axes, and pairs of cells that differ in named axes only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import pandas as pd

from lrsms.report import aggregate, nuisance
from lrsms.report.claims import SMALLER, Selection, Value
from lrsms.report.paired import Key
from lrsms.statistics.stats import UNKNOWN, Interval
from lrsms.study.fields import as_text

_DENSE = "lowrank"
_TARGETS = "lowrank.targets"


@dataclass(frozen=True)
class Cell:
    """A cell of ``runs.csv``, as far as verdicts need it.

    Attributes:
        name: its label.
        baseline: label of the dense cell that it is compared with; empty for the dense baseline.
        axes: the fields that the study varies and their values as text, ``lowrank`` among them.
        status: ``missing`` while any seed is; else ``diverged`` if any did; else ``finished``, or ``timed``.
        seeds: that were asked for.
        finished: of them.
        diverged: of them.
        runs: names of the runs by seed.
        parameters: of the whole model; None while unknown.
        valid_wer: on validation, half-way through training and at its end, means over the seeds; NaN while unknown.
        speedup: the preset's median step time over this cell's; None while unknown.
        speedup_interval: of that ratio.
        steptime_device: on what both were measured; empty while unknown.
    """

    name: str
    baseline: str
    axes: Mapping[str, str]
    status: Literal["finished", "diverged", "timed", "missing"]
    seeds: int
    finished: int
    diverged: int
    runs: Mapping[int, str]
    parameters: int | None
    valid_wer: tuple[float, float]
    speedup: float | None
    speedup_interval: Interval
    steptime_device: str


def cells_of(runs: pd.DataFrame, folder: Path, key: Key | None) -> list[Cell]:
    """The cells of a study, in its order.

    Args:
        runs: its ``runs.csv``.
        folder: where that lies; nuisance fields, which do not tell cells apart, are named there.
        key: decoder and condition whose rows count; None for all.
    """
    if key is not None:
        runs = runs[(runs["decoder"] == key[0]) & (runs["condition"] == key[1])]
    chosen = nuisance.fields(folder)
    varied = aggregate.axes_of(runs)
    return [_cell(part, varied, chosen) for _, part in runs.groupby("cell", sort=False)]


def select(selection: Selection, cells: Sequence[Cell], where: str) -> list[Cell]:
    """The cells whose axes have the given values.

    Raises:
        ValueError: one line, with the nearest name: a field that the study does not vary, or values that no cell has.
    """
    known = list(cells[0].axes)
    for field in selection:
        if field not in known:
            near = get_close_matches(field, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"varied: {', '.join(known)}"
            raise ValueError(f"{where} names '{field}', which the study does not vary; {hint}")
    preset = next((cell for cell in cells if not cell.baseline), cells[0])
    found = [cell for cell in cells if all(_has(cell, *item, preset) for item in selection.items())]
    if found:
        return found
    for field, value in selection.items():
        if not any(_has(cell, field, value, preset) for cell in cells):
            values = [text for text in dict.fromkeys(cell.axes[field] for cell in cells) if text]
            near = get_close_matches(_text(value), values, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"values: {', '.join(values) or 'none'}"
            raise ValueError(f"{where} matches no cell: no '{field}' is '{_text(value)}'; {hint}")
    wanted = ", ".join(f"{field} {_text(value)}" for field, value in selection.items())
    raise ValueError(f"{where} matches no cell: none has {wanted} at once")


def matched(
    against: Sequence[Cell], group: Sequence[Cell], named: Collection[str], where: str
) -> list[tuple[Cell, Cell]]:
    """For each cell of a group the one of the other group that is alike in every axis that is not named.

    Where each group is a single cell, these are the pair, whatever else differs between them.

    Raises:
        ValueError: one line: a cell has no such partner, or several, or is its own.
    """
    if len(against) == len(group) == 1:
        pairs = [(against[0], group[0])]
    else:
        pairs = []
        for cell in group:
            partners = [other for other in against if _rest(other, named) == _rest(cell, named)]
            if len(partners) != 1:
                raise ValueError(
                    f"{where}: '{cell.name}' has {len(partners) or 'no'} partner{'s' if partners else ''} in 'against'"
                    " alike in all else; name more axes"
                )
            pairs.append((partners[0], cell))
    if same := [cell.name for other, cell in pairs if other.name == cell.name]:
        raise ValueError(f"{where}: '{same[0]}' would be compared with itself")
    return pairs


def _cell(rows: pd.DataFrame, varied: Sequence[str], chosen: Collection[str]) -> Cell:
    by_run = rows.drop_duplicates("run")
    first, status = by_run.iloc[0], list(by_run["status"])
    parameters, speedup = by_run["parameters"].dropna(), by_run.dropna(subset=["speedup"])
    order: tuple[Literal["missing", "diverged", "timed"], ...] = ("missing", "diverged", "timed")
    measured = None if speedup.empty else speedup.iloc[0]
    return Cell(
        name=first["cell"],
        baseline=first["baseline"],
        axes={field: text for field, text in _axes(first, varied).items() if field not in chosen},
        status=next((word for word in order if word in status), "finished"),
        seeds=len(by_run),
        finished=status.count("finished"),
        diverged=status.count("diverged"),
        runs={int(seed): str(run) for seed, run in zip(by_run["seed"], by_run["run"], strict=True)},
        parameters=None if parameters.empty else int(parameters.iloc[0]),
        valid_wer=(by_run["valid_wer_halfway"].mean(), by_run["valid_wer_end"].mean()),
        speedup=None if measured is None else float(measured["speedup"]),
        speedup_interval=UNKNOWN
        if measured is None
        else Interval(float(measured["speedup_low"]), float(measured["speedup_high"])),
        steptime_device="" if measured is None else str(measured["steptime_device"]),
    )


def _axes(row: pd.Series, varied: Sequence[str]) -> dict[str, str]:
    """Fields and values; the column ``mapping`` is the mapping, then its slope or its ratios."""
    mapping, *numbers = row["mapping"].split() or [""]
    axes = {_DENSE: "low rank" if row["targets"] else "", _TARGETS: row["targets"]}
    axes |= {"lowrank.ratio": "" if pd.isna(row["ratio"]) else as_text(float(row["ratio"]))}
    axes |= {"lowrank.mapping": mapping, "lowrank.init": row["init"]}
    axes |= {"lowrank.slope": as_text(float(numbers[0])) if mapping == "linear" else ""}
    axes |= {"lowrank.ratios": " ".join(numbers) if mapping == "explicit" else ""}
    return axes | {column: row[column] for column in varied}


def _has(cell: Cell, field: str, value: Value, preset: Cell) -> bool:
    if value == SMALLER:
        return _number(cell.axes[field]) < _number(preset.axes[field])
    return cell.axes[field] == _text(value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")  # no comparison holds


def _text(value: Value) -> str:
    return " + ".join(value) if isinstance(value, tuple) else as_text(value)


def _rest(cell: Cell, named: Collection[str]) -> dict[str, str]:
    """The axes that are not named; a section that is named names its fields."""
    return {
        field: text
        for field, text in cell.axes.items()
        if not any(field == name or field.startswith(f"{name}.") for name in named)
    }
