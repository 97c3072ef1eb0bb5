"""How long the recorded runs of a study were trained."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from lrsms.base.files import read_json
from lrsms.record.run_files import OUTCOME
from lrsms.study.expand import Experiment


def hours_of(experiments: Sequence[Experiment], records: Path) -> float:
    """Median hours of training of those that are recorded; 0 where none says so."""
    known = [seconds for one in experiments if (seconds := seconds_of(one, records)) is not None]
    return median(known) / 3600 if known else 0.0


def seconds_of(experiment: Experiment, records: Path) -> float | None:
    """Seconds of training of a run; None where it is not recorded, or does not say so."""
    path = records / experiment.name / OUTCOME
    if not path.is_file():
        return None
    seconds = read_json(path, "restore it, or run again").get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None
