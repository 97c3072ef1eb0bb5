"""Facts about the studies that are shipped: valid at every scale and task, and sharing what they have in common."""

import itertools
from pathlib import Path

import pytest

from lrsms.base.strict import canonical_json, parse
from lrsms.base.yamlfile import read_yaml
from lrsms.cost.random_data import NUM_CHARACTERS, vocabulary
from lrsms.methods.build import build_structure
from lrsms.methods.closed_form import plan_of
from lrsms.methods.plan import make_plan
from lrsms.study import expand
from lrsms.study.files_as_values import METHODS
from lrsms.study.project import Project

SHIPPED = Path(__file__).parents[2] / expand.CONFIG_FOLDER
PAPER = (
    "attention",
    "decoder_attention",
    "feedforward",
    "modules",
    "init",
    "mapping",
    "lrsms",
    "lrsms_twins",
    "steptime",
    "speed",
)
UNTRAINED = ["steptime", "speed"]
SCALES, TASKS = ("demo", "tiny", "mini", "paper"), ("asr", "vsr", "avsr")
EVERYWHERE = list(itertools.product(SCALES, TASKS))


def load(name, scale, task, **more):
    base = read_yaml(SHIPPED / "config.yaml")
    changes = {"study": name, "scale": scale, "task": task, "corpus": "commands"} | more
    return expand.load(parse(Project, base | changes, "config.yaml"), SHIPPED)


def structure(run, characters=NUM_CHARACTERS):
    return build_structure(run, (run.tokenizer.pieces or characters) + 2)[0]


def parameters(run, characters=NUM_CHARACTERS):
    return sum(parameter.numel() for parameter in structure(run, characters).parameters())


@pytest.mark.parametrize(("scale", "task"), EVERYWHERE)
def test_every_target_matches_and_every_rank_fits(scale, task):
    runs = [experiment.run for name in PAPER for experiment in load(name, scale, task)]
    plans = {}
    for run in runs:  # neither initialiser changes what is matched
        model = run.model.model_copy(update={"initialiser": "default"})
        lowrank = run.lowrank and run.lowrank.model_copy(update={"init": "spectral"})
        plans.setdefault(model, {})[lowrank] = run.model_copy(update={"model": model, "lowrank": None})
    for by_lowrank in plans.values():
        dense = structure(next(iter(by_lowrank.values())))
        for lowrank in by_lowrank:
            plan = make_plan(dense, lowrank)
            assert any(matrix.rank is not None for matrix in plan) == (lowrank is not None)


@pytest.mark.parametrize("name", PAPER)
def test_every_cell_has_three_seeds_and_every_study_its_dense_baseline(name):
    experiments = load(name, "tiny", "avsr")
    seeds = {}
    for experiment in experiments:
        if not experiment.tuning:
            seeds.setdefault(experiment.cell, []).append(experiment.run.seed)
    assert "dense" in seeds
    assert all(found == ([1, 2, 3] if experiments[0].trained else [1]) for found in seeds.values())


def test_the_dense_baseline_and_other_common_runs_are_one_run_in_every_study():
    loaded = {name: load(name, "mini", "asr") for name in PAPER if name not in UNTRAINED}
    names = [{e.name for e in experiments} for experiments in loaded.values()]
    shared = set.intersection(*names)
    assert {e.name for e in loaded["init"] if e.cell == "dense" and not e.tuning} == shared
    assert len(shared) == 3
    by_digest = {e.run.digest: e.name for experiments in loaded.values() for e in experiments}
    assert len(by_digest) == len(set.union(*names)) < sum(map(len, names))


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("attention", 6),
        ("feedforward", 6),
        ("modules", 16),
        ("init", 47),
        ("mapping", 19),
        ("lrsms", 4),
        ("lrsms_twins", 5),
        ("decoder_attention", 3),
    ],
)
def test_the_number_of_cells_is_that_of_the_question(name, cells):
    assert len({experiment.cell for experiment in load(name, "paper", "avsr")}) == cells


def test_only_the_study_of_step_times_trains_nothing():
    assert [name for name in PAPER if not load(name, "tiny", "asr")[0].trained] == UNTRAINED


