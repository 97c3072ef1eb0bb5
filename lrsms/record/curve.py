"""The training curve: the logs of a run, a line for every step, put together as a row for every snapshot."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas

from lrsms.base.files import write_atomically

COLUMNS = ("step", "epoch", "frames", "loss", "ctc", "attention", "gradient_norm", "lr", "valid_loss", "valid_wer")
_MEANS = ("loss", "ctc", "attention")
_KINDS = dict.fromkeys(COLUMNS, "float64") | dict.fromkeys(("step", "epoch", "frames"), "int64")


def training_curve(metrics_path: Path, timings_path: Path) -> pandas.DataFrame:
    """The curve of a run: a row per snapshot, with the ``COLUMNS``.

    - ``step``, ``epoch``, ``lr``: at the snapshot;
    - ``frames``: that were trained on up to there, each time they were;
    - ``loss``, ``ctc``, ``attention``: training losses, the mean over the steps since the snapshot before;
    - ``gradient_norm``: before clipping, the median over the same steps, because a few are huge;
    - ``valid_loss``, ``valid_wer``: of the snapshot's weights on the valid split, WER as a fraction.

    What does not exist is NaN: the attention loss of a model without decoder, and the validation of the last row of a
    diverged run, which has the steps between its last snapshot and its end. No times are in it: they never repeat.

    Args:
        metrics_path: ``metrics.jsonl`` of ``train``.
        timings_path: ``timings.jsonl``.

    Raises:
        ValueError: a line is torn or malformed, or the two logs are not of the same steps.
    """
    metrics = _read_log(metrics_path, ("step", "epoch", "loss", "ctc", "gradient_norm", "lr"))
    timings = _read_log(timings_path, ("step", "frames"))
    if metrics["step"].tolist() != timings["step"].tolist():
        raise ValueError(f"{timings_path}: is not of the steps of {metrics_path}; delete both and train the run again")
    metrics = metrics.reindex(columns=[name for name in COLUMNS if name != "frames"])
    metrics["frames"] = timings["frames"].cumsum()
    snapshot = metrics["valid_wer"].notna().shift(fill_value=False).cumsum()
    summaries = dict.fromkeys(COLUMNS, "last") | dict.fromkeys(_MEANS, "mean") | {"gradient_norm": "median"}
    return metrics.groupby(snapshot).agg(summaries).reset_index(drop=True).astype(_KINDS)


def write_curve(path: Path, curve: pandas.DataFrame) -> None:
    """Writes a curve as CSV, numbers to six digits; what does not exist is empty."""
    write_atomically(path, curve.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode())


def read_curve(path: Path) -> pandas.DataFrame:
    """Reads what ``write_curve`` wrote.

    Raises:
        ValueError: the file is not a training curve.
    """
    try:
        curve = pandas.read_csv(path, dtype=_KINDS)
        if tuple(curve.columns) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(curve.columns)}, expected {', '.join(COLUMNS)}")
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: not a training curve ({reason}); restore it, or delete it to do without") from None
    return curve


def halfway_and_end(curve: pandas.DataFrame) -> tuple[float, float]:
    """WER on validation, a fraction, at the last snapshot of the first half of training and at the last of all.

    NaN where there is no such snapshot.
    """
    validated = curve.dropna(subset=["valid_wer"])
    if validated.empty:
        return math.nan, math.nan
    first_half = validated[validated["step"] <= validated["step"].iloc[-1] / 2]
    halfway = math.nan if first_half.empty else float(first_half["valid_wer"].iloc[-1])
    return halfway, float(validated["valid_wer"].iloc[-1])


def _read_log(path: Path, keys: Sequence[str]) -> pandas.DataFrame:
    """The rows of a log, which must have numbers under these ``keys``; other keys are optional."""
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = json.loads(line)
            rows.append({"valid_wer": None} | row | {key: float(row[key]) for key in keys})
        except (ValueError, TypeError, LookupError):
            raise ValueError(
                f"{path}, line {number}: not a step with {', '.join(keys)}; delete the log and train the run again"
            ) from None
    return pandas.DataFrame(rows, columns=None if rows else [*keys])
