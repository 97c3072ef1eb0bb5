"""Power against the textbook's noncentral t, and against tables that are drawn and tested one by one."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lrsms.statistics import crossed
from lrsms.statistics.crossed import Components
from lrsms.statistics.effects import difference
from lrsms.statistics.looks import plan
from lrsms.statistics.power import (
    MOST,
    likely_components,
    power,
    seeds_needed,
    share_of_units,
    shown_by,
    units_needed,
)
from lrsms.statistics.stats import effective_units

MIXED = Components(seed=2e-5, unit=1e-4, residual=4e-4)


def textbook(deviation: float, effect: float, number: int) -> float:
    """Power of Student's two-sided one-sample t test at 5% (Cohen 1988, chapter 2)."""
    critical, shift = scipy_stats.t.ppf(0.975, number - 1), effect * np.sqrt(number) / deviation
    distribution = scipy_stats.nct(number - 1, shift)
    return float(distribution.sf(critical) + distribution.cdf(-critical))


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 10])
def test_where_only_seeds_vary_it_is_the_one_sample_t_test(num_seeds):
    found = power(Components(seed=1e-4, unit=0, residual=0), 0.015, num_seeds, 20)
    assert found == pytest.approx(textbook(0.01, 0.015, num_seeds), abs=0.01)


def test_a_published_sample_size():
    # Two-sided 5%, 80% power, an effect of half a standard deviation: 34 (Cohen's d = 0.5, one-sample t test).
    assert seeds_needed(Components(seed=1e-4, unit=0, residual=0), 0.005, 20).number == 34


@pytest.mark.parametrize(
    ("components", "num_seeds", "num_units"),
    [(MIXED, 3, 20), (MIXED, 5, 48), (Components(0, 0, 4e-4), 3, 20), (Components(0, 4e-4, 1e-4), 3, 20)],
)
def test_agrees_with_simulated_tables(components, num_seeds, num_units):
    generator = np.random.default_rng(1)
    effect = 0.012
    words = np.full(num_units, 10**7)
    seen = 0
    for _ in range(600):
        gains = (
            effect
            + np.sqrt(components.seed) * generator.standard_normal((num_seeds, 1))
            + np.sqrt(components.unit) * generator.standard_normal(num_units)
            + np.sqrt(components.residual) * generator.standard_normal((num_seeds, num_units))
        )
        a = np.full(gains.shape, 10**7)
        seen += difference(a, a + np.round(words * gains), words).p < 0.05
    assert seen / 600 == pytest.approx(power(components, effect, num_seeds, num_units), abs=0.05)


def test_power_of_no_difference_is_at_most_about_the_level():
    for num_seeds in (3, 5, 10):
        assert power(MIXED, 0.0, num_seeds, 48) < 0.056


def test_power_grows_with_everything_that_helps():
    assert power(MIXED, 0.01, 3, 20) < power(MIXED, 0.01, 5, 20) < power(MIXED, 0.01, 5, 60) < power(MIXED, 0.02, 5, 60)
    assert power(MIXED, 0.01, 5, 60) == pytest.approx(power(MIXED, -0.01, 5, 60), abs=1e-6)


def test_smallest_numbers_reach_the_target_and_one_less_does_not():
    seeds, units = seeds_needed(MIXED, 0.01, 48).number, units_needed(MIXED, 0.01, 5).number
    assert power(MIXED, 0.01, seeds, 48) >= 0.8 > power(MIXED, 0.01, seeds - 1, 48)
    assert power(MIXED, 0.01, 5, units) >= 0.8 > power(MIXED, 0.01, 5, units - 1)


@pytest.mark.parametrize("number", [3, 6, 10])
def test_at_a_single_look_where_only_seeds_vary_it_is_the_one_sided_t_test(number):
    found = shown_by(Components(seed=1e-4, unit=0, residual=0), 0.015, plan((number,)), 40, studies=4000)
    critical = scipy_stats.t.isf(0.025, number - 1)
    expected = scipy_stats.nct.sf(critical, number - 1, 1.5 * np.sqrt(number))
    assert found == [pytest.approx(expected, abs=0.025)]


