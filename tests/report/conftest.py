"""Records that several files of tests change."""

import json
from pathlib import Path

import fabricate
import pytest
from valid_records import OUTCOME, SCORES, TIMES

from lrsms.record.decoding_times import times_path
from lrsms.study.expand import Experiment


@pytest.fixture
def study(tmp_path: Path) -> tuple[list[Experiment], Path]:
    """The dense model and one of low rank, with all that a record may hold; the folder of the second."""
    experiments = [experiment for _, experiment in fabricate.demo()[:2]]
    for number, experiment in enumerate(experiments):
        table = fabricate.scores(0.1 + 0.1 * number, number)
        folder = fabricate.record(tmp_path / "records", experiment, table, **OUTCOME)
        times_path(folder / SCORES).write_text(json.dumps(TIMES))
    return experiments, tmp_path / "records" / experiments[1].name
