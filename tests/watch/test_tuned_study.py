"""A study that tunes, as a user sees it: what status and plan say, and what a list of kept results asks for."""

from pathlib import Path

import fabricate
import fabricate_project
import pytest
import yaml

from lrsms.__main__ import main
from lrsms.report.tuning import look
from lrsms.watch import kept_results

STUDY = {
    "question": "?",
    "nuisance": ["train.lr"],
    "tune": {"seeds": [0], "times": {"train.lr": [1, 2, 4]}, "extend": 1},
    "grids": [
        {"seed": [1, 2]},
        {"lowrank.targets": [["encoder.attention"]], "lowrank.ratio": [0.5], "seed": [1, 2]},
    ],
}
CONFIG, RECORDS = Path("workflow/config"), Path("results/records")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """In its folder: the dense cell has its value, 0.002; of the other one run is recorded."""
    project, experiments = fabricate_project.write_project(tmp_path, STUDY)
    monkeypatch.chdir(tmp_path)
    rates = {0.001: 0.3, 0.002: 0.1, 0.004: 0.2}
    for number, one in enumerate(experiments[:4]):
        fabricate.record(RECORDS, one, fabricate.scores(rates[one.run.train.lr], number), seconds=3600.0)
    return project


def test_status_tells_runs_that_choose_from_those_that_are_compared(project, capsys):
    assert main(["status", "few"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        "dense lr=0.001 (tuning) 0 done",
        "dense lr=0.002 (tuning) 0 done",
        "dense lr=0.004 (tuning) 0 done",
        "encoder.attention-0.5 lr=0.001 (tuning) 0 done",
        "encoder.attention-0.5 lr=0.002 (tuning) 0 missing",
        "encoder.attention-0.5 lr=0.004 (tuning) 0 missing",
        "dense lr=0.002 1 missing",
        "dense lr=0.002 2 missing",
        "encoder.attention-0.5 (best lr) 1 missing waits for tuning",
        "encoder.attention-0.5 (best lr) 2 missing waits for tuning",
        "4 done, 6 missing",
        "stage 1 of 2, tuning: 4 of 6 runs are recorded (seed 0); 1 of 2 cells have their value",
        "stage 2 of 2, at the value that was best on validation in each cell: 0 of 4 runs are recorded; the others take"
        " about 4.0 hours",
    ]


def test_plan_states_both_stages(project, capsys):
    assert main(["plan", "few", "--no-measure"]) == 0
    said = capsys.readouterr().out
    assert "10 runs, 4 done." in said and "encoder.attention-0.5 (best lr)" in said
    assert "Stage 1, tuning, which chooses on validation: 6 runs, 4 done, to do: " in said
    assert "A cell that is best at the last of its values tries more of them, at most 1." in said
    assert "Stage 2, at the values chosen, compared: 4 runs, 0 done, to do: time unknown." in said


def test_a_list_of_kept_results_asks_for_what_tuning_has_come_to(project):
    entry = {"study": "few", "task": "asr", "scale": "demo", "corpus": "speech", "cells": [{"lowrank.ratio": 0.5}]}
    (CONFIG / kept_results.FILE).write_text(yaml.safe_dump({"own": [entry, {**entry, "seeds": [2]}]}))
    goal, one_seed = kept_results.load("own", project, CONFIG)
    assert [(one.label, one.run.seed) for one in goal.experiments if not one.tuning] == [
        ("dense lr=0.002", 1),
        ("dense lr=0.002", 2),
    ]
    assert len(goal.missing) == 2 + 2 + 1, "runs that choose; the chosen ones; the dense step time"
    assert [one.run.seed for one in one_seed.experiments] == [0] * 6 + [2]
    for one in goal.experiments:
        if one.tuning and not (RECORDS / one.name).is_dir():
            fabricate.record(RECORDS, one, fabricate.scores(0.9, 1))
    state = look(project, CONFIG, RECORDS)
    assert state.missing and state.tuned["encoder.attention-0.5"].added == ({"train.lr": 0.0005},)
    (goal, _) = kept_results.load("own", project, CONFIG)
    assert [one.run.train.lr for one in goal.experiments if one.stage == "extension"] == [0.0005]
