"""A run's record: what of a finished run is small enough to keep for ever, and all that tables are made from."""

import json
import shutil
from pathlib import Path

from lrsms import config
from lrsms.config import Run
from lrsms.score import score

PARTS = ("config.json", "plan.json", "run.json")


def load_run(folder: Path) -> Run:
    """The run of ``<folder>/config.json``.

    Raises:
        ValueError: it is missing, malformed, or its content does not hash to the folder's name.
    """
    path = folder / "config.json"
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read ({str(error).splitlines()[0]}); delete {folder} to start anew") from None
    run = config.parse(Run, data, str(path))
    if not folder.resolve().name.endswith(f"-{run.digest}"):
        raise ValueError(
            f"{path}: was edited: its content hashes to {run.digest}, not to the folder's name; "
            "undo the edit, or put the change into a study"
        )
    return run


def write_record(folder: Path, hypotheses: Path, scores: Path) -> None:
    """Scores a run's hypotheses into its record, beside copies of its config, plan and outcome.

    Args:
        folder: the run's folder.
        hypotheses: what ``decode`` wrote.
        scores: the score table to write, in the record's folder.
    """
    scores.parent.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        shutil.copyfile(folder / name, scores.parent / name)
    score(hypotheses, scores)
