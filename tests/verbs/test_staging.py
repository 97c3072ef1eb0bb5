"""A study that grows, pass by pass: what each pass of Snakemake is told, with records in place of Snakemake."""

import json
import subprocess
from pathlib import Path

import fabricate
import fabricate_project
import pytest
import yaml

from lrsms.__main__ import main
from lrsms.base.strict import parse
from lrsms.report.results import selection_name
from lrsms.study import expand
from lrsms.study.project import Project
from lrsms.verbs import staging

CONFIG, RECORDS = Path("workflow/config"), Path("results/records")
STUDY = {
    "question": "?",
    "nuisance": ["train.lr"],
    "tune": {"seeds": [0], "times": {"train.lr": [1, 2, 4]}},
    "grids": [
        {"seed": [1, 2, 3]},
        {"lowrank.targets": [["encoder.attention"]], "lowrank.ratio": [0.5], "seed": [1, 2, 3]},
    ],
}
CLAIM = {"finding": "It loses nothing", "study": "few", "group": {"lowrank.ratio": 0.5}, "rules": ["parity"]}
CLAIM |= {"decoder": "beam", "conditions": ["test"], "looks": [3, 6], "margin": 0.1}
RATES = {0.0005: 0.5, 0.001: 0.4, 0.002: 0.3, 0.004: 0.2, 0.008: 0.25}
"""Error rates of both cells: best at the last value of the study."""


class Snakemake:
    """In place of its passes: records the runs of a pass, at most so many, and then makes the table."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.told = most, []

    def __call__(self, command: list[str], env: dict[str, str], check: bool) -> subprocess.CompletedProcess[bytes]:
        grown = json.loads(env[staging.GROWN])
        content = yaml.safe_load((CONFIG / "config.yaml").read_text()) | grown
        project = parse(Project, content, "pass")
        experiments = expand.load(project, CONFIG)
        scores = project.decoding.scores
        missing = [one for one in experiments if not one.open and not (RECORDS / one.name / scores).is_file()]
        choosing = [one for one in missing if one.tuning]
        self.told.append((len(choosing), len(missing) - len(choosing), grown.get("seeds")))
        for one in (choosing or missing)[: self.most]:
            table = fabricate.scores(RATES[one.run.train.lr], int(one.digest, 16) % 1000)
            fabricate.record(RECORDS, one, table, seconds=3600.0)
        if len(choosing or missing) > self.most:
            return subprocess.CompletedProcess(command, 1)
        if not choosing:
            folder = f"results/{fabricate_project.NAME}"
            asked = ["aggregate", "--project", project.model_dump_json(), folder]
            assert main([*asked, f"{folder}/{selection_name(project, experiments, {})}"]) == 0
        return subprocess.CompletedProcess(command, 0)


@pytest.fixture
def study(tmp_path, monkeypatch):
    fabricate_project.write_project(tmp_path, STUDY, {"F1": CLAIM})
    monkeypatch.chdir(tmp_path)

    def passes(most: int = 1000, *options: str, **changes: object) -> tuple[int, list[tuple[int, int, object]]]:
        path = tmp_path / "asked.json"
        path.write_text(json.dumps(yaml.safe_load((CONFIG / "config.yaml").read_text()) | changes))
        snakemake = Snakemake(most)
        monkeypatch.setattr(staging.subprocess, "run", snakemake)
        try:
            status = main(["stages", "--project", str(path), *options, "--snakemake", "--cores", "1"])
        except SystemExit as ended:
            status = int(str(ended.code))
        return status, snakemake.told

    return passes


def test_values_are_tuned_then_extended_then_compared_then_seeds_are_added(study, capsys):
    status, told = study(seeds="adaptive")
    assert status == 0
    assert [one[:2] for one in told[:3]] == [(6, 0), (2, 0), (0, 6)], "tried; one value more a cell; compared"
    assert told[3] == (0, 6, {"dense": 6, "encoder.attention-0.5": 6}) and len(told) == 4
    assert "study few: next look of F1: 6 more runs, about 6.0 hours" in capsys.readouterr().out
    project = json.loads(Path(f"results/{fabricate_project.NAME}/project.json").read_text())
    assert {one["chosen"]["train.lr"] for one in project["tuned"].values()} == {0.004}
    assert study(seeds="adaptive")[1] == [(0, 0, {"dense": 6, "encoder.attention-0.5": 6})], "nothing is left to do"


def test_where_a_pass_fails_all_ends_and_the_next_call_goes_on(study):
    assert study(4) == (1, [(6, 0, None)])
    assert study() == (0, [(3, 0, None), (1, 3, None), (0, 6, None)]), "of one cell, the added value is known by now"


def test_a_single_pass_says_what_the_next_stage_takes(study, capsys):
    study(3)
    capsys.readouterr()
    (status, told), said = study(1000, "--once"), capsys.readouterr().out
    assert (status, told) == (0, [(4, 0, None)])
    assert "study few: stage 1 of 2, tuning: 3 of 7 runs are recorded (seed 0); 0 of 2 cells have their value" in said
    assert "0 of 6 runs are recorded; the others take about 6.0 hours" in said
