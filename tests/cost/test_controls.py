"""Facts about controls of equal cost: budgets are equal to within one step, counted or measured and never guessed."""

import json
import shutil
import statistics

import pytest
import yaml
from scratch import ROOT, shipped_project

from lrsms.__main__ import main
from lrsms.cost.controls import equal
from lrsms.cost.counts import multiply_adds_per_step
from lrsms.study import expand
from lrsms.study.expand import Experiment
from lrsms.study.insert import with_grid

SHIPPED = ROOT / expand.CONFIG_FOLDER
NAME = "lrsms"


def cells(study=NAME, scale="tiny", task="asr", **more):
    asked = shipped_project().model_copy(update={"study": study, "task": task, "scale": scale, **more})
    found: dict[str, Experiment] = {}
    for one in expand.load(asked, SHIPPED):
        found.setdefault("lr-sms" if one.cell.startswith("encoder.attention+") else one.cell, one)
    return found


def test_steps_times_multiply_adds_of_a_step_are_equal_to_within_one_step(tmp_path):
    own = cells()
    narrow = next(name for name in own if name.startswith("dim"))
    of_step = {name: multiply_adds_per_step(own[name].run) for name in ("dense", "lr-sms", narrow)}
    for control, like in (("dense", "lr-sms"), ("lr-sms", "dense"), (narrow, "lr-sms")):
        found = equal("multiply-adds", own[control], own[like], tmp_path, tmp_path)
        assert (found.step, found.like_step) == (of_step[control], of_step[like])
        budget = own[like].run.train.steps * of_step[like]
        assert abs(found.steps * of_step[control] - budget) <= of_step[control] / 2
        assert (found.steps < found.like_steps) == (of_step[control] > of_step[like])
    longer = own["lr-sms"].run.train.model_copy(update={"steps": 2 * found.steps})
    assert multiply_adds_per_step(own["lr-sms"].run.model_copy(update={"train": longer})) == of_step["lr-sms"]


def steptime(folder, experiment, run, baseline, **more):
    content = {"baseline_ms": baseline, "run_ms": run, "median_ms": statistics.median(run), "baseline": False}
    content |= {"device": "d", "threads": 1, "frames": 1600, "precision": "float32"} | more
    folder.mkdir(exist_ok=True)
    (folder / f"{experiment.steptime}.json").write_text(json.dumps(content))