@pytest.mark.parametrize(("scale", "task"), EVERYWHERE)
def test_smaller_dense_models_are_within_a_hundredth_of_lr_sms(scale, task):
    """Also where a corpus has a few characters more or less than usual."""
    runs = {experiment.cell: experiment.run for experiment in load("lrsms", scale, task)}
    dense = runs.pop("dense")
    (lowrank,) = [runs.pop(cell) for cell, run in list(runs.items()) if run.lowrank is not None]
    narrower, shallower = runs.values()
    assert narrower.model.dim < dense.model.dim and narrower.model.layers == dense.model.layers
    assert shallower.model.layers < dense.model.layers and shallower.model.dim == dense.model.dim
    for run in (narrower, shallower):
        assert run.train == dense.train == lowrank.train
        for characters in (NUM_CHARACTERS - 5, NUM_CHARACTERS, NUM_CHARACTERS + 5):
            assert parameters(run, characters) == pytest.approx(parameters(lowrank, characters), rel=0.01)


@pytest.mark.parametrize(("scale", "task"), EVERYWHERE)
def test_twins_of_lr_sms_differ_in_one_thing_and_have_its_parameters(scale, task):
    experiments = load("lrsms_twins", scale, task)
    cells = {experiment.cell: experiment.run for experiment in experiments}
    shared = {e.digest for e in load("lrsms", scale, task)} & {e.digest for e in experiments}
    assert len(shared) == 6, "the dense baseline and LR-SMS are those of the study lrsms"
    dense, lrsms = (next(run for run in cells.values() if run.digest in shared and (run.lowrank is None) is none)
                    for none in (True, False))  # fmt: skip
    twins = [run for run in cells.values() if run.digest not in shared]
    usual = lrsms.lowrank.model_dump()
    differ = [{key for key, value in run.lowrank.model_dump().items() if value != usual[key]} for run in twins]
    assert differ == [{"mapping", "slope"}, {"init"}, {"ratio"}]
    size = plan_of(lrsms, vocabulary(lrsms))["parameters"]
    counts = [plan_of(run, vocabulary(run))["parameters"] for run in twins]
    assert counts[:2] == [size, size] and counts[2] == pytest.approx(size, rel=0.01)
    fewer = [plan_of(dense, vocabulary(dense))["parameters"] / count for count in (size, counts[2])]
    assert (fewer[0] >= 2) == (fewer[1] >= 2), "the count of F5t is that of F5"


@pytest.mark.parametrize(("task", "lowrank", "dense"), [("asr", 113.9, 243.049202), ("avsr", 219.3, 443.977138)])
def test_lr_sms_at_paper_scale_has_the_parameters_that_its_file_says(task, lowrank, dense):
    counts = {e.cell: parameters(e.run) / 1e6 for e in load("lrsms", "paper", task) if e.run.seed == 1}
    assert counts.pop("dense") == dense
    assert round(next(count for cell, count in counts.items() if cell.startswith("encoder")), 1) == lowrank
    assert str(lowrank) in (SHIPPED / "studies/lrsms.yaml").read_text()


@pytest.mark.parametrize("task", TASKS)
def test_mappings_compare_at_equal_parameters(task):
    by_ratio = {}
    experiments = load("mapping", "mini", task)
    dense = structure(experiments[0].baseline)
    for lowrank in [e.run.lowrank for e in experiments if e.run.lowrank is not None and e.run.seed == 1]:
        count = sum(matrix.parameters for matrix in make_plan(dense, lowrank))
        by_ratio.setdefault(lowrank.ratio, []).append(count)
    assert {ratio: len(counts) for ratio, counts in by_ratio.items()} == {0.5: 6, 0.25: 6, 0.12: 6}
    assert all(len(set(counts)) == 1 for counts in by_ratio.values())


def test_optimizers_are_compared_at_the_same_learning_rates_dense_and_low_rank():
    """Those of AdamW at the preset's learning rate are the runs of `lrsms`."""
    lowest = load("optimizer", "tiny", "asr")
    cells = {}
    for experiment in lowest:
        if experiment.tuning:
            cells.setdefault(experiment.cell, set()).add((experiment.run.train.lr, experiment.run.seed))
    chosen = {cell: {"chosen": {"train.lr": 2e-3}} for cell in cells}
    experiments = [one for one in load("optimizer", "tiny", "asr", tuned=chosen) if not one.tuning]
    lowrank = "encoder.attention+encoder.feedforward+decoder.self_attention+decoder.cross_attention+decoder.feedforward"
    lowrank += "-0.25-linear-slope0.5"
    assert set(cells) == {"dense", "optimizermuon", lowrank, f"{lowrank}-optimizermuon"}
    assert {frozenset(found) for found in cells.values()} == {
        frozenset(itertools.product((1e-3, 2e-3, 4e-3, 8e-3), (0,)))
    }
    digests = {e.digest for e in experiments}
    known = [e for e in load("lrsms", "tiny", "asr") if e.run.model == e.baseline.model]
    assert len(known) == 6 and all(e.digest in digests for e in known)
    assert len({e.steptime for e in experiments}) == 4


