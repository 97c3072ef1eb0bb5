"""Logs of training: one JSON line per step, in step with the checkpoints whatever interrupts the run."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from lrsms.base.files import naming, write_atomically


def open_log(path: Path, start: int) -> TextIO:
    """Opens a log for writing on, cut back to the first ``start`` steps; a device, such as /dev/null, as it is."""
    if path.exists() and not path.is_file():
        return path.open("w", encoding="utf-8")
    kept = [line for line, step in _rows(path) if step <= start]
    write_atomically(path, "".join(kept).encode())
    return path.open("a", encoding="utf-8")


def log(file: TextIO, row: Mapping[str, Any]) -> None:
    """Adds a line, which a reader sees at once."""
    with naming(Path(file.name)):
        file.write(json.dumps(row, allow_nan=False) + "\n")
        file.flush()


def sync(*files: TextIO) -> None:
    """Puts the logs on the disk: to be called before a checkpoint, which must not be ahead of them."""
    for file in files:
        with naming(Path(file.name)):
            os.fsync(file.fileno())


def waited_share(path: Path) -> float | None:
    """The share of the steps' time that was spent waiting for data, from ``timings.jsonl``; None without a step."""
    timings = [json.loads(line) for line, _ in _rows(path)]
    elapsed = sum(each["ms"] for each in timings)
    return sum(each["waited_ms"] for each in timings) / elapsed if elapsed else None


def _rows(path: Path) -> Iterator[tuple[str, int]]:
    """The lines and their steps up to the first that is torn, as a killed process or a power cut leaves one."""
    if not path.is_file():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            yield line.decode() + "\n", int(json.loads(line)["step"])
        except (ValueError, LookupError, TypeError):
            return
