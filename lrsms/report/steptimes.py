"""Reads and checks a step time file: a speed-up with its interval, and counts of the networks."""

import json
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json
from lrsms.record.setting import Setting
from lrsms.report.validity.values import is_number
from lrsms.statistics import stats

_REMEDY = "delete it to measure again"
CEILING = {"speedup_by_macs": "multiply_adds", "speedup_by_bytes": "bytes"}
"""Column -> what is counted of both networks; their quotient bounds the speed-up of a device that does nothing else."""
_MODES = {"graphs": "CUDA graphs"}
_MOST = 1e18
"""The largest number that a step time file may count or measure."""


def read_steptime(path: Path) -> dict[str, Any]:
    """Columns from a step time file; none if there is no measurement.

    Raises:
        ValueError: one line: the file is malformed, or a number in it cannot be.
    """
    if not path.is_file():
        return {}
    numbers = {"baseline_ms": list, "run_ms": list, "threads": int, "device": str, "frames": int, "precision": str}
    whole = read_json(path, _REMEDY)
    content = _fields(path, whole, numbers)
    for key in ("baseline_ms", "run_ms"):
        _check_positive(path, {f"{key}.{index}": value for index, value in enumerate(content[key])})
    threads = f"{content['threads']} thread{'s' if content['threads'] != 1 else ''}"
    device = f"{content['device']}, {threads}, {content['frames']} frames, {content['precision']}"
    mode = Setting.of(whole).mode
    device += "" if mode == "eager" else f", {_MODES.get(mode, mode)}"
    try:
        step = stats.median_iqr(content["run_ms"] or content["baseline_ms"]).median
        before = stats.median_iqr(content["baseline_ms"]).median
        row = {"step_ms": step, "baseline_ms": before, "steptime_device": device}
        if content["run_ms"]:
            speedup, interval = stats.median_ratio(content["baseline_ms"], content["run_ms"])
            row |= {"speedup": speedup, "speedup_low": interval.low, "speedup_high": interval.high}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; {_REMEDY}") from None
    return row | (_ceiling(path, whole.get("ceiling")) if content["run_ms"] else {})


def _ceiling(path: Path, counted: Any) -> dict[str, float]:
    """How many times faster the step could be at most, by what was counted; nothing in a file from before that."""
    if counted is None:
        return {}
    if not isinstance(counted, dict) or set(counted) != set(CEILING.values()):
        expected = " and ".join(CEILING.values())
        raise ValueError(f"{path}: 'ceiling' is {json.dumps(counted)[:80]}, expected {expected}; {_REMEDY}")
    _check_positive(path, {f"ceiling.{name}": value for name, value in counted.items()})
    return {column: float(counted[name]) for column, name in CEILING.items()}


def read_counts(path: Path) -> dict[str, Any]:
    """The counts in a step time file, for a run that is not trained.

    Raises:
        ValueError: one line: the file is malformed, or a number in it cannot be.
    """
    row: dict[str, Any] = {"decoder": "", "condition": "", "split": "", "status": "missing"}
    if not path.is_file():
        return row
    content = read_json(path, _REMEDY)
    kinds: dict[str, Any] = {"parameters": int, "macs_per_second": (int, float), "peak_memory_mb": (int, float)}
    counted = _fields(path, content, {key: kind for key, kind in kinds.items() if content.get(key) is not None})
    _check_positive(path, counted)
    return row | counted | {"status": "timed"}


def _check_positive(path: Path, numbers: dict[str, Any]) -> None:
    for key, value in numbers.items():
        if not is_number(value) or not 0 < value < _MOST:
            shown = json.dumps(value)[:80]
            raise ValueError(f"{path}: '{key}' is {shown}, must be a number above 0; {_REMEDY}")


def _fields(path: Path, content: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    """The named entries of a JSON file's content, of the kinds that they must have."""
    for key, kind in kinds.items():
        if key not in content:
            raise ValueError(f"{path}: key '{key}' is missing; {_REMEDY}")
        if not isinstance(content[key], kind) or isinstance(content[key], bool):
            raise ValueError(f"{path}: '{key}' is {json.dumps(content[key])[:80]}, which has the wrong type; {_REMEDY}")
    return {key: content[key] for key in kinds}
