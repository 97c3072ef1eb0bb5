"""What a step has to do, counted: by hand for one matrix, and what low rank can save of it at most."""

import pytest
import torch
from small import small_run
from torch import nn

from lrsms.cost.case import Row, variant
from lrsms.cost.ceiling import Traffic, ceiling, count
from lrsms.study.expand import preset_run

LOWRANK = {"targets": ["encoder.feedforward"], "ratio": 0.25}


def test_traffic_of_a_matrix_is_its_operands_and_results_and_views_are_free():
    with torch.device("meta"):
        linear, x = nn.Linear(5, 7, bias=False), torch.empty(3, 5)
    with Traffic() as traffic:
        y = linear(x)
    assert traffic.bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)
    with Traffic() as traffic:
        y.view(21).unsqueeze(0).transpose(0, 1)
    assert traffic.bytes == 0


def test_a_step_of_two_groups_moves_twice_the_bytes_but_for_the_update():
    run = small_run()
    one = run.model_copy(update={"train": run.train.model_copy(update={"groups_per_step": 1})})
    first, second = count(one), count(run)
    assert second.multiply_adds == 2 * first.multiply_adds
    assert first.bytes < second.bytes < 2 * first.bytes


def test_low_rank_saves_multiply_adds():
    run, dense = small_run(LOWRANK), small_run()
    found = ceiling(run, dense)
    assert found["multiply_adds"] > 1 and set(found) == {"multiply_adds", "bytes"}
    assert ceiling(dense, dense) == {"multiply_adds": 1, "bytes": 1}


@pytest.mark.parametrize("method", [{"name": "warmup", "share": 0.7}, {"name": "self_guided"}])
def test_the_ceiling_of_a_training_of_several_phases_is_of_the_last_whose_steps_are_timed(method):
    plain, phased = (count(small_run(LOWRANK | more)) for more in ({}, {"method": method}))
    assert phased.multiply_adds == plain.multiply_adds < count(small_run()).multiply_adds


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "most"), [("paper-asr", 1.53), ("paper-avsr", 1.33)])
def test_what_the_paper_could_gain_by_arithmetic_alone(preset, most):
    run = preset_run(preset)
    dense, lowrank = (variant(run, Row(preset, 1600, "bfloat16", "eager", ratio)) for ratio in (None, 0.25))
    assert ceiling(lowrank, dense)["multiply_adds"] == pytest.approx(most, abs=0.005)
