"""A study that tunes, on the real workflow: one call goes through both stages, and on where it was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from scratch import scratch_project

STUDY = """
question: Does tuning work?
nuisance: [train.lr]
tune: {seeds: [0], times: {train.lr: [1, 2]}, extend: 1}
grids:
  - seed: [5]
"""
COMMAND = [sys.executable, "-m", "snakemake", "--cores", "2", "tables", "--config", "study=scratch", "scale=test"]
COMMAND += ["corpus=small"]
NUM_TRIED = 3
"""Two values of the study; of equal ones the smaller is the best, and the last, so that half of it is tried too."""


def recorded(folder: Path, seed: int) -> list[str]:
    return sorted({path.parent.name for path in folder.glob(f"results/records/*-s{seed}-*/scores-*.csv.gz")})


def run(folder: Path, *more: str) -> str:
    done = subprocess.run([*COMMAND, *more], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if line.startswith("study scratch: "))


@pytest.mark.slow
def test_one_call_tunes_and_compares_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """Runs of four steps recognise nothing: every value has the same error rate."""
    config = scratch_project(tmp_path, "{}")
    (config / "studies/scratch.yaml").write_text(STUDY)
    said = run(tmp_path, "--dry-run")
    assert "stage 1 of 2, tuning: 0 of 2 runs are recorded (seed 0); 0 of 1 cells have their value" in said
    assert "stage 2 of 2, at the value that was best on validation in each cell: 0 of 1 runs are recorded" in said

    killed = subprocess.Popen(
        COMMAND, cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not recorded(tmp_path, 0) and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = recorded(tmp_path, 0)
    assert 1 <= len(before) < NUM_TRIED and not recorded(tmp_path, 5)
    written = {name: (tmp_path / "results/records" / name / "run.json").read_bytes() for name in before}

    run(tmp_path, "--unlock")
    said = run(tmp_path)
    assert "'dense' was best at the last of its values, so it tries more: lr 0.0005" in said
    assert {name: (tmp_path / "results/records" / name / "run.json").read_bytes() for name in before} == written
    assert (len(recorded(tmp_path, 0)), len(recorded(tmp_path, 5))) == (NUM_TRIED, 1)
    results = tmp_path / "results/scratch-asr-test-small"
    table = pd.read_csv(results / "nuisance.csv")
    assert list(table["train.lr"]) == [0.001, 0.002, 0.0005] and set(table["valid_wer_percent"]) == {100.0}
    chosen = json.loads((results / "project.json").read_text())["tuned"]["dense"]["chosen"]
    assert chosen == {"train.lr": 0.001} and set(pd.read_csv(results / "runs.csv")["seed"]) == {5}
    assert "train.lr: for each row the value of the lowest WER on validation" in (results / "table.md").read_text()
    assert run(tmp_path) == "", "nothing is left to be said"
