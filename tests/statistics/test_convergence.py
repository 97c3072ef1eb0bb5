"""Runs that did not learn, counted; the numbers worked by hand."""

import math

import pytest

from lrsms.statistics.convergence import Failures, bar, failed, most_likely_failures


def test_the_bar_is_half_or_three_medians():
    assert bar([0.05, 0.06, 0.98]) == 0.5
    assert bar([0.2, 0.3, 0.4]) == pytest.approx(0.9)
    assert bar([0.2, 0.3, 0.4, math.nan]) == pytest.approx(0.9), "a diverged run does not move the median"
    assert bar([math.nan]) == bar([]) == 0.5


@pytest.mark.parametrize(
    ("final", "diverged", "expected"),
    [(0.4, False, False), (0.6, False, True), (0.4, True, True), (math.nan, False, False)],
)
def test_a_run_has_failed_above_the_bar_or_where_it_diverged(final, diverged, expected):
    assert failed(final, diverged, 0.5) is expected


def test_fishers_exact_test_worked_by_hand():
    """Three of three against none of three: of the 20 ways to place three failures, one."""
    every = Failures(0, 3, 3, 3)
    assert every.p_more == pytest.approx(1 / 20) and every.p == pytest.approx(2 / 20) and every.more
    assert Failures(3, 3, 0, 3).p_more == pytest.approx(1) and not Failures(3, 3, 0, 3).more
    assert not Failures(1, 3, 1, 3).more and Failures(1, 6, 1, 3).more


def test_the_bound_where_none_failed():
    assert [round(100 * most_likely_failures(runs)) for runs in (3, 10)] == [63, 26]
    assert (1 - most_likely_failures(7)) ** 7 == pytest.approx(0.05)
    with pytest.raises(ValueError, match="at least one run"):
        most_likely_failures(0)
