"""A run's record: what of a finished run is small enough to keep for ever, and all that tables are made from."""

import json
from pathlib import Path
from typing import Any

from lrsms import config
from lrsms.config import Run
from lrsms.files import write_atomically
from lrsms.score import score

PARTS = ("config.json", "plan.json", "run.json")


def load_run(folder: Path) -> Run:
    """The run of ``<folder>/config.json``.

    Raises:
        ValueError: it is missing, malformed, or its content does not hash to the folder's name.
    """
    path = folder / "config.json"
    run = config.parse(Run, _read(path), str(path))
    if not folder.resolve().name.endswith(f"-{run.digest}"):
        raise ValueError(
            f"{path}: was edited, or is of another version of lrsms: its content hashes to {run.digest}, not to the "
            "folder's name; undo the edit, or delete the folder"
        )
    return run


def load_outcome(folder: Path) -> dict[str, Any]:
    """The content of ``<folder>/run.json``: how training ended.

    Raises:
        ValueError: training has not ended, or the file is malformed.
    """
    path = folder / "run.json"
    outcome = _read(path)
    for key in ("status", "data_hash", "manifest_hash"):
        if not isinstance(outcome, dict) or not isinstance(outcome.get(key), str):
            raise ValueError(f"{path}: '{key}' is missing; delete it and run again")
    return outcome


def write_record(folder: Path, hypotheses: Path, scores: Path) -> None:
    """Scores a run's hypotheses into its record, beside copies of its config, plan and outcome.

    Args:
        folder: the run's folder.
        hypotheses: what ``decode`` wrote.
        scores: the score table to write, in the record's folder; it comes last, since a run with one is done.

    Raises:
        ValueError: the run's config or outcome, or the hypotheses, are not as they were written.
    """
    load_run(folder)
    load_outcome(folder)
    outcome = scores.parent / "run.json"
    if outcome.is_file() and outcome.read_bytes() != (folder / "run.json").read_bytes():
        for others in scores.parent.glob("scores-*"):  # of weights that were trained another time
            others.unlink()
    for name in PARTS:
        write_atomically(scores.parent / name, (folder / name).read_bytes())
    score(hypotheses, scores)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: cannot be read ({reason}); delete it and run again") from None
