"""Seeds are added where a claim is undecided: the real workflow, on records that are there already."""

import json
import subprocess
import sys
from pathlib import Path

import fabricate
import fabricate_project
import pytest
from fabricate_project import NAME

from lrsms.report.adaptive import next_step, spent
from lrsms.report.claims import Claim
from lrsms.report.outcomes import Outcome
from lrsms.report.results import Place
from lrsms.statistics.looks import plan
from lrsms.study.more_seeds import with_more_seeds

HALF, EIGHTH = "encoder.attention-0.5", "encoder.attention-0.12"


def claim(ratio: float, *looks: int) -> dict:
    stated = {"finding": "It loses nothing", "study": "few", "group": {"lowrank.ratio": ratio}, "rules": ["parity"]}
    return stated | {"decoder": "beam", "conditions": ["test"], "looks": list(looks), "margin": 0.1}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Records of up to ten seeds; the study asks for three."""
    claims = {"F1": claim(0.5, 3, 6), "F2": claim(0.12, 3)}
    _, experiments = fabricate_project.write_project(tmp_path, claims=claims)
    cells = {one.cell for one in experiments}
    fabricate_project.record(tmp_path, with_more_seeds(experiments, dict.fromkeys(cells, 7), tmp_path), seconds=3600.0)
    return tmp_path


@pytest.mark.slow
def test_one_call_goes_on_until_each_claim_is_decided_or_past_its_last_look(project: Path) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "seeds=adaptive"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("study few: ")]
    assert said == [
        "study few: next look of F1: 6 more runs, about 6.0 hours",
        "study few: every claim is decided or past its last look",
    ]
    results = project / "results" / NAME
    assert json.loads((results / "project.json").read_text())["seeds"] == {HALF: 6, "dense": 6}
    rows = {row["claim"]: row for row in json.loads((results / "claims.json").read_text())["claims"]}
    assert (rows["F1"]["look"], rows["F1"]["seeds"], rows["F2"]["look"], rows["F2"]["seeds"]) == (2, 6, 1, 3)
    before = (results / "runs.csv").read_bytes()
    again = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and "next look" not in again.stdout
    assert (results / "runs.csv").read_bytes() == before, "what was added is still there"


def outcome(name: str, cells: tuple[str, ...], seeds: int, verdict: str = "undecided", *looks: int) -> Outcome:
    stated = Claim(
        finding="x",
        study="few",
        group={"a": 1},
        rules=("parity",),
        decoder="d",
        conditions=("c",),
        looks=looks or (3, 6),
    )
    reached = [look for look in plan(stated.looks) if look.seeds <= seeds]
    place, look = Place("few", "asr", "demo", "speech"), reached[-1] if reached else None
    return Outcome(name, stated, place, verdict, (), "", look=look, seeds=seeds, cells=cells)


def test_the_cheapest_claim_comes_first_and_the_budget_ends_it(tmp_path: Path) -> None:
    experiments = [one for _, one in fabricate.demo((1, 2, 3))[:9]]
    for number, one in enumerate(experiments):
        fabricate.record(tmp_path, one, fabricate.scores(0.1, number), seconds=3600.0 * (1 + number // 3))
    dear, cheap = outcome("F1", ("dense", "encoder.attention-0.25"), 3), outcome("F2", ("dense", HALF), 3)
    step = next_step([dear, cheap], experiments, tmp_path, {})
    assert (step.claims, step.runs, step.hours) == (("F2", "F1"), 9, 3 * 1 + 3 * 2 + 3 * 3)
    assert step.seeds == {"dense": 6, HALF: 6, "encoder.attention-0.25": 6}
    within = next_step([dear, cheap], experiments, tmp_path, {}, budget=10)
    assert (within.claims, within.left, within.seeds) == (("F2",), ("F1",), {"dense": 6, HALF: 6})
    more = with_more_seeds(experiments, {HALF: 4}, tmp_path)
    fabricate.record(tmp_path, next(one for one in more if one.run.seed == 4), fabricate.scores(0.1, 1), seconds=1800.0)
    assert spent(more, experiments, tmp_path) == 0.5


@pytest.mark.parametrize(
    "one",
    [
        outcome("F1", ("dense", HALF), 3, "supported"),
        outcome("F1", ("dense", HALF), 3, "not run"),
        outcome("F1", ("dense", HALF), 3, "undecided", 3),
    ],
)
def test_what_is_decided_unfinished_or_final_asks_for_nothing(tmp_path: Path, one: Outcome) -> None:
    experiments = [one for _, one in fabricate.demo((1, 2, 3))[:6]]
    assert next_step([one], experiments, tmp_path, {}).claims == ()


def test_added_seeds_follow_those_of_the_study(tmp_path: Path) -> None:
    experiments = [one for _, one in fabricate.demo((1, 2, 3))[:6]]
    more = with_more_seeds(experiments, {HALF: 5, "dense": 2}, tmp_path)
    assert [one.run.seed for one in more if one.cell == HALF] == [1, 2, 3, 4, 5]
    assert [one.run.seed for one in more if one.cell == "dense"] == [1, 2, 3], "what a study has is not taken away"
    assert {one.digest for one in experiments} <= {one.digest for one in more} and len({one.name for one in more}) == 8
    with pytest.raises(
        ValueError, match="'seeds' names cell 'dens', which the study does not have; did you mean 'dense'"
    ):
        with_more_seeds(experiments, {"dens": 5}, tmp_path)
