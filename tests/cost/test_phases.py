"""A network that changes during training costs what each of its phases costs, by its share of the steps."""

import json

import pytest
import torch
from small import SIZE, small_run

from lrsms.base.devices import device_name
from lrsms.cost import counts, estimate, estimate_table
from lrsms.cost.memory import device_memory_mb
from lrsms.cost.params import show_parameters
from lrsms.cost.steptime import TrainingStep, step_time
from lrsms.methods.build import build_structure
from lrsms.report.courses import describe_courses
from lrsms.study.decoding import Condition, Decoder, Decoding
from lrsms.study.expand import Experiment
from lrsms.study.fields import describe, difference

CPU = torch.device("cpu")
DECODING = Decoding(decoders={"greedy": Decoder(kind="greedy")}, conditions={"test": Condition(split="test")})
PLAIN = {"targets": ["encoder.feedforward"], "ratio": 0.25}
WARM = PLAIN | {"method": {"name": "warmup", "share": 0.5}}


def experiment(lowrank):
    run = small_run(lowrank)
    return Experiment(run, small_run(), describe(difference(small_run(), run)), {})


def folders_of(tmp_path, phases):
    """A step time file of this device, with made-up milliseconds: 90 of the baseline, 60 of the last phase."""
    folders = estimate.Folders(tmp_path / "records", tmp_path / "steptime", tmp_path / "corpora")
    path = folders.steptimes / f"{experiment(WARM).steptime}.json"
    path.parent.mkdir(parents=True)
    content = {"device": device_name(CPU), "threads": torch.get_num_threads(), "median_ms": 60.0}
    path.write_text(json.dumps(content | {"baseline_ms": [90.0, 80.0, 100.0]} | phases))
    return folders


PHASES = {"phases": [{"share": 0.5, "median_ms": 100.0}, {"share": 0.5, "median_ms": 60.0}]}


def test_a_step_of_each_phase_is_timed_and_the_pair_is_of_the_last():
    result = step_time(small_run(WARM), small_run(), CPU, seconds=0)
    assert [phase["share"] for phase in result["phases"]] == [0.5, 0.5]
    assert result["phases"][1]["median_ms"] == result["median_ms"]
    assert len(result["run_ms"]) == len(result["baseline_ms"])
    assert result["parameters"] == sum(p.numel() for p in build_structure(small_run(PLAIN), SIZE + 21)[0].parameters())
    assert "phases" not in step_time(small_run(PLAIN), small_run(), CPU, seconds=0)


def test_a_training_step_has_the_network_of_its_phase():
    run = small_run(WARM)
    sizes = [sum(p.numel() for p in TrainingStep(run, CPU, phase=phase).model.parameters()) for phase in (0, 1)]
    others = (small_run(), small_run(PLAIN))
    assert sizes == [sum(p.numel() for p in TrainingStep(other, CPU).model.parameters()) for other in others]
    assert sizes[0] > sizes[1]


def test_multiply_adds_of_training_are_the_mean_over_its_steps():
    of = {name: counts.multiply_adds_per_step(small_run(low)) for name, low in (("d", None), ("p", PLAIN), ("w", WARM))}
    assert of["w"] == pytest.approx((of["d"] + of["p"]) / 2)
    assert counts.mean_over_phases(small_run(WARM), [3.0, 1.0]) == 2.0
    assert counts.mean_over_phases(small_run(PLAIN), [3.0]) == 3.0


def test_an_estimate_takes_every_phase_into_account(tmp_path):
    folders = folders_of(tmp_path, PHASES)
    result = estimate.estimate([experiment(None), experiment(WARM)], DECODING, folders, CPU, measure=False)
    dense, warm = result.cells
    assert (warm.step_ms, warm.source) == (80.0, "step time")
    assert warm.hours == pytest.approx(2 * 80 / 3.6e6)
    assert warm.parameters < dense.parameters
    # Its checkpoints are as large as a dense model's, its final weights are not.
    assert warm.disk_mb == pytest.approx(dense.disk_mb - 4 * (dense.parameters - warm.parameters) / 1e6)
    (line,) = [line for line in estimate_table.sentences(result) if "dense for" in line]
    assert line.startswith("A network that is dense for the first 50% of its steps, then low rank: params M counts its")


def test_a_step_time_file_without_the_other_phases_tells_no_hours(tmp_path):
    folders = folders_of(tmp_path, {})
    result = estimate.estimate([experiment(WARM)], DECODING, folders, CPU, measure=False)
    assert result.cells[0].step_ms is None


def test_memory_is_of_the_phase_that_takes_most():
    assert device_memory_mb(small_run(WARM)) == device_memory_mb(small_run()) >= device_memory_mb(small_run(PLAIN))


def test_params_say_what_they_count(capsys):
    show_parameters(small_run(WARM), as_json=False)
    assert "The network is dense for the first 50% of its steps, then low rank." in capsys.readouterr().out
    show_parameters(small_run(WARM), as_json=True)
    warm = json.loads(capsys.readouterr().out)
    show_parameters(small_run(PLAIN), as_json=True)
    assert warm == json.loads(capsys.readouterr().out) | {"course": warm["course"]}


def test_a_report_says_what_a_whole_training_takes(tmp_path):
    folders = folders_of(tmp_path, PHASES)
    (said,) = describe_courses([experiment(None), experiment(PLAIN), experiment(WARM)], folders.steptimes)
    assert said == (
        "'encoder.feedforward-0.25-warmup-share0.5' is dense for the first 50% of its steps, then low rank; its"
        " parameters, multiply-adds and step time are those of the network at the end of training. A step takes 100 ms"
        " for 50% of the steps, then 60 ms for 50% of the steps: over a whole training 1.12 times as fast as the"
        " baseline's."
    )
    assert describe_courses([experiment(None), experiment(PLAIN)], folders.steptimes) == []
    assert describe_courses([experiment(WARM)], tmp_path)[0].endswith("the network at the end of training.")
