"""The levels of the looks, as they were published for this shape of spending, and what they add up to."""

import math

import numpy as np
import pytest
from scipy import stats

from lrsms.statistics.looks import ALPHA, due, next_look, over_all, plan, spent


def test_the_levels_of_the_default_looks():
    looks = plan()
    assert [look.seeds for look in looks] == [3, 6, 10, 15]
    assert [round(look.alpha, 4) for look in looks] == [0.0022, 0.0041, 0.0073, 0.0114]
    critical = [float(stats.t.isf(look.alpha, look.seeds - 1)) for look in looks]
    assert critical == pytest.approx([14.9, 4.24, 3.02, 2.56], abs=0.06)
    assert [look.level for look in looks] == [1 - 2 * look.alpha for look in looks]
    assert [look.final for look in looks] == [False, False, False, True]


@pytest.mark.parametrize("seeds", [(3, 6, 10, 15), (5,), (3, 4, 5, 6, 7, 15)])
def test_all_looks_together_spend_the_level(seeds):
    assert sum(look.alpha for look in plan(seeds)) == pytest.approx(ALPHA)


@pytest.mark.parametrize("wanted", [0.005, 0.01, 0.02])
def test_a_claim_s_p_over_all_looks_is_as_small_as_it_says_at_most_that_often(wanted):
    """Seeds without any effect, judged at the first look that decides: the p of that look alone is small too often."""
    draws = np.random.default_rng(1).normal(size=(40_000, 15))
    own, is_open = np.ones(len(draws)), np.full(len(draws), True)
    for look in plan():
        first = draws[:, : look.seeds]
        p = stats.t.sf(first.mean(axis=1) / first.std(axis=1, ddof=1) * look.seeds**0.5, look.seeds - 1)
        own[is_open] = p[is_open]
        is_open &= (p > look.alpha) & (p < 1 - look.alpha)
    over = np.array([over_all(p, plan()) for p in own])
    assert wanted / 3 < (over <= wanted).mean() <= wanted < (own <= wanted).mean()


def test_a_p_over_all_looks_is_no_more_than_one_and_unknown_stays_unknown():
    assert over_all(0.99, plan()) == 1.0 and math.isnan(over_all(math.nan, plan()))
    assert over_all(0.3, plan((5,))) == 0.3 and over_all(0.001, plan()) == pytest.approx(0.004)


def test_a_look_that_was_not_planned_spends_what_came_since_the_last():
    planned, inserted = plan((3, 6, 15)), plan((3, 5, 6, 15))
    assert inserted[1].alpha == pytest.approx(spent(5, 15) - spent(3, 15))
    assert inserted[1].alpha + inserted[2].alpha == pytest.approx(planned[1].alpha)
    assert inserted[3].alpha == pytest.approx(planned[2].alpha)


def test_between_two_looks_none_is_due():
    looks = plan()
    assert [len(due(looks, seeds)) for seeds in (2, 3, 5, 6, 15, 99)] == [0, 1, 1, 2, 4, 4]
    assert [next_look(looks, seeds) and next_look(looks, seeds).seeds for seeds in (0, 3, 14, 15)] == [3, 6, 15, None]


@pytest.mark.parametrize("seeds", [(), (3, 3), (6, 3), (0, 3)])
def test_looks_that_do_not_rise_are_refused(seeds):
    with pytest.raises(ValueError, match="rising numbers of seeds"):
        plan(seeds)
