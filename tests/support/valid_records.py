"""A study of two records with all that a record may hold, to be changed and read again."""

import json
from pathlib import Path
from typing import Any

import fabricate
import pandas as pd
import pytest

from lrsms.record import seal
from lrsms.record.record import parts_of
from lrsms.report import aggregate
from lrsms.study.expand import Experiment

SCORES = fabricate.DECODING.scores
TOOK = {"audio_seconds": 60.0, "network_seconds": 1.0, "search_seconds": {"greedy": 0.1, "beam": 2.0}}
TIMES = {"device": "processor", "threads": 1, "conditions": {"valid": TOOK, "test": TOOK}}
SESSION = {"start": 0, "seconds": 50.0, "device": "processor", "num_devices": 1, "threads": 1}
OUTCOME = {"seconds": 50.0, "waited": 0.1, "resumed_at": 0, "threads": 1, "sessions": [SESSION], "new_field": [1]}


def make(experiments: list[Experiment], folder: Path) -> Path:
    aggregate.aggregate(experiments, folder / "records", folder, fabricate.DECODING, folder / "out")
    return folder / "out"


def change(path: Path, **content: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def refusal(study: tuple[list[Experiment], Path], path: Path) -> str:
    """What is said of a changed file, which must be named, with what to do about it, in one line."""
    with pytest.raises(ValueError, match="or delete ") as error:
        make(study[0], study[1].parents[1])
    said = str(error.value)
    assert said.startswith(str(path)) and "\n" not in said and len(said) < 900
    return said


def rewrite(path: Path, edit: Any) -> None:
    edit(pd.read_csv(path, keep_default_na=False)).to_csv(path, index=False)


def sealed(folder: Path) -> None:
    scores = folder / SCORES
    seal.write(scores, {name: seal.hash_of(path) for name, path in parts_of(scores).items()})
