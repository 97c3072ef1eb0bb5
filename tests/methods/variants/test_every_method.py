"""What every method owes the harness: its counts are those of its network, and its bits do not depend on interruptions.

A new file in ``lrsms/methods/variants`` is tested here without a further line, unless a parameter has no default.
"""

import subprocess
import sys

import nano
import pytest
import torch
from endings import Killed, killed_after, same_result
from small import AUDIOVISUAL, SIZE, VISUAL, small_run
from stepping import TOTAL, run_of, stepped, take

from lrsms.base.strict import parse
from lrsms.methods.build import build_model, build_structure
from lrsms.methods.closed_form import multiply_adds_bounds, plan_of
from lrsms.methods.operations import check_plan, multiply_adds_per_second, plan_summary
from lrsms.methods.spectra import spectra
from lrsms.study.files_as_values import METHODS, OPTIMIZERS
from lrsms.study.lowrank import LowRank
from lrsms.training.loop import train
from lrsms.training.state import State, capture, restore

CPU = torch.device("cpu")
PARAMETERS = {"warmup": {"share": 0.5}, "refactor": {"every": 4}}
"""Of methods that have parameters without a default, or whose default is too long for a training of 8 steps."""
EVERY = pytest.mark.parametrize("method", [{"name": name} | PARAMETERS.get(name, {}) for name in METHODS], ids=METHODS)


@EVERY
@pytest.mark.parametrize("model", [{}, VISUAL, AUDIOVISUAL], ids=["asr", "vsr", "avsr"])
def test_its_counts_are_those_of_the_network_that_is_built(method, model):
    lowrank = {"targets": ["encoder.attention", "encoder.feedforward"], "ratio": 0.25, "method": method}
    run = small_run(lowrank, **model)
    structure, plan = build_structure(run, SIZE)
    assert plan_summary(structure, plan) == plan_of(run, SIZE)
    check_plan(plan_of(run, SIZE), plan, dict(structure.named_parameters()))
    low, high = multiply_adds_bounds(run, SIZE)
    assert low <= multiply_adds_per_second(run, structure, 40, 8) <= high


@EVERY
def test_its_multiply_adds_are_those_of_each_vector_that_passes(method):
    lowrank = {"targets": ["encoder.feedforward"], "ratio": 0.25, "method": method}
    run, frames = small_run(lowrank), 50
    plan = build_structure(run, SIZE)[1]
    saved = sum(m.rows * m.columns - m.operations for m in plan if m.rank is not None)
    counts = [multiply_adds_per_second(each, build_structure(each, SIZE)[0], frames, 8) for each in (small_run(), run)]
    assert counts[0] - counts[1] == pytest.approx(25 * saved)


@EVERY
def test_its_network_on_the_meta_device_is_the_one_that_is_trained(method):
    run = small_run({"targets": ["encoder.*"], "ratio": 0.5, "qkv": "fused", "method": method})
    for phase in range(run.num_phases):
        real, structure = (build(run, SIZE, phase)[0].state_dict() for build in (build_model, build_structure))
        assert {name: x.shape for name, x in real.items()} == {name: x.shape for name, x in structure.items()}


@EVERY
def test_its_spectra_have_as_many_values_as_ranks(method):
    run = small_run({"targets": ["encoder.attention"], "ratio": 0.5, "method": method})
    model, plan = build_model(run, SIZE, run.num_phases - 1)
    content = spectra(model.state_dict(), plan)
    for entry in content["matrices"]:
        for rank, values in zip(entry["ranks"], entry["values"], strict=True):
            assert len(values) == len(content["indices"][str(rank or min(entry["rows"], entry["columns"]))])


@EVERY
def test_interrupted_it_goes_on_to_the_same_bits(method, make_run, make_folder, prepared, monkeypatch):
    run = make_run(**nano.SPECTRAL, lowrank__method=method)
    whole, folder = make_folder(run), make_folder(run)
    train(run, prepared, whole, CPU)
    for steps in (3, 4, 5):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_after(patch, steps)
            train(run, prepared, folder, CPU, checkpoint_seconds=0)
    train(run, prepared, folder, CPU)
    assert same_result(folder, whole)


@EVERY
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("step", [4, *(pytest.param(step, marks=pytest.mark.slow) for step in (3, 5))])
def test_restored_under_any_optimizer_it_goes_on_to_the_same_bits(method, optimizer, step):
    """From a checkpoint before, at and after the step at which methods act that do so once or every 4 steps."""
    run = run_of(method, optimizer)
    whole = stepped(run, TOTAL)
    state, again = stepped(run, step), State.at(run, SIZE, CPU, step, TOTAL)
    checkpoint = capture(step, state.model, state.optimizer, state.total_weights, {})
    restore(checkpoint, again.model, again.optimizer, again.total_weights)
    for _ in range(TOTAL - step):
        take(again)
    torch.testing.assert_close(again.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)


@EVERY
def test_its_name_is_its_file_and_it_says_what_it_is(method):
    lowrank = parse(LowRank, {"targets": ["ctc"], "ratio": 0.5, "method": method}, "test")
    assert str(lowrank.acting_method).split()[0] == method["name"]
    assert bool(lowrank.acting_method.describe()) == bool(lowrank.acting_method.changes())


def test_none_loads_pytorch_before_it_acts():
    code = "import sys, lrsms.study.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
