"""Grids of step times: every setting is a row, dense beside low rank, and what time does not reach says so."""

import argparse
import json
from dataclasses import replace
from itertools import count

import pytest
import torch
from small import AUDIOVISUAL, small_run

from lrsms.base.kernels import arithmetic
from lrsms.cost import case, stepbench, steptime
from lrsms.cost.case import TARGETS, Row, compile_blocks, measure_case, variant
from lrsms.cost.random_data import vocabulary
from lrsms.cost.stepbench import TIME_WAS_UP, Grid, Result, measure_grid
from lrsms.cost.stepbench_table import NONE, columns, sentences
from lrsms.cost.steptime import TrainingStep, network
from lrsms.methods.build import build_model
from lrsms.study.lowrank import LowRank
from lrsms.verbs.benching import asked_grid

CPU = torch.device("cpu")
GRID = Grid(("small",), (100,), (0.5,), ("float32",), ("eager",))
RUNS = {"small": small_run()}
ROW = Row("small", 100, "float32", "eager", None)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setitem(case._SECONDS, "cpu", 0.0)


@pytest.fixture(scope="module")
def measured():
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(case._SECONDS, "cpu", 0.0)
        return measure_grid(GRID, RUNS, CPU, 1e3, lambda result: kept.append(json.dumps(result.plain()))), kept


def test_dense_and_low_rank_are_rows_beside_each_other(measured):
    dense, low = measured[0].rows
    assert (dense.ratio, low.ratio, dense.speedup) == (None, 0.5, None)
    assert len(dense.times_ms) == len(low.times_ms) > 1
    assert low.speedup == pytest.approx(dense.median_ms / low.median_ms)
    assert low.speedup_interval[0] <= low.speedup <= low.speedup_interval[1]
    assert low.parameters < dense.parameters and low.multiply_adds < dense.multiply_adds


def test_achieved_rates_follow_from_times_and_multiply_adds(measured):
    result, _ = measured
    for row in result.rows:
        assert row.teraflops == pytest.approx(6 * row.multiply_adds / (row.median_ms / 1e3) / 1e12)
        assert row.share == pytest.approx(row.teraflops * 1e12 / result.roofs["float32"].flops)
        assert row.peak_memory_mb is None, "a CPU does not count it"


def test_what_was_measured_is_kept_after_every_case(measured):
    result, kept = measured
    assert json.loads(kept[0])["rows"] == json.loads(json.dumps(result.plain()))["rows"]


