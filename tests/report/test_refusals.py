"""What a user sees of a record that is refused: one line, once, and nothing long beside it."""

import json
import subprocess
import sys
from pathlib import Path

import fabricate_project
import pytest


@pytest.mark.slow
def test_a_refusal_in_a_workflow_is_printed_once_and_short(tmp_path: Path) -> None:
    _, experiments = fabricate_project.write_project(tmp_path)
    fabricate_project.record(tmp_path, experiments)
    path = tmp_path / "results/records" / experiments[1].name / "plan.json"
    whole = path.read_text()
    path.write_text(json.dumps(json.loads(whole) | {"parameters": -5}))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "rules", "reason", "host"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    printed = done.stdout + done.stderr
    assert done.returncode == 1
    assert printed.count("'parameters' is -5, must be ") == printed.count("error:") == 1
    assert '{"' not in printed
    path.write_text(whole)
    assert subprocess.run([*command[:3], "tables", *command[3:]], cwd=tmp_path, capture_output=True).returncode == 0
    runs = tmp_path / "results" / fabricate_project.NAME / "runs.csv"
    runs.write_bytes(runs.read_bytes()[:-30])
    done = subprocess.run(
        [*command[:3], "tables", "--force", *command[3:]], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout + done.stderr).count("runs.csv: is not as it was aggregated") == 1
