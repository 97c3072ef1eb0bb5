"""Logs of training: one JSON line per step; they agree with the checkpoints after any interruption."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from lrsms.base.files import naming, write_atomically


def open_log(path: Path, start: int) -> TextIO:
    """Opens a log to append to, cut to its first ``start`` steps; a device, such as /dev/null, is not cut."""
    if path.exists() and not path.is_file():
        return path.open("w", encoding="utf-8")
    kept = [line for line, step in _rows(path) if step <= start]
    write_atomically(path, "".join(kept).encode())
    return path.open("a", encoding="utf-8")


def log(file: TextIO, row: Mapping[str, Any]) -> None:
    """Adds a line that readers see at once."""
    with naming(Path(file.name)):
        file.write(json.dumps(row, allow_nan=False) + "\n")
        file.flush()


def sync(*files: TextIO) -> None:
    """Flushes the logs to the disk. Call it before a checkpoint, which must not be ahead of them."""
    for file in files:
        with naming(Path(file.name)):
            os.fsync(file.fileno())


def waited_share(path: Path) -> float | None:
    """The share of the steps' time that was spent waiting for data, from ``timings.jsonl``; None without a step."""
    timings = [json.loads(line) for line, _ in _rows(path)]
    elapsed = sum(each["ms"] for each in timings)
    return sum(each["waited_ms"] for each in timings) / elapsed if elapsed else None


def _rows(path: Path) -> Iterator[tuple[str, int]]:
    """The lines and their steps, up to the first incomplete line (after a killed process or a power cut)."""
    if not path.is_file():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            yield line.decode() + "\n", int(json.loads(line)["step"])
        except (ValueError, LookupError, TypeError):
            return
