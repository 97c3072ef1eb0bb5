"""Reads and writes ``learning.csv``: the step at which each run began to learn, or up to which it did not."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lrsms.base.csvfile import unguard, write_csv
from lrsms.report import sums
from lrsms.statistics.survival import Time, time_to_learn

FILE = "learning.csv"
_COLUMNS = {"run": "str", "steps": "float64", "learned": "bool"}


def time_of(curve: pd.DataFrame, asked: int | None) -> Time:
    """When a run began to learn, at the snapshots of its training.

    Args:
        curve: the run's curve (``record.curve``).
        asked: steps that the training should have. A run that diverged is known not to learn up to this step. None: the
            last step of the curve.
    """
    last = float(max(asked or 0, curve["step"].max()))
    return time_to_learn(list(curve["step"]), list(curve["valid_wer"]), last)


def write(times: Mapping[str, Time], folder: Path) -> None:
    """Writes the times of these runs; no file if no record has a curve."""
    path = folder / FILE
    if not times:
        path.unlink(missing_ok=True)
        return
    rows = [(run, time.steps, time.learned) for run, time in times.items()]
    write_csv(path, pd.DataFrame(rows, columns=list(_COLUMNS)))


def read(folder: Path) -> dict[str, Time]:
    """The times by run; empty if the file is absent.

    Raises:
        ValueError: one line: the file is malformed.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    sums.check(folder)
    try:
        table = unguard(pd.read_csv(path, dtype=_COLUMNS, keep_default_na=False))
        rows = zip(table["run"], table["steps"], table["learned"], strict=True)
        return {str(run): Time(float(steps), bool(learned)) for run, steps, learned in rows}
    except (OSError, ValueError, LookupError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: not readable ({reason}); delete it to aggregate again") from None
