"""Ranks over depth: mappings compare at equal parameters, and nothing is clipped."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lrsms.methods.ranks import ranks_over_depth, uniform_rank
from lrsms.study.lowrank import LowRank

RATIOS = st.floats(0.01, 1)
SLOPES = st.floats(-0.99, 0.99)


def ranks(full: int, layers: int, depths: list[int] | None = None, **lowrank) -> list[int]:
    depths = list(range(layers)) if depths is None else depths
    return ranks_over_depth(LowRank(**lowrank), lowrank["ratio"], full, depths, layers, "encoder.q")


def linear(full: int, layers: int, ratio: float, slope: float, **more) -> list[int]:
    return ranks(full, layers, ratio=ratio, mapping="linear", slope=slope, **more)


@pytest.mark.parametrize(
    "ratio, full, multiple, rank",
    [
        (0.25, 768, 1, 192),
        (0.12, 768, 1, 92),
        (1.0, 768, 1, 768),
        (0.001, 96, 1, 1),
        (0.12, 768, 8, 96),
        (0.01, 96, 8, 8),
    ],
)
def test_uniform_rank_is_the_rounded_share(ratio, full, multiple, rank):
    assert uniform_rank(ratio, full, multiple) == rank


@given(RATIOS, SLOPES, st.integers(1, 14), st.integers(1, 800), st.one_of(st.none(), st.integers(2, 16)))
def test_a_linear_mapping_has_the_budget_of_the_uniform_one(ratio, slope, layers, full, multiple):
    try:
        mapped = linear(full, layers, ratio, slope, multiple=multiple)
    except ValueError:
        assume(False)
    assert sum(mapped) == layers * uniform_rank(ratio, full, multiple or 1)
    assert all(1 <= rank <= full and rank % (multiple or 1) == 0 for rank in mapped)


@given(RATIOS, SLOPES, st.integers(2, 14), st.integers(1, 800))
def test_a_linear_mapping_is_monotone_in_depth_as_its_slope_says(ratio, slope, layers, full):
    try:
        mapped = linear(full, layers, ratio, slope)
    except ValueError:
        assume(False)
    assert mapped == sorted(mapped, reverse=slope < 0)


@given(RATIOS, st.floats(0, 0.99), st.integers(2, 14), st.integers(1, 800))
def test_a_linear_mapping_is_within_one_of_the_line(ratio, slope, layers, full):
    try:
        mapped = linear(full, layers, ratio, slope)
    except ValueError:
        assume(False)
    uniform = uniform_rank(ratio, full)
    for layer, rank in enumerate(mapped):
        assert abs(rank - uniform * (1 + slope * (2 * layer / (layers - 1) - 1))) < 1 + 1e-6


@given(RATIOS, st.integers(1, 14), st.integers(1, 800))
def test_slope_zero_is_uniform(ratio, layers, full):
    uniform = ranks(full, layers, ratio=ratio)
    assert linear(full, layers, ratio, 0.0) == uniform == [uniform_rank(ratio, full)] * layers


def test_linear_by_hand():
    """Full rank 100 at a quarter, slope 0.5: shares 0.5, 0.75, 1, 1.25, 1.5 of 25, whose halves go to the earlier."""
    assert linear(100, 5, 0.25, 0.5) == [13, 19, 25, 31, 37]
    assert linear(100, 5, 0.25, -0.5) == [38, 31, 25, 19, 12]


def test_one_block_is_uniform():
    assert linear(100, 1, 0.25, 0.9) == [25]


def test_explicit_ratios_are_ranks():
    assert ranks(100, 3, ratio=0.3, mapping="explicit", ratios=(0.1, 0.3, 0.5)) == [10, 30, 50]


def test_part_of_a_stack_keeps_its_own_budget():
    """Targets that reach only some layers: the shares of those layers, the budget of as many uniform ranks."""
    mapped = ranks(100, 5, depths=[0, 4], ratio=0.25, mapping="linear", slope=0.5)
    assert sum(mapped) == 50 and mapped[1] == pytest.approx(3 * mapped[0], abs=2)


def test_a_rank_above_full_is_refused():
    with pytest.raises(
        ValueError, match=r"encoder.q would have rank 108 at layer 4, outside \[1, 100\]; use a gentler"
    ):
        linear(100, 5, 0.9, 0.2)


def test_a_rank_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"rank 0 at layer 0, outside \[1, 10\]"):
        linear(10, 5, 0.1, 0.9)


def test_a_multiple_above_full_is_refused():
    with pytest.raises(ValueError, match=r"rank 8 at layer 0, outside \[1, 5\]; use a smaller multiple"):
        ranks(5, 2, ratio=0.5, multiple=8)


def test_explicit_ratios_are_one_for_each_layer():
    with pytest.raises(ValueError, match=r"'lowrank.ratios' has 2 values, but encoder.q has 3 layers; give one each"):
        ranks(100, 3, ratio=0.3, mapping="explicit", ratios=(0.1, 0.5))