def test_later_looks_show_what_earlier_ones_did_and_more():
    shares = shown_by(MIXED, 0.01, plan(), 24, studies=400)
    assert shares == sorted(shares) and 0 <= shares[0] < 0.1 < shares[-1] <= 1
    assert shown_by(MIXED, 0.01, plan(), 24, studies=400) == shares
    assert shown_by(MIXED, 0.0, plan(), 24, studies=400)[-1] < 0.05


def test_two_suffice_for_what_cannot_be_missed():
    assert seeds_needed(Components(0, 0, 0), 0.01, 20).number == 2
    assert power(Components(0, 0, 0), 0.0, 3, 20) == 0


def test_no_number_of_seeds_replaces_speakers_nor_the_reverse():
    # Sixteen speakers who gain by 1 +- 4 points leave an error of one point, with any number of seeds.
    answer = seeds_needed(Components(seed=0, unit=16e-4, residual=0), 0.01, 16)
    assert answer.number is None
    assert answer.reason == (
        f"not even {MOST:,} seeds suffice: with 16 units a standard error of 1 points remains beside a difference of 1;"
        " more units are needed"
    )
    answer = units_needed(Components(seed=1e-4, unit=0, residual=1e-4), 0.01, 4)
    assert answer.number is None and "with 4 seeds a standard error of 0.5 points" in answer.reason


def test_one_seed_decides_nothing():
    assert power(MIXED, 1.0, 1, 20) == 0
    assert units_needed(MIXED, 0.01, 1).number is None


def test_a_pilot_plans_the_study():
    generator = np.random.default_rng(3)
    a, b = generator.poisson(20, (3, 30)), generator.poisson(20 * np.array([[0.8], [0.9], [1.0]]), (3, 30))
    pilot = difference(a, b, np.full(30, 200))
    assert pilot.components.seed > 0 and not pilot.p < 0.05
    halves = (
        seeds_needed(pilot.components, pilot.difference, 30),
        seeds_needed(pilot.components, pilot.difference / 2, 30),
    )
    assert 3 < halves[0].number < halves[1].number


def test_seed_seeds():
    assert power(MIXED, 0.01, 3, 20, seed=1) == power(MIXED, 0.01, 3, 20, seed=1)
    assert power(MIXED, 0.01, 3, 20, seed=1) != power(MIXED, 0.01, 3, 20, seed=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power(Components(-1, 0, 0), 0.01, 3, 20), "components"),
        (lambda: power(difference([[1, 2]], [[0, 1]], [5, 5]).components, 0.01, 3, 20), "one seed has none"),
        (lambda: power(MIXED, 0.01, 0, 20), "at least one seed"),
        (lambda: seeds_needed(MIXED, 0.0, 20), "difference of 0"),
        (lambda: units_needed(MIXED, 0.01, 3, target=1.0), "target"),
    ],
)
def test_impossible_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_pilot_of_three_seeds_leaves_the_variance_between_seeds_wide_open():
    """Chi-square with two degrees of freedom: -2 log(1 - q), so that the bounds are known in closed form."""
    small, large = likely_components(Components(seed=1e-4, unit=0.0, residual=0.0), 3, 50)
    assert small.seed == pytest.approx(1e-4 * 2 / (-2 * math.log(0.1)))
    assert large.seed == pytest.approx(1e-4 * 2 / (-2 * math.log(0.9)))
    noisy = Components(seed=0.0, unit=2e-4, residual=1e-2)
    assert likely_components(noisy, 3, 50)[0].seed == 0 and likely_components(noisy, 3, 50)[1].unit == noisy.unit


def test_the_share_of_the_test_set_is_what_infinitely_many_units_would_take_away():
    components = Components(seed=1e-4, unit=2e-4, residual=3e-3)
    now, then = (1e-4 / 3 + 2e-4 / units + 3e-3 / (3 * units) for units in (48, 1e12))
    assert share_of_units(components, 3, 48) == pytest.approx(1 - then / now)
    assert share_of_units(Components(0.0, 0.0, 0.0), 3, 48) == 0


HALF = np.array([110.0] + [10.0] * 11)
"""Words of twelve speakers, of whom one has half of all."""


