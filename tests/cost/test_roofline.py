"""Rooflines: closed forms of what bounds a matrix product, and of the rank at which low rank begins to pay."""

import math

import pytest
import torch
from small import AUDIOVISUAL, SIZE, small_run

from lrsms.cost.roofline import (
    ROOFS,
    Device,
    Layer,
    break_even,
    layers_seconds,
    measure_device,
    product_seconds,
    run_layers,
    update_seconds,
)
from lrsms.methods.build import build_structure
from lrsms.methods.operations import multiply_adds_per_second
from lrsms.study.frames import FRAMES_PER_SECOND
from lrsms.training.optimizers import adamw, muon

COMPUTE = Device(flops=1e12, bandwidth=math.inf, launch_seconds=0.0)
MEMORY = Device(flops=math.inf, bandwidth=1e9, launch_seconds=0.0)
LAUNCH = Device(flops=math.inf, bandwidth=math.inf, launch_seconds=1e-5)
SHAPES = pytest.mark.parametrize(("outputs", "inputs"), [(768, 768), (3072, 768), (768, 3072), (1536, 768)])
BYTES = 2


def seconds(layer, device):
    return sum(layers_seconds([layer], device, BYTES).values())


@SHAPES
def test_with_arithmetic_alone_time_breaks_even_where_parameters_do(outputs, inputs):
    ratio = break_even([Layer(1600, outputs, inputs)], COMPUTE, BYTES)
    assert ratio * min(outputs, inputs) == pytest.approx(outputs * inputs / (outputs + inputs), rel=1e-9)


@SHAPES
@pytest.mark.parametrize("rows", [1, 1600])
def test_with_bandwidth_alone_the_thin_vectors_count_too(outputs, inputs, rows):
    ratio = break_even([Layer(rows, outputs, inputs)], MEMORY, BYTES)
    expected = outputs * inputs / (outputs + inputs + 2 * rows)
    assert ratio * min(outputs, inputs) == pytest.approx(expected, rel=1e-9)


@SHAPES
def test_where_launches_bound_low_rank_never_pays(outputs, inputs):
    layer = Layer(1600, outputs, inputs)
    assert break_even([layer], LAUNCH, BYTES) == 0
    assert seconds(Layer(1600, outputs, inputs, rank=1), LAUNCH) == 2 * seconds(layer, LAUNCH)


def test_time_falls_with_the_multiply_adds_with_arithmetic_alone():
    dense, low = Layer(10, 512, 256), Layer(10, 512, 256, rank=64)
    assert seconds(dense, COMPUTE) == pytest.approx(3 * 2 * 10 * 512 * 256 / 1e12)
    assert seconds(dense, COMPUTE) / seconds(low, COMPUTE) == pytest.approx(512 * 256 / (64 * (512 + 256)))


def test_memory_traffic_is_each_matrix_once():
    assert product_seconds(2, 3, 5, MEMORY, 4)["memory"] == pytest.approx(4 * (6 + 15 + 10) / 1e9)
    assert seconds(Layer(2, 5, 3), MEMORY) == pytest.approx(3 * BYTES * (6 + 15 + 10) / 1e9)


def test_a_product_costs_its_tightest_roof_and_counts_under_it():
    device = Device(flops=1e12, bandwidth=1e12, launch_seconds=1e-5)
    large, small = Layer(4096, 4096, 4096), Layer(4, 4, 4)
    found = layers_seconds([large, small], device, BYTES)
    assert found["compute"] == pytest.approx(3 * 2 * 4096**3 / 1e12) and found["memory"] == 0
    assert found["launch"] == pytest.approx(3 * 1e-5)


def test_layers_break_even_together_between_their_own():
    layers = [Layer(1600, 768, 768), Layer(1600, 3072, 768)]
    one, other = (break_even([layer], COMPUTE, BYTES) for layer in layers)
    assert one < break_even(layers, COMPUTE, BYTES) < other


def test_an_update_of_adamw_is_ten_numbers_of_traffic():
    weights = torch.Size((5, 5))
    assert update_seconds(25, adamw.cost(weights), MEMORY) == pytest.approx(25 * 10 * 4 / 1e9)
    assert update_seconds(25, adamw.cost(weights), COMPUTE) == 0


def test_an_update_of_muon_is_bound_by_its_products_where_arithmetic_is_dear():
    """Of a square matrix 2 m^3 + m^3 multiply-adds in each of five iterations."""
    assert update_seconds(25, muon.matrix_cost(torch.Size((5, 5)), 5), COMPUTE) == pytest.approx(
        2 * 5 * 3 * 5**3 / 1e12
    )


@pytest.mark.parametrize("network", [{}, AUDIOVISUAL])
@pytest.mark.parametrize("lowrank", [None, {"targets": ["encoder.*"], "ratio": 0.5}])
def test_a_networks_layers_are_those_of_its_plan(network, lowrank):
    run = small_run(lowrank, **network)
    _, plan = build_structure(run, SIZE)
    layers = run_layers(run, SIZE, num_utterances=2, frames=40, tokens=9)
    shapes = [(layer.outputs, layer.inputs, layer.rank) for layer in layers]
    assert sorted(map(str, shapes)) == sorted(str((m.rows, m.columns, m.rank)) for m in plan)


def test_rows_are_frames_offsets_or_tokens():
    layers = run_layers(small_run(), SIZE, num_utterances=2, frames=40, tokens=9)
    assert {layer.rows for layer in layers} == {2 * 40, 2 * 40 - 1, 2 * (9 + 1)}  # the middle one: positions


def test_multiply_adds_of_the_layers_are_a_part_of_the_networks():
    run = small_run()
    structure, _ = build_structure(run, SIZE)
    layers = run_layers(run, SIZE, num_utterances=1, frames=50, tokens=9)
    products = sum(layer.rows * layer.outputs * layer.inputs for layer in layers)
    whole = multiply_adds_per_second(run, structure, 50, 9) * 50 / FRAMES_PER_SECOND
    assert 0.3 * whole < products < whole, "the rest is convolutions and attention"


def test_a_device_is_measured():
    found = measure_device(torch.device("cpu"), torch.float32)
    assert all(0 < value < math.inf for value in (found.flops, found.bandwidth, found.launch_seconds))
    layers = [Layer(100, 64, 64)]
    assert set(layers_seconds(layers, found, 4)) == set(ROOFS)
