"""Checks ``curve.csv`` and ``spectra.json``: the course of training, and the trained matrices."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lrsms.report.validity.values import Fields, is_number, remedy_of, wrong
from lrsms.study.files_as_values import PLAIN
from lrsms.study.method import Method
from lrsms.study.run import Run

_MOST_LOSS = 1e12
_ROUNDED = 1e-3
"""Relative tolerance for numbers that are kept to 3 or 4 digits."""
_SHARED = ("name", "role", "rows", "columns", "layers", "ranks")
"""Keys of a kind of matrices that ``plan.json`` has too."""


def check_curve(path: Path, curve: pd.DataFrame, run: Run, outcome: Mapping[str, Any]) -> None:
    """Checks that the curve has a row for each snapshot, with losses and rates that training can have.

    Args:
        path: path of ``curve.csv``.
        curve: its content.
        run: the run.
        outcome: ``run.json``, already checked.

    Raises:
        ValueError: one line.
    """
    expected = run.train.snapshot_steps(outcome["steps"])
    finished = outcome["status"] == "finished"
    if not finished:
        end = outcome["diverged_at"]
        expected = [step for step in expected if step < end] + [end]
    steps = curve["step"].tolist()
    if steps != expected:
        raise wrong(path, "step", steps, f"{_short(expected)}, the snapshots of its {outcome['steps']} steps")
    table = curve if finished else curve.iloc[:-1]  # the last steps of a diverged run may have any value
    frames = run.train.group_frames * run.train.groups_per_step
    bounds: dict[str, tuple[float, Any]] = {"epoch": (0, curve["step"]), "frames": (1, frames * curve["step"])}
    bounds |= dict.fromkeys(("loss", "ctc", "attention", "gradient_norm", "valid_loss"), (-_ROUNDED, _MOST_LOSS))
    bounds |= {"lr": (0, run.train.lr * (1 + _ROUNDED)), "valid_wer": (0, _MOST_LOSS)}
    for column, (low, high) in bounds.items():
        rows = curve if column in ("epoch", "frames") else table
        values = rows[column].to_numpy(dtype=np.float64)
        most = np.broadcast_to(np.asarray(high, dtype=np.float64), values.shape)
        if column == "attention" and run.model.decoder_layers == 0:
            bad = ~np.isnan(values)
            right = "empty, since the model has no decoder"
        else:
            bad = ~((values >= low) & (values <= most))  # NaN fails both comparisons
            right = f"a number from {low:g} on, and not more than the run's training allows"
        if bad.any():
            row = int(bad.argmax())
            raise wrong(path, f"{column}' at step '{steps[row]}", float(values[row]), right)
    for column in ("epoch", "frames"):
        if (np.diff(curve[column].to_numpy()) < 0).any():
            raise wrong(path, column, curve[column].tolist(), "never less than at the snapshot before")


def check_spectra(path: Path, content: Mapping[str, Any], plan: Mapping[str, Any], method: Method = PLAIN) -> None:
    """Checks spectra of the plan's matrices: shares of the largest singular value, and ranks that these can have.

    Args:
        path: path of ``spectra.json``.
        content: its content.
        plan: ``plan.json``, already checked.
        method: method of the run, which says how many singular values a matrix has.

    Raises:
        ValueError: one line.
    """
    fields = Fields(path, content)
    fields.number("energy", 0.0, 1.0)
    places = fields.below("indices", fields.get("indices"))
    entries = fields.get("matrices")
    if not isinstance(entries, list) or len(entries) != len(plan["matrices"]):
        raise wrong(path, "matrices", entries, f"a list of the plan's {len(plan['matrices'])} kinds of matrices")
    for number, (entry, planned) in enumerate(zip(entries, plan["matrices"], strict=True)):
        matrix = fields.below(f"matrices.{number}", entry)
        for key in _SHARED:
            if matrix.get(key) != planned[key]:
                raise wrong(path, f"{matrix.inside}{key}", matrix.get(key), f"{planned[key]}, as in plan.json")
        shape = planned["rows"], planned["columns"]
        usual = [rank or min(shape) for rank in planned["ranks"]]
        sizes = [min(shape) if rank is None else method.num_singular_values(*shape, rank) for rank in planned["ranks"]]
        if entry.get("sizes", usual) != sizes:
            raise wrong(path, f"{matrix.inside}sizes", entry.get("sizes"), f"{sizes}, as method '{method}' has")
        for index, size in enumerate(sizes):
            _check_spectrum(matrix, index, size, places)


def _check_spectrum(matrix: Fields, index: int, size: int, places: Fields) -> None:
    """Checks the spectrum of one matrix with ``size`` singular values."""
    kept = places.get(str(size))
    if not isinstance(kept, list) or not all(type(place) is int for place in kept) or not _is_sorted(kept, size):
        raise wrong(matrix.path, f"indices.{size}", kept, f"places from 0 to {size - 1} that rise")
    most = size * (1 + _ROUNDED)
    for key, high in (("largest", 1e30), ("stable_ranks", most), ("effective_ranks", most), ("energy_ranks", size)):
        values = matrix.get(key)
        value: Any = values[index] if isinstance(values, list) and index < len(values) else None
        if not is_number(value) or not 0 <= value <= high:
            raise wrong(matrix.path, f"{matrix.inside}{key}.{index}", value, f"a number from 0 to {high:g}")
    values = matrix.get("values")
    found = values[index] if isinstance(values, list) and index < len(values) else None
    if not isinstance(found, list) or len(found) != len(kept) or not set(map(type, found)) <= {int, float}:
        raise wrong(matrix.path, f"{matrix.inside}values.{index}", found, f"{len(kept)} numbers")
    if found[0] > 1 or found[-1] < 0 or any(later > value for value, later in pairwise(found)):
        raise wrong(matrix.path, f"{matrix.inside}values.{index}", found, "from 1 down to 0, never rising")


def _is_sorted(kept: Sequence[int], size: int) -> bool:
    return bool(kept) and kept[0] == 0 and kept[-1] == size - 1 and all(a < b for a, b in pairwise(kept))


def _short(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps[:6])) + (f", ... {steps[-1]}" if len(steps) > 6 else "")


def check_absent(path: Path) -> None:
    """Refuses spectra of a diverged run, which keeps no weights.

    Raises:
        ValueError: one line: the file is there.
    """
    if path.is_file():
        raise ValueError(f"{path}: is of trained weights, but 'status' in run.json is 'diverged'; {remedy_of(path)}")
