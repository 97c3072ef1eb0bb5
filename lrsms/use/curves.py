"""Training logs where people look at them: as one table (CSV), and as event files for TensorBoard."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lrsms.base.files import write_atomically
from lrsms.record.run_files import METRICS

_NAMES = {
    "loss": "train/loss",
    "ctc": "train/ctc",
    "attention": "train/attention",
    "gradient_norm": "train/gradient_norm",
    "lr": "train/lr",
    "valid_loss": "valid/loss",
    "valid_wer": "valid/wer",
}
"""Names in TensorBoard, which puts together what stands before the stroke; any other number is under ``other``."""


def steps(run: Path) -> Iterator[dict[str, Any]]:
    """The steps of a run that were logged; a last line that is still being written is left out.

    Raises:
        ValueError: one line: there is no log, or a line is none of a step.
    """
    path = run / METRICS
    if not path.is_file():
        raise ValueError(f"{path}: is not there; give the folder of a run that trains or has trained")
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            return
        try:
            row = json.loads(line)
            row["step"] = int(row["step"])
        except (ValueError, LookupError, TypeError):
            raise ValueError(f"{path}, line {number}: is not a step; delete the log and train the run again") from None
        yield row


def write_csv(runs: Sequence[Path], output: Path) -> int:
    """Writes the logs of all runs as one table, with the run's name in front, and returns its number of rows."""
    table = pd.concat([pd.DataFrame(steps(run)).assign(run=run.resolve().name) for run in runs], ignore_index=True)
    table = table[["run", *(name for name in table.columns if name != "run")]]
    write_atomically(output, table.to_csv(index=False, lineterminator="\n").encode())
    return len(table)


def write_events(runs: Sequence[Path], folder: Path) -> int:
    """Writes an event file for each run, in a folder of its name, and returns the number of values.

    Raises:
        ValueError: one line: TensorBoard is not installed, an event file is there already, or a log is malformed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard: TensorBoard is not installed; pip install 'lrsms[tensorboard]'") from None
    logs = {run.resolve().name: list(steps(run)) for run in runs}
    for name in logs:
        if any((folder / name).glob("events.out.tfevents.*")):
            raise ValueError(f"{folder / name}: has events already, which would be drawn twice; delete it first")
    number = 0
    for name, rows in logs.items():
        with SummaryWriter(folder / name) as writer:
            for row in rows:
                for key, value in row.items():
                    if key == "step" or isinstance(value, bool) or not isinstance(value, int | float):
                        continue
                    writer.add_scalar(_NAMES.get(key, f"other/{key}"), value, row["step"])
                    number += 1
    return number
