"""The committed results are what their records make of them, and the README quotes them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

from lrsms.base.strict import parse
from lrsms.record.resumed import wrongly_resumed
from lrsms.report.results import committed, load_project
from lrsms.report.validity.among import Among
from lrsms.report.validity.record import read
from lrsms.study import expand
from lrsms.study.run import Run

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
FOLDERS = [folder for folder in committed(RESULTS) if "-demo-" not in folder.name]
"""Of studies; git ignores the demonstration, which ``make study`` leaves beside them."""


def test_the_readme_counts_and_quotes_the_findings_as_they_are() -> None:
    findings = (RESULTS / "FINDINGS.md").read_text()
    verdicts = Counter(line.split("|")[4].strip() for line in findings.splitlines() if re.match(r"\| F\d", line))
    known = re.search(r"## What is known so far\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.DOTALL)
    assert known is not None
    said = " ".join(known[1].split())
    tests = sum(count for verdict, count in verdicts.items() if verdict != "not run")
    assert f"of {tests} tests, {verdicts['supported']} are supported" in said
    assert f"{verdicts['contradicted']} are contradicted and {verdicts['undecided']} are undecided" in said
    quoted = re.findall(r"-?[\d.]+ \[[^\]]+\]", said) + [
        f"{times}x fewer" for times in re.findall(r"([\d.]+) times fewer", said)
    ]
    assert len(quoted) >= 3 and [number for number in quoted if number not in findings] == []


def test_every_study_of_which_there_are_results_is_listed() -> None:
    listed = re.findall(r"^\| \[([^\]]+)\]", (RESULTS / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [folder.name for folder in FOLDERS]


def test_every_step_time_is_still_called_what_a_study_looks_for() -> None:
    wanted = {
        one.steptime for folder in FOLDERS for one in expand.load(load_project(folder), ROOT / expand.CONFIG_FOLDER)
    }
    kept = {path.stem for path in (RESULTS / "steptime").glob("*.json") if not path.name.startswith("demo-")}
    assert kept and kept - wanted == set()


def test_no_record_is_of_a_run_that_was_resumed_wrongly() -> None:
    for path in (RESULTS / "records").glob("*/run.json"):
        run = parse(Run, json.loads((path.parent / "config.json").read_text()), str(path))
        assert wrongly_resumed(run, json.loads(path.read_text())) == "", path


def test_every_record_that_is_kept_is_one_that_its_run_can_have_left() -> None:
    """Early ones too, which lack what has been recorded since."""
    checked = set()
    for folder in FOLDERS:
        project, others = load_project(folder), Among(RESULTS / "records")
        for one in expand.load(project, ROOT / expand.CONFIG_FOLDER):
            if one.trained and (record := read(RESULTS / "records" / one.name, one.run, project.decoding)) is not None:
                others.add(one.name, one.run, record)
                checked.add(one.name)
        assert others.warnings() == []
    names = {path.name for path in (RESULTS / "records").iterdir()}
    assert checked == {name for name in names if not name.startswith("demo-")}


def pinned(package: str) -> bool:
    """Whether the version that made the committed pictures is installed."""
    wanted = re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return wanted is not None and version(package) == wanted[1]


@pytest.mark.slow
def test_regenerating_changes_no_byte(tmp_path: Path) -> None:
    """What is committed is what the records make of it, on whatever processor; of other versions, all but pictures."""
    for folder in FOLDERS:
        (tmp_path / "results" / folder.name).mkdir(parents=True)
        shutil.copy(folder / "project.json", tmp_path / "results" / folder.name)
    for name in ("records", "steptime"):
        shutil.copytree(RESULTS / name, tmp_path / "results" / name)
    shutil.copy(RESULTS / "FINDINGS.md", tmp_path / "results")
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    command = [sys.executable, "-m", "lrsms", "regenerate"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    made = [*RESULTS.glob("*.md"), *(path for folder in FOLDERS for path in folder.iterdir())]
    pictures = all(map(pinned, ("matplotlib", "numpy", "pandas", "scipy", "seaborn")))
    drawn = [path for folder in FOLDERS for path in (ROOT / "figures" / folder.name).iterdir()]
    made += [path for path in drawn if pictures or path.suffix == ".rst"]
    assert len(made) > 100
    changed = [path for path in made if (tmp_path / path.relative_to(ROOT)).read_bytes() != path.read_bytes()]
    assert [str(path.relative_to(ROOT)) for path in changed] == []
    names = {path.relative_to(tmp_path) for path in tmp_path.glob("figures/*/*")}
    assert names == {path.relative_to(ROOT) for path in drawn}