def test_cases_come_in_the_order_of_their_values_until_the_time_is_up(monkeypatch):
    """A case is not begun if one as long as the longest so far would end too late."""
    clock = count(0, 10)
    monkeypatch.setattr(stepbench.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(stepbench, "measure_case", lambda cases, *_: cases)
    monkeypatch.setattr(stepbench, "measure_device", lambda *_: None)
    monkeypatch.setattr(stepbench, "provenance", dict)
    grid = replace(GRID, frames=(100, 200), ratios=(), precisions=("bfloat16", "float32"))
    rows = measure_grid(grid, RUNS, CPU, 65.0).rows  # each case takes 10 s, and asks the clock twice
    assert [(row.precision, row.frames) for row in rows] == [
        ("bfloat16", 100),
        ("bfloat16", 200),
        ("float32", 100),
        ("float32", 200),
    ]
    assert [row.why_not for row in rows] == [None, None, None, TIME_WAS_UP]


def test_a_variant_is_one_group_of_its_frames():
    run = variant(small_run(), replace(ROW, ratio=0.25, precision="tf32", frames=300))
    assert (run.train.group_frames, run.train.groups_per_step, run.train.precision) == (300, 1, "float32")
    assert run.lowrank == LowRank(targets=TARGETS, ratio=0.25)
    without = small_run().model_copy(update={"model": small_run().model.model_copy(update={"decoder_layers": 0})})
    alone = variant(without, replace(ROW, ratio=0.25))
    assert alone.lowrank.targets == ("encoder.attention", "encoder.feedforward")


def test_targets_are_those_of_the_study():
    from lrsms.base.yamlfile import read_yaml
    from lrsms.study.expand import CONFIG_FOLDER

    _, grid = read_yaml(CONFIG_FOLDER / "studies" / "lrsms.yaml")["grids"]
    assert grid["lowrank.targets"] == [list(TARGETS)]


def test_a_network_for_timing_has_the_shapes_of_the_runs_own():
    run = variant(small_run(**AUDIOVISUAL), replace(ROW, ratio=0.5))
    own, fast = build_model(run, vocabulary(run))[0], network(run, CPU)[0]
    assert {name: value.shape for name, value in own.state_dict().items()} == {
        name: value.shape for name, value in fast.state_dict().items()
    }
    assert all(value.isfinite().all() for value in fast.state_dict().values()) and fast.training


def test_a_failing_compiler_is_said_in_one_line(monkeypatch):
    def fail(*_):
        raise RuntimeError("no C++ compiler found\nand much more")

    monkeypatch.setattr(case, "compile_blocks", fail)
    rows = measure_case([replace(ROW, mode="compiled")], small_run(), CPU, None)
    assert [row.why_not for row in rows] == ["no C++ compiler found"]
    monkeypatch.setattr(steptime, "network", fail)
    with pytest.raises(RuntimeError):
        measure_case([ROW], small_run(), CPU, None)


def test_what_does_not_fit_is_said(monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("256 GiB")

    monkeypatch.setattr(steptime, "network", fail)
    (row,) = measure_case([ROW], small_run(), CPU, None)
    assert row.why_not == "out of memory"


def test_the_largest_number_of_frames_is_the_last_double_that_fits(monkeypatch):
    def some(run, device, phase):
        if run.train.group_frames > 300:
            raise torch.OutOfMemoryError
        return network(run, device, phase)

    monkeypatch.setattr(steptime, "network", some)
    assert stepbench.most_frames(small_run(), (0.5,), "float32", CPU) == 200


def test_arithmetic_is_as_it_was_afterwards():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    for precision, expected in {
        "tf32": ("high", True),
        "float32": ("highest", False),
        "default": ("highest", True),
        "bfloat16": ("highest", True),
    }.items():
        with arithmetic(precision):
            assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == expected
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_tables_show_what_was_measured_and_why_not(measured):
    result, _ = measured
    dense, low = (columns(row) for row in result.rows)
    assert (dense["kept"], dense["x dense [95%]"], low["kept"]) == ("dense", NONE, "0.5")
    missing = replace(ROW, frames=6400, why_not=TIME_WAS_UP)
    assert columns(missing)["step ms [quartiles]"] == NONE
    lines = sentences(Result(CPU, result.roofs, [*result.rows, missing]))
    assert f"'-', {TIME_WAS_UP}; more with --seconds: small 6400 float32 eager." in lines


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"frames": ["150"]}, "--frames 150: must be a multiple of 100"),
        ({"frames": ["max"]}, "'--frames max', '--precision tf32' and '--modes graphs' are for a CUDA device"),
        ({"precision": ["float16"]}, "--precision float16: use one of default, bfloat16, tf32, float32"),
        ({"modes": ["fast"]}, "--modes fast: use one of eager, graphs, compiled"),
        ({"ratios": [1.5]}, "--ratios 1.5: must be more than 0 and at most 1"),
    ],
)
def test_wrong_options_end_in_one_line(option, message):
    nothing = dict.fromkeys(("frames", "ratios", "precision", "modes")) | {"presets": []}
    assert asked_grid(argparse.Namespace(**nothing), CPU) == stepbench.SMALL
    with pytest.raises(ValueError, match=message):
        asked_grid(argparse.Namespace(**(nothing | option)), CPU)


@pytest.mark.skipif(" " in torch.__file__, reason="PyTorch's compiler does not quote the path of its own libraries")
@pytest.mark.slow
def test_compiled_blocks_compute_the_same():
    """Losses, gradients and group statistics of a step, low rank in part."""
    run = variant(small_run(layers=1, decoder_layers=1), replace(ROW, ratio=0.5))
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        step = TrainingStep(run, CPU)
        if compiled:
            with case.many_graphs():
                compile_blocks(step.model)
                losses = step_losses(step)
        else:
            losses = step_losses(step)
        gradients = {name: parameter.grad for name, parameter in step.model.named_parameters()}
        results.append((losses, gradients, dict(step.model.named_buffers())))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-5)


def step_losses(step):
    from lrsms.training.step import accumulate

    return accumulate(step.model, step.run, step.batches, 0, CPU)


def test_a_vocabulary_has_a_blank_and_an_end():
    assert vocabulary(small_run()) == 32