def test_times_are_compared_through_the_baseline_beside_which_each_was_measured(tmp_path):
    own = cells()
    dense, lowrank = own["dense"], own["lr-sms"]
    other = next(one for name, one in own.items() if name.startswith("dim"))
    steptime(tmp_path, lowrank, [60.0, 62.0, 64.0], [100.0, 124.0, 130.0])  # half of the baseline's
    steptime(tmp_path, other, [50.0], [200.0])  # a quarter, when the machine was slow
    found = equal("time", dense, lowrank, tmp_path, tmp_path)
    assert (found.steps, found.step, found.like_step) == (lowrank.run.train.steps // 2, 1.0, 0.5)
    assert equal("time", other, lowrank, tmp_path, tmp_path).steps == 2 * lowrank.run.train.steps


def test_without_a_measured_time_it_refuses_in_one_line(tmp_path):
    own = cells()
    with pytest.raises(
        ValueError, match=r"was not timed, and a time is not guessed; time it with snakemake"
    ) as refused:
        equal("time", own["dense"], own["lr-sms"], tmp_path, tmp_path)
    assert "\n" not in str(refused.value)
    steptime(tmp_path, own["lr-sms"], [50.0], [100.0])
    other = next(one for name, one in own.items() if name.startswith("dim"))
    steptime(tmp_path, other, [50.0], [100.0], device="another")
    with pytest.raises(ValueError, match=r"'device' is another, but d where .* measure both on one device"):
        equal("time", other, own["lr-sms"], tmp_path, tmp_path)


def test_where_training_is_in_epochs_of_a_corpus_that_is_not_there_it_refuses(tmp_path):
    own = cells(scale="paper")
    with pytest.raises(ValueError, match="is not there, and training is in epochs of this corpus; prepare it with"):
        equal("multiply-adds", own["dense"], own["lr-sms"], tmp_path, tmp_path)


def test_a_control_may_not_have_fewer_steps_than_snapshots(tmp_path):
    own = cells()
    short = own["lr-sms"].run.train.model_copy(update={"steps": 3, "snapshots": 3, "average": 1})
    like = own["lr-sms"].run.model_copy(update={"train": short})
    few = Experiment(like, own["dense"].run, "short", {})
    with pytest.raises(ValueError, match=r"'dense' would have 2 steps, fewer than its .* snapshots"):
        equal("multiply-adds", own["dense"], few, tmp_path, tmp_path)


ALL = [(f"{scale}-{task}", "multiply-adds") for scale in ("demo", "tiny", "mini") for task in ("asr", "vsr", "avsr")]
ALL += [(f"tiny-{task}", "time") for task in ("asr", "vsr", "avsr")]


@pytest.mark.parametrize(
    ("preset", "budget"), [ALL[3], ALL[-3], *(pytest.param(*one, marks=pytest.mark.slow) for one in ALL)]
)
def test_the_numbers_in_the_study_of_budgets_are_those_that_are_solved(tmp_path, preset, budget):
    scale, task = preset.split("-")
    asked = shipped_project().model_copy(update={"study": "budget", "task": task, "scale": scale})
    experiments = expand.load(asked, SHIPPED)
    lowrank = next(one for one in experiments if one.run.lowrank and one.run.train.steps == one.baseline.train.steps)
    dense = next(one for one in experiments if one.cell == "dense")
    found = equal(budget, lowrank, dense, ROOT / "results/steptime", tmp_path)
    assert found.is_among(experiments) and found.steps > found.like_steps
    assert len({one.cell for one in experiments}) == 2 + sum(one[0] == preset for one in ALL)


TEXT = """# What is asked
question: Why?   # indeed
grids:
  - seed: [1]
"""
PRESETS = """presets:
  # One preset
  tiny-asr:
    - model.layers: [1]   # few
      seed: [1]

  demo-asr:
    - model.layers: [2]
      seed: [1]
# the end
"""


@pytest.mark.parametrize(
    "text", [TEXT, TEXT + PRESETS, PRESETS + TEXT, (TEXT + PRESETS).replace("tiny-asr", "mini-asr")]
)
def test_a_grid_is_added_below_those_of_its_preset_and_no_other_line_changes(text):
    grid = {"train.steps, train.epochs": [[12, None]], "lowrank.targets": [["a.b", "c"]], "train.lr": [1e-05, 2e-3]}
    new = with_grid(text, "tiny-asr", ["Why: so", "it is"], grid, "x.yaml")
    content = yaml.safe_load(new)
    assert content["presets"]["tiny-asr"][-1] == grid
    assert content["grids"] == [{"seed": [1]}] and new.count("\n    # Why: so\n    # it is\n") == 1
    lines = iter(new.splitlines())
    assert all(line in lines for line in text.rstrip("\n").splitlines()), "every line is there, in its order"


@pytest.mark.parametrize("presets", ["presets: {}\n", "presets: {tiny-asr: [{seed: [1]}]}\n"])
def test_a_file_to_which_no_line_can_be_added_is_refused(presets):
    with pytest.raises(ValueError, match=r"x.yaml: 'presets' is not written as a block of lines; add the grid by hand"):
        with_grid(TEXT + presets, "tiny-asr", [], {"seed": [1]}, "x.yaml")


def test_the_verb_writes_the_control_into_the_study_once(tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(SHIPPED, tmp_path / "workflow/config")
    monkeypatch.chdir(tmp_path)
    asked = ["controls", "attention", "encoder.attention-0.12", "--scale", "tiny", "--write"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "'dense' in 1,299 steps takes 1.0002 times the training multiply-adds of 'encoder.attention-0.12'" in said
    text = (folder / "studies/attention.yaml").read_text()
    assert text.startswith((SHIPPED / "studies/attention.yaml").read_text()) and "    - train.steps: [1299]\n" in text
    assert "# 'dense' for the training multiply-adds of 'encoder.attention-0.12', which has 1,500 steps of" in text
    asked_of = shipped_project().model_copy(update={"study": "attention", "scale": "tiny"})
    assert [one.run.seed for one in expand.load(asked_of, folder) if one.cell == "steps1299"] == [1, 2, 3]
    assert main(asked) == 0
    assert "has this control already" in capsys.readouterr().out
    assert (folder / "studies/attention.yaml").read_text() == text