@pytest.mark.parametrize("name", PAPER)
def test_a_file_says_which_finding_it_tests_and_what_is_our_reading(name):
    text = " ".join((SHIPPED / f"studies/{name}.yaml").read_text().replace("#", " ").split()).lower()
    assert "the paper's finding" in text and "our reading" in text and "not known" in text


@pytest.mark.parametrize(("scale", "task"), EVERYWHERE)
def test_the_study_of_warmup_compares_it_with_dense_and_plain_low_rank(scale, task):
    experiments = load("warmup", scale, task)
    cells = {experiment.cell: experiment.run for experiment in experiments}
    assert [run.num_phases for run in cells.values()] == [1, 1, 2, 2]
    assert [run.lowrank is not None for run in cells.values()] == [False, True, True, True]
    assert (
        len({canonical_json(run.lowrank.model_copy(update={"method": None})) for run in list(cells.values())[1:]}) == 1
    )
    assert all(experiment.nuisance for experiment in experiments)
    for run in cells.values():
        assert len(run.changes_at(run.train.snapshots * 10)) == run.num_phases - 1


@pytest.mark.parametrize(("scale", "task"), EVERYWHERE)
def test_the_arena_compares_all_at_equal_parameters_and_learning_rates(scale, task):
    """But for the dense models of the preset's size. The optimizers for factors are there, and every method."""
    experiments = load("arena", scale, task)
    cells, tried = {}, {}
    for experiment in experiments:
        cells[experiment.cell] = experiment.run
        tried.setdefault(experiment.cell, set()).add((experiment.run.train.lr, experiment.tuning))
    preset = experiments[0].baseline
    multiples = {(factor * preset.train.lr, True) for factor in (0.5, 1, 2, 4)}
    assert all({one for one in each if one[1]} == multiples for each in tried.values())
    full = [run for run in cells.values() if run.lowrank is None and run.model == preset.model]
    small = [run for run in cells.values() if run not in full]
    assert {run.train.optimizer for run in full} >= {None, "muon"}
    assert {run.train.optimizer for run in cells.values()} >= {None, "muon", "spectron", "lora_muon"}
    assert {run.train.steps for run in small} == {preset.train.steps}
    (narrow,) = (run for run in small if run.lowrank is None)
    counts = {str(run.method).split()[0]: parameters(run) for run in small if run.lowrank is not None}
    exact = {count for method, count in counts.items() if method not in ("sparse", "lost")}
    assert len(exact) == 1
    for count in (parameters(narrow), *counts.values()):
        assert count == pytest.approx(*exact, rel=0.01)
    for run in small:  # no share of a schedule is refused
        run.changes_at(100 * run.train.snapshots)
    assert set(counts) == set(METHODS), "add the method to a grid of workflow/config/studies/arena.yaml"


@pytest.mark.parametrize("name", [path.stem for path in sorted((SHIPPED / "studies").glob("*.yaml"))])
def test_where_a_study_tunes_every_cell_tries_the_same_values(name):
    """Else a model could win by the choice that it was given."""
    tried = {}
    for experiment in load(name, "tiny", "asr"):
        if experiment.tuning:
            tried.setdefault(experiment.cell, set()).add(tuple(experiment.nuisance.items()))
    assert len({frozenset(values) for values in tried.values()}) <= 1, tried


def test_the_arena_shares_its_runs_with_other_studies():
    own = (load(name, "tiny", "asr") for name in ("arena", "optimizer"))
    arena, optimizer = ({one.digest for one in experiments if one.tuning} for experiments in own)
    assert len(arena & optimizer) == 3 * 4, "dense under two optimizers and LR-SMS, at four learning rates"
