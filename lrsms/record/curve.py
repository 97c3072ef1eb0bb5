"""The training curve: the logs of a run, with a line for every step, summarised into a row for every snapshot."""

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
    - ``frames``: frames trained on so far; a frame counts each time that it is used;
    - ``loss``, ``ctc``, ``attention``: training losses, averaged over the steps since the previous snapshot;
    - ``gradient_norm``: before clipping, the median over the same steps, because a few values are huge;
    - ``valid_loss``, ``valid_wer``: with the snapshot's weights, on the valid split; WER is a fraction.

    Missing values are NaN: the attention loss of a model without decoder, and the validation in the last row of a
    diverged run, which covers the steps between its last snapshot and its end. It has no times: they never repeat.

    Args:
        metrics_path: ``metrics.jsonl`` of ``train``.
        timings_path: ``timings.jsonl``.

    Raises:
        ValueError: a line is torn or malformed, or the two logs are not of the same steps.
    """
    metrics = _read_log(metrics_path, ("step", "epoch", "loss", "ctc", "gradient_norm", "lr"))
    timings = _read_log(timings_path, ("step", "frames"))
    if metrics["step"].tolist() != timings["step"].tolist():
        raise ValueError(f"{timings_path}: has other steps than {metrics_path}; delete both and train the run again")
    metrics = metrics.reindex(columns=[name for name in COLUMNS if name != "frames"])
    metrics["frames"] = timings["frames"].cumsum()
    snapshot = metrics["valid_wer"].notna().shift(fill_value=False).cumsum()
    summaries = dict.fromkeys(COLUMNS, "last") | dict.fromkeys(_MEANS, "mean") | {"gradient_norm": "median"}
    return metrics.groupby(snapshot).agg(summaries).reset_index(drop=True).astype(_KINDS)


def write_curve(path: Path, curve: pandas.DataFrame) -> None:
    """Writes a curve as CSV, with six digits for numbers; missing values are empty."""
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
    """WER on validation, as a fraction, at the last snapshot in the first half of training and at the last snapshot.

    NaN if there is no such snapshot.
    """
    validated = curve.dropna(subset=["valid_wer"])
    if validated.empty:
        return math.nan, math.nan
    first_half = validated[validated["step"] <= validated["step"].iloc[-1] / 2]
    halfway = math.nan if first_half.empty else float(first_half["valid_wer"].iloc[-1])
    return halfway, float(validated["valid_wer"].iloc[-1])


def _read_log(path: Path, keys: Sequence[str]) -> pandas.DataFrame:
    """The rows of a log. Each must have numbers under these ``keys``; other keys are optional."""
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
