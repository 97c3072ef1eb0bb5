"""The real workflow on runs that cut what a dense run trains: that run is trained first, and once."""

import json
from pathlib import Path

import pandas as pd
import pytest
from scratch import planned, scratch_project, snakemake

pytestmark = pytest.mark.slow
STUDY = """
question: What is left of a trained network that is cut?
grids:
  - lowrank.targets: [[encoder.attention]]
    lowrank.ratio: [0.5]
    lowrank.method.name: [truncated]
    lowrank.cut_by: [null, outputs]
    seed: [1]
  - seed: [1]
"""


def test_the_dense_run_is_trained_first_and_those_that_cut_it_take_its_training_over(tmp_path: Path) -> None:
    config = scratch_project(tmp_path, "lists: {}\n")
    (config / "studies/cutting.yaml").write_text(STUDY)
    assert planned(tmp_path, study="cutting")["train"] == 3
    done = snakemake(tmp_path, study="cutting")
    assert done.returncode == 0, done.stdout + done.stderr
    logs = {path.parent.name: path.read_text() for path in (tmp_path / "results/runs").glob("*/train.log")}
    (dense,) = (name for name in logs if "truncated" not in name)
    assert len(logs) == 3
    for name, text in logs.items():
        assert (f"takes over the training of {dense}" in text) == (name != dense)
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/records").glob("*/run.json")]
    assert len(records) == 3 and len({json.dumps(each["sessions"]) for each in records}) == 1
    table = pd.read_csv(tmp_path / "results/cutting-asr-test-small/table.csv")
    assert len(table) == 3 and table["speedup"].isna().sum() == 1
    assert planned(tmp_path, study="cutting") == {}
