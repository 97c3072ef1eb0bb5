"""The files of a run: their names, in its folder under ``results/runs`` and in its record, and checks of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrsms.base.files import file_hash

CONFIG = "config.json"
"""The run, fully resolved."""
PLAN = "plan.json"
"""Every matrix of its network, with role and rank, and what the network costs."""
METRICS = "metrics.jsonl"
"""Loss, learning rate and gradient norm of every step, and validation at the snapshots."""
TIMINGS = "timings.jsonl"
"""Milliseconds, waiting for data and frames of every step."""
WEIGHTS = "weights.safetensors"
"""The averaged weights at the end of training."""
SPECTRA = "spectra.json"
"""Singular values of the trained matrices."""
CURVE = "curve.csv"
"""Losses and validation at the snapshots."""
OUTCOME = "run.json"
"""How training ended."""
SCORES = f"scores-{8 * '[0-9a-f]'}.csv.gz"
"""The pattern of all score tables of a record, one for each way of decoding; ``Decoding.scores`` is the name of one.
It leaves out the losses beside a table (``losses_path``)."""


def beside(path: Path, ending: str) -> Path:
    """The file that belongs to hypotheses or to a score table: it has their name and another ending."""
    return path.with_name(f"{path.name.split('.')[0]}.{ending}")


def losses_path(path: Path) -> Path:
    """The file of losses that belongs to hypotheses or to a score table."""
    return beside(path, "loss.csv.gz")


def run_title(folder: Path) -> str:
    """A run's folder without its digest."""
    return folder.name.rpartition("-")[0] or folder.name


def check_weights(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Checks that a run's weights are those that training wrote; for runs without ``weights_hash`` this is unknown.

    Raises:
        ValueError: one line: they are not.
        OSError: they cannot be read.
    """
    path = folder / WEIGHTS
    if "weights_hash" in outcome and file_hash(path) != outcome["weights_hash"]:
        raise ValueError(
            f"{path}: is not what training wrote (its SHA-256 is not 'weights_hash' of {folder / OUTCOME}); restore it,"
            f" or delete {folder / OUTCOME} to train again"
        )
