"""Kaplan-Meier and the log-rank test against SciPy's, with censoring."""

import math

import numpy as np
import pytest
from scipy import stats

from lrsms.statistics.survival import Time, kaplan_meier, log_rank, time_to_learn


def draw(seed: int, scale: float, number: int) -> list[Time]:
    """Steps in tens, so that there are ties; what takes longer than 300 is censored."""
    generator = np.random.default_rng(seed)
    steps = 10 * np.ceil(generator.exponential(scale / 10, number))
    return [Time(min(step, 300.0), bool(step <= 300)) for step in steps]


def censored(times: list[Time]) -> stats.CensoredData:
    return stats.CensoredData(
        uncensored=[time.steps for time in times if time.learned], right=[t.steps for t in times if not t.learned]
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_log_rank_test_is_scipys(seed):
    a, b = draw(seed, 150, 8), draw(100 + seed, 80, 12)
    found, expected = log_rank(a, b), stats.logrank(censored(b), censored(a))
    assert found.z == pytest.approx(expected.statistic, abs=1e-10)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-10)
    assert found.p_sooner == pytest.approx(stats.norm.sf(found.z)) and found.p_sooner + found.p_later == 1
    assert log_rank(b, a).z == pytest.approx(-found.z)


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_scipys(seed):
    times = draw(seed, 150, 15)
    steps, shares = kaplan_meier(times)
    expected = stats.ecdf(censored(times)).sf
    at = [float(expected.evaluate(step)) for step in steps]
    assert list(shares) == pytest.approx(at) and shares[0] == 1 and steps[0] == 0


def test_without_censoring_the_curve_is_the_share_left():
    steps, shares = kaplan_meier([Time(10, True), Time(20, True), Time(20, True), Time(40, True)])
    assert list(steps) == [0, 10, 20, 40] and list(shares) == [1, 0.75, 0.25, 0]


def test_runs_that_never_learn_tell_no_difference():
    assert math.isnan(log_rank([Time(5, False)], [Time(5, False)]).p)
    steps, shares = kaplan_meier([Time(5, False)])
    assert list(steps) == [0] and list(shares) == [1]


def test_a_run_learns_where_it_is_first_below_half():
    assert time_to_learn([10, 20, 30], [0.9, 0.49, 0.6], 30) == Time(20, True)
    assert time_to_learn([10, 20], [0.9, math.nan], 30) == Time(30, False)
    assert time_to_learn([10], [0.5], 10) == Time(10, False), "half is not below half"


def test_no_runs_are_refused():
    with pytest.raises(ValueError, match="at least one run"):
        kaplan_meier([])
    with pytest.raises(ValueError, match="at least one run"):
        log_rank([], [Time(1, True)])