def shown_in_simulated_tables(words, num_seeds, components, gain, studies=4000):
    """How often the rule of ``effects`` (two-sided, 5%) sees a gain a word in tables of units of unequal length."""
    generator, shape = np.random.default_rng(1), (studies, num_seeds, len(words))
    seed_sd, unit_sd, residual_sd = (math.sqrt(variance) for variance in astuple(components))
    rates = gain + seed_sd * generator.standard_normal((studies, num_seeds, 1))
    rates = rates + unit_sd * generator.standard_normal((studies, 1, len(words)))
    rates = rates + residual_sd * np.sqrt(words.mean() / words) * generator.standard_normal(shape)
    mean = (rates * words).sum(axis=(1, 2), keepdims=True) / (num_seeds * words.sum())
    squares = crossed.mean_squares(crossed.linearised(rates * words, words, mean), crossed.leverage(words))
    se, df = crossed.standard_error(*squares, num_seeds, len(words), effective_units(words))
    return float(np.mean(np.abs(mean[:, 0, 0]) > scipy_stats.t.ppf(0.975, df) * se))


@pytest.mark.parametrize(
    ("words", "num_seeds", "gain", "within"),
    [(HALF, 3, 0.05, 0.08), (HALF, 6, 0.05, 0.05), (np.exp(np.linspace(0, 4.6, 24)), 6, 0.03, 0.03)],
)
def test_a_plan_counts_as_many_units_as_weigh_the_same(words, num_seeds, gain, within):
    """A plan by the number of units promises what few speakers with most of the words do not give."""
    of_a_word = Components(seed=1e-4, unit=4e-4, residual=1e-3)
    units, weigh_as = len(words), effective_units(words)
    estimated = replace(of_a_word, unit=of_a_word.unit * units / weigh_as)
    simulated = shown_in_simulated_tables(words, num_seeds, of_a_word, gain)
    planned = power(estimated, gain, num_seeds, units, effective_units=weigh_as)
    by_number = power(estimated, gain, num_seeds, units)
    assert planned == pytest.approx(simulated, abs=within)
    assert by_number - simulated > abs(planned - simulated)


def test_units_of_equal_length_are_planned_by_their_number():
    arguments = MIXED, 0.01, 5, 20
    assert power(*arguments, effective_units=20.0) == power(*arguments)
    looks = plan((3, 6))
    assert shown_by(MIXED, 0.01, looks, 20, 200, effective_units=20.0) == shown_by(MIXED, 0.01, looks, 20, 200)
    assert likely_components(MIXED, 3, 20, effective_units=20.0) == likely_components(MIXED, 3, 20)


def test_few_effective_units_need_more_seeds_and_more_units():
    components = Components(seed=4e-4, unit=1e-4, residual=1e-3)
    by_number, planned = seeds_needed(components, 0.02, 12), seeds_needed(components, 0.02, 12, effective_units=3.7)
    assert planned.number > by_number.number
    unequal = units_needed(Components(0.0, 16e-4, 1e-4), 0.02, 6, evenness=3.7 / 12)
    assert unequal.number > units_needed(Components(0.0, 16e-4, 1e-4), 0.02, 6).number
    assert power(components, 0.05, 5, 12, effective_units=1.0) == 0, "one speaker has all of the words"
    looks = plan((3, 6))
    speakers_alone = Components(1e-5, 16e-4, 1e-4)
    few, many = (shown_by(speakers_alone, 0.06, looks, 12, effective_units=size) for size in (3.7, None))
    assert few[-1] < many[-1] - 0.1


def test_what_few_effective_units_leave_unknown_of_their_own_variance_is_in_the_range():
    """A chi-square with two degrees of freedom again: K_eff = 3 of 12, and no residual."""
    components = Components(seed=1e-4, unit=4e-4, residual=0.0)
    small, large = likely_components(components, 6, 12, effective_units=3.0)
    assert small.unit == pytest.approx(4e-4 * 2 / (-2 * math.log(0.1)))
    assert large.unit == pytest.approx(4e-4 * 2 / (-2 * math.log(0.9)))
    assert likely_components(components, 6, 12, effective_units=6.0)[0].unit == components.unit
