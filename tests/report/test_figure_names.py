"""Which figures a study has is known from its runs and conditions alone."""

import subprocess
import sys
from pathlib import Path

import fabricate
import pytest

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.report.figures.names import figure_names, noise_curves
from lrsms.study import expand
from lrsms.study.decoding import Condition
from lrsms.study.project import Project

SHIPPED = Path(__file__).parents[2] / expand.CONFIG_FOLDER
EVERY_TRAINED = [
    "wer_by_parameters",
    "wer_by_steptime",
    "spectra",
    "stable_ranks",
    "loss_by_step",
    "valid_wer_by_step",
    "time_to_learn",
]


def names(study_name, task="asr"):
    content = read_yaml(SHIPPED / "config.yaml") | {"study": study_name, "scale": "tiny", "task": task}
    project = parse(Project, content, "config.yaml")
    return figure_names(expand.load(project, SHIPPED), project.decoding)


@pytest.mark.parametrize(
    ("name", "further"),
    [
        ("attention", {"wer_by_ratio", "steptime"}),
        ("init", {"wer_by_ratio", "steptime", "change_by_init"}),
        ("mapping", {"wer_by_ratio", "steptime", "change_by_mapping", "ranks_by_depth"}),
        ("lrsms", {"wer_by_ratio", "steptime", "ranks_by_depth"}),
        ("lrsms_twins", {"wer_by_ratio", "steptime", "change_by_init", "change_by_mapping", "ranks_by_depth"}),
    ],
)
def test_a_shipped_study_has_the_figures_of_its_axes(name, further):
    assert set(names(name, "vsr")) == {*EVERY_TRAINED, *further}  # what is seen alone has no noise
    for task in ("asr", "avsr"):
        assert set(names(name, task)) == {*EVERY_TRAINED, *further, "wer_by_snr"}


@pytest.mark.parametrize("name", ["arena", "optimizer", "warmup"])
def test_methods_and_optimizers_are_compared_at_every_cost(name):
    assert "wer_by_cost" in names(name)


def test_a_study_that_trains_nothing_shows_step_times_only():
    assert names("steptime") == ["steptime"]


def test_one_dense_model_has_neither_ratios_nor_anything_to_compare_with():
    assert figure_names([fabricate.experiment(fabricate.run())], fabricate.DECODING) == EVERY_TRAINED


def test_initialisations_of_different_ratios_are_no_comparison():
    lowrank = [
        {"targets": ("encoder.attention",), "ratio": ratio, "init": init}
        for ratio, init in ((0.5, "spectral"), (0.25, "random"))
    ]
    experiments = [fabricate.experiment(fabricate.run(one)) for one in lowrank]
    assert "change_by_init" not in figure_names(experiments, fabricate.DECODING)
    experiments.append(fabricate.experiment(fabricate.run(lowrank[1] | {"init": "spectral"})))
    assert "change_by_init" in figure_names(experiments, fabricate.DECODING)


def test_a_curve_over_noise_rises_and_ends_without_noise():
    conditions = {
        "clean": Condition(split="test"),
        "b10": Condition(split="test", noise="babble", snr=10),
        "b-5": Condition(split="test", noise="babble", snr=-5),
        "lips": Condition(split="test", without="audio"),
        "white": Condition(split="test", noise="white", snr=0, without="video"),
    }
    assert noise_curves(conditions) == {"babble noise": [(-5, "b-5"), (10, "b10"), (None, "clean")]}


def test_names_are_known_without_what_draws():
    check = (
        "import sys, lrsms.report.figures.names\n"
        "sys.exit(any(module in sys.modules for module in ('pandas', 'matplotlib', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
