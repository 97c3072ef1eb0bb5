"""How long the recorded runs of a study were trained."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lrsms.base.files import read_json
from lrsms.record.run_files import OUTCOME
from lrsms.study.expand import Experiment


def hours_of(experiments: Sequence[Experiment], records: Path) -> float:
    """Median hours of training of those that are recorded; 0 where none says so."""
    known = seconds_of_trainings(outcomes_of(experiments, records))
    return median(known) / 3600 if known else 0.0


def outcomes_of(experiments: Sequence[Experiment], records: Path) -> list[Mapping[str, Any]]:
    """The content of ``run.json`` of those that are recorded."""
    paths = (records / experiment.name / OUTCOME for experiment in experiments)
    return [read_json(path, "restore it, or run again") for path in paths if path.is_file()]


def seconds_of_trainings(outcomes: Iterable[Mapping[str, Any]]) -> list[float]:
    """Seconds of each training; one that other runs took over, whose sessions are therefore theirs, counts once."""
    of_training: dict[str, float] = {}
    for number, outcome in enumerate(outcomes):
        if isinstance(seconds := outcome.get("seconds"), int | float):
            sessions = outcome.get("sessions")
            of_training[json.dumps(sessions, sort_keys=True) if sessions else str(number)] = float(seconds)
    return list(of_training.values())
