"""The crossed model against hand-computed analyses of variance and Student's t."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from lrsms.statistics.crossed import Components, leverage, linearised, mean_squares, standard_error
from lrsms.statistics.effects import beyond, contrast, difference, noninferiority, step_down, trend
from lrsms.statistics.stats import UNKNOWN, effective_units, error_rate, t_interval

WORDS = np.array([10, 10, 10])
BEFORE = np.array([[2, 3, 4], [2, 3, 4]])
AFTER = np.array([[1, 1, 4], [3, 0, 1]])
"""Differences -1 -2 0 / 1 -3 -3, of ten words each."""


def draw(seed: int, num_seeds: int = 3, num_units: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    words = generator.integers(40, 200, num_units)
    a = generator.poisson(0.15 * words, (num_seeds, num_units))
    b = generator.poisson(
        0.12 * words * np.exp(0.1 * generator.standard_normal((num_seeds, 1))), (num_seeds, num_units)
    )
    return a, b, words


def test_the_analysis_of_variance_worked_by_hand():
    # Rates in tenths: grand mean -4/3; seeds -1 and -5/3; units 0, -5/2 and -3/2.
    # Squares: seeds 3 * 2 * (1/3)^2 = 2/3 with 1 freedom; units 2 * (16/9 + 49/36 + 1/36) = 19/3 with 2;
    # all 24 - 6 * 16/9 = 40/3, so that the residual is 19/3 with 2.
    seed, unit, residual = 2 / 3, 19 / 6, 19 / 6
    effect = difference(BEFORE, AFTER, WORDS)
    assert effect.difference == pytest.approx(-4 / 30)
    # MS_seed lies below the residual and counts as it: total 19/6.
    assert effect.se == pytest.approx(math.sqrt((19 / 6) / 6) / 10)
    df = (19 / 6) ** 2 / (seed**2 * 3 / 1 + unit**2 * 2 / 2 + residual**2 * 2 / 2)
    assert df < 1 and effect.df == 1  # not below min(S, K) - 1
    half = scipy_stats.t.ppf(0.975, 1) * effect.se
    assert (effect.interval.low, effect.interval.high) == pytest.approx((-4 / 30 - half, -4 / 30 + half))
    assert effect.components == Components(0, 0, pytest.approx(19 / 600))
    assert (effect.seeds, effect.units, effect.words, effect.unit) == (2, 3, 30, "speaker")


def test_components_solve_the_expected_mean_squares():
    # Additive but for one unit in the residual: seeds 0 and 4, units 0, 1 and 5, of ten words.
    edits = np.array([[0, 1, 5], [4, 5, 10]])
    effect = difference(np.zeros((2, 3)), edits, WORDS)
    residual = 1 / 6  # 1/3 of squares with 2 freedoms, in tenths
    seed = 3 * 2 * (13 / 6) ** 2
    unit = 2 * ((2 - 25 / 6) ** 2 + (3 - 25 / 6) ** 2 + (7.5 - 25 / 6) ** 2) / 2
    expected = ((seed - residual) / 300, (unit - residual) / 200, residual / 100)
    assert astuple(effect.components) == pytest.approx(expected)
    assert effect.se == pytest.approx(math.sqrt((seed + unit - residual) / 6) / 10)


def test_satterthwaite_degrees_of_freedom_with_their_factor():
    _, df = standard_error(np.array(1.0), np.array(8.0), np.array(1.0), 3, 20)
    assert df == pytest.approx(8**2 / (1 * 2 / 2 + 64 * (1 + 2 / 19) / 19 + (1 + 2 / 38) / 38))


def test_without_variance_of_units_it_is_students_interval_over_seeds():
    # Every unit gains alike within a seed but for one edit to and fro, so that only seeds differ.
    a = np.full((4, 6), 20)
    gains = np.array([[3], [5], [4], [9]]) + np.array([1, -1, 1, -1, 1, -1]) * np.array([[1], [-1], [1], [-1]])
    words = np.full(6, 100)
    effect = difference(a, a - gains, words)
    by_seed = [error_rate(after, words) - error_rate(before, words) for before, after in zip(a, a - gains, strict=True)]
    assert effect.df == 3
    assert (effect.interval.low, effect.interval.high) == pytest.approx(
        (t_interval(by_seed).low, t_interval(by_seed).high)
    )


def test_without_variance_of_seeds_the_units_alone_decide():
    edits = np.tile([3, 9, 1, 5, 2, 7], (3, 1))
    effect = difference(np.zeros((3, 6)), edits, np.full(6, 100))
    assert effect.se == pytest.approx(scipy_stats.sem(edits[0] / 100))
    assert effect.df == pytest.approx(5 / (1 + 2 / 5))
    assert (effect.components.seed, effect.components.residual) == pytest.approx((0, 0), abs=1e-15)


@given(st.integers(0, 50))
def test_the_difference_is_that_of_the_corpus_rates(seed):
    a, b, words = draw(seed)
    expected = np.mean(
        [error_rate(after, words) - error_rate(before, words) for before, after in zip(a, b, strict=True)]
    )
    assert difference(a, b, words).difference == pytest.approx(expected)


@given(st.integers(0, 50))
def test_order_of_seeds_and_units_does_not_matter_but_pairing_does(seed):
    a, b, words = draw(seed)
    generator = np.random.default_rng(seed)
    rows, columns = generator.permutation(3), generator.permutation(12)
    effect = difference(a, b, words)
    mixed = difference(a[rows][:, columns], b[rows][:, columns], words[columns])
    assert (mixed.difference, mixed.se, mixed.df) == pytest.approx((effect.difference, effect.se, effect.df))


def test_pairing_removes_what_is_hard_for_both():
    generator = np.random.default_rng(4)
    hard = generator.integers(0, 60, size=(3, 15))
    easier = np.maximum(hard - generator.integers(0, 3, size=(3, 15)), 0)
    words = np.full(15, 100)
    unpaired = difference(hard, easier[:, ::-1], words)
    assert difference(hard, easier, words).se < unpaired.se / 5


def test_scaling_words_scales_rates():
    a, b, words = draw(3)
    effect, tenfold = difference(a, b, words), difference(a, b, 10 * words)
    assert tenfold.difference == pytest.approx(effect.difference / 10)
    assert tenfold.se == pytest.approx(effect.se / 10)
    assert (tenfold.p, tenfold.df) == pytest.approx((effect.p, effect.df))


def test_exchanging_the_systems_changes_the_sign_only():
    a, b, words = draw(5)
    forward, backward = difference(a, b, words), difference(b, a, words)
    assert backward.difference == pytest.approx(-forward.difference)
    assert (backward.se, backward.p) == pytest.approx((forward.se, forward.p))
    assert forward.p_below(0.01) == pytest.approx(backward.p_above(-0.01))


def test_long_units_weigh_more():
    # The long unit gets 10 points better, the nine short ones 10 points worse: per word that is better.
    words = np.array([10_000] + [100] * 9)
    a, b = np.array([[2000] + [10] * 9] * 2), np.array([[1000] + [20] * 9] * 2)
    assert difference(a, b, words).difference == pytest.approx((-1000 + 90) / 10_900)


def test_one_sided_p_and_interval_agree():
    a, b, words = draw(6)
    effect = difference(a, b, words)
    assert effect.p_below(effect.interval.high) == pytest.approx(0.025)
    assert effect.p_above(effect.interval.low) == pytest.approx(0.025)
    assert effect.p_below(0.02) + effect.p_above(0.02) == pytest.approx(1)
    assert effect.p == pytest.approx(2 * min(effect.p_below(), effect.p_above()))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([[3, 1, 4]], [[1, 1, 1]]),  # one seed
        ([[3], [1], [4]], [[1], [1], [1]]),  # one unit
        ([[3, 1], [3, 1]], [[3, 1], [3, 1]]),  # a model and itself
        ([[4, 14], [4, 14]], [[1, 2], [1, 2]]),  # the same gain per word everywhere: rounding is no spread
    ],
)
def test_what_determines_no_interval_is_undecided(a, b):
    effect = difference(a, b, [7, 28, 11][: len(a[0])])
    assert math.isfinite(effect.difference)
    assert str(effect.interval) == str(UNKNOWN)
    assert all(math.isnan(x) for x in (effect.se, effect.df, effect.p, effect.p_below(0.1), effect.p_above(0.1)))
    assert not effect.p_below() < 0.025


@pytest.mark.parametrize("num_seeds", [2, 3])
def test_fewer_than_three_seeds_have_an_interval_but_no_p(num_seeds):
    a, b, words = draw(9, num_seeds)
    effect = difference(a, b, words)
    p_values = (effect.p, effect.p_below(), effect.p_above(0.01))
    assert math.isfinite(effect.interval.low)
    assert all(math.isnan(p) == (num_seeds < 3) for p in p_values)
    if num_seeds == 3:
        assert effect.p == pytest.approx(2 * scipy_stats.t.sf(abs(effect.difference / effect.se), effect.df))


def test_the_deviation_of_a_long_unit_is_that_of_the_jackknife():
    # Seeds alike, so that units alone vary: the standard error is that of a ratio by the jackknife, whose
    # pseudo-deviations are (R - R without unit k) (sum w - w_k) / sum w.
    edits, words = np.array([30, 9, 1, 5, 2, 7]), np.array([300, 40, 20, 60, 30, 50])
    effect = difference(np.zeros((3, 6)), np.tile(edits, (3, 1)), words)
    rate = edits.sum() / words.sum()
    left_out = (edits.sum() - edits) / (words.sum() - words)
    deviations = (5 / 6) * (rate - left_out) * words.sum() / words.mean()
    # The factor turns (d_k - R w_k) / mean(w) into (1 - 1/K) (sum w / mean(w)) (R - R_without_k).
    assert effect.se == pytest.approx(math.sqrt(np.sum((deviations) ** 2) / 5 / 6))
    assert effect.effective_units == pytest.approx(500**2 / (300**2 + 40**2 + 20**2 + 60**2 + 30**2 + 50**2))


def test_units_of_equal_length_have_no_leverage():
    a, b, _ = draw(4)
    words = np.full(12, 37)
    effect = difference(a, b, words)
    assert effect.effective_units == pytest.approx(12)
    gains = (b - a) / 37
    squares = 12 * np.var(gains.mean(1), ddof=1), 3 * np.var(gains.mean(0), ddof=1)
    residuals = gains - gains.mean(1, keepdims=True) - gains.mean(0, keepdims=True) + gains.mean()
    se, df = standard_error(*map(np.array, squares), np.sum(residuals**2) / 22, 3, 12)
    assert (effect.se, effect.df) == pytest.approx((float(se), float(df)))


def test_units_of_unequal_length_have_the_degrees_of_freedom_of_fewer():
    words = np.array([110] + [10] * 11)
    assert effective_units(words) == pytest.approx(220**2 / (110**2 + 1100))  # 3.67 of 12
    squares, freedom = (np.array(4.0), np.array(4.0), np.array(1.0)), 220**2 / 13_200 - 1
    se, df = standard_error(*squares, 10, 12, freedom + 1)
    assert df == pytest.approx(7**2 / (16 * (1 + 2 / 9) / 9 + 16 * (1 + 2 / freedom) / freedom + (1 + 2 / 99) / 99))
    assert se == pytest.approx(standard_error(*squares, 10, 12)[0]), "only what is known of it is less"
    assert standard_error(*squares, 10, 12, 12.0)[1] == standard_error(*squares, 10, 12)[1], "to the bit"
    assert standard_error(*squares, 10, 12, 1.2)[1] >= 1
    generator = np.random.default_rng(1)
    a, b = generator.poisson(0.2 * words, (10, 12)), generator.poisson(0.2 * words, (10, 12))
    assert difference(a, b, words).df < difference(a[:, 1:], b[:, 1:], words[1:]).df


def test_a_unit_that_holds_all_words_is_one_unit():
    effect = difference([[3, 0], [2, 0], [4, 0]], [[1, 0], [1, 0], [1, 0]], [100, 0])
    assert effect.effective_units == 1 and str(effect.interval) == str(UNKNOWN)


def test_noninferiority_allows_the_margin_and_counts_its_chance():
    a, b, words = draw(7, num_seeds=4)
    assert noninferiority(a, b, words, 0.0) == difference(a, b, words)
    excess = noninferiority(a, b, words, 0.1)
    assert excess.difference == pytest.approx(error_rate(b.sum(0), words) / 4 - 1.1 * error_rate(a.sum(0), words) / 4)
    plugged = difference(a, b, words).p_below(0.1 * error_rate(a.sum(0), words) / 4)
    assert excess.p_below() != pytest.approx(plugged, rel=1e-3)


def test_improvement_counts_as_parity():
    a, _, words = draw(8)
    assert noninferiority(a, a // 2, words, 0.1).p_below() < 0.025


def test_noninferiority_does_not_depend_on_which_errors_both_make():
    # B makes exactly 10% more errors than A in every cell: on the margin, whatever A's spread.
    a = 10 * np.random.default_rng(2).integers(1, 9, (3, 8))
    excess = noninferiority(a, a * 11 // 10, np.full(8, 100), 0.1)
    assert excess.difference == pytest.approx(0, abs=1e-12)
    assert not excess.p_below() < 0.025


def test_a_margin_below_zero_asks_for_a_gain():
    a, b, words = draw(9, num_seeds=4)
    excess = noninferiority(a, b, words, -0.1)
    assert excess.difference == pytest.approx(error_rate(b.sum(0), words) / 4 - 0.9 * error_rate(a.sum(0), words) / 4)
    moved = beyond(a, b, words, 0.01)
    assert moved.difference == pytest.approx(difference(a, b, words).difference - 0.01)
    assert moved.se == pytest.approx(difference(a, b, words).se), "a fixed allowance has no chance of its own"


def test_an_interval_of_another_level_agrees_with_p():
    effect = difference(*draw(4, num_seeds=7))
    level = 1 - 2 * effect.p_below()
    assert effect.interval_at(level).high == pytest.approx(0, abs=1e-12)
    assert effect.interval_at(0.95) == effect.interval, "from six seeds on, a verdict counts the same freedom"


@pytest.mark.parametrize(("num_seeds", "most"), [(3, 2), (5, 4), (6, 100)])
def test_below_six_seeds_a_look_has_students_freedom_at_most(num_seeds, most):
    effect = difference(*draw(11, num_seeds=num_seeds))
    assert effect.df_at(0.9956) == pytest.approx(min(effect.df, most))


def test_the_trend_is_the_slope_of_least_squares():
    generator, words = np.random.default_rng(5), np.full(12, 100)
    doses = [0, 1, 2, 3.06, 4.06]
    tables = [generator.poisson(10 + 2 * dose, (4, 12)) for dose in doses]
    rates = [table.sum() / (4 * words.sum()) for table in tables]
    found = trend(tables, doses, words)
    assert found.difference == pytest.approx(np.polyfit(doses, rates, 1)[0])
    two = trend(tables[:2], doses[:2], words)
    assert two == difference(tables[0], tables[1], words), "of two cells it is their difference"
    assert trend(tables, doses, words, minus=np.full((4, 12), 3.0)).difference == pytest.approx(found.difference - 0.03)


def test_the_contrast_sums_to_zero_and_has_the_slope_one():
    doses = np.log2(1 / np.array([1, 0.75, 0.5, 0.25, 0.12, 0.06]))
    assert contrast(doses).sum() == pytest.approx(0) and contrast(doses) @ doses == pytest.approx(1)
    with pytest.raises(ValueError, match="two doses"):
        contrast([1, 1])
    with pytest.raises(ValueError, match="one table for each dose"):
        trend([[[1, 2]]], [0, 1], [1, 1])


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [([0.01, 0.02, 0.03, 0.001], 2), ([0.03, 0.001], 0), ([0.01, 0.01], 2), ([math.nan], 0), ([], 0)],
)
def test_a_fixed_sequence_stops_at_the_first_that_fails(p_values, expected):
    assert step_down(p_values, 0.025) == expected


def test_many_tables_at_once_are_each_table():
    words = np.random.default_rng(1).integers(20, 200, 9).astype(float)
    tables = np.random.default_rng(2).normal(0, 4, (6, 5, 9))
    means = tables.sum(axis=(1, 2)) / (5 * words.sum())
    squares = mean_squares(linearised(tables, words, means[:, None, None]), leverage(words))
    se, df = standard_error(*squares, 5, 9, effective_units(words))
    zeros = np.full((5, 9), 100.0)
    for number, table in enumerate(tables):
        one = difference(zeros, zeros + table, words)
        assert (one.difference, one.se, one.df) == pytest.approx((means[number], se[number], df[number]))


def test_the_standard_error_is_that_of_restricted_maximum_likelihood():
    """In a balanced table whose components are all above zero, the analysis of variance is REML (Searle et al.)."""
    reml = pytest.importorskip("statsmodels.regression.mixed_linear_model", reason="statsmodels is for development")
    generator = np.random.default_rng(3)
    seeds, units = 5, 12
    table = (
        1 + generator.normal(0, 2, (seeds, 1)) + generator.normal(0, 2, units) + generator.normal(0, 1, (seeds, units))
    )
    found = difference(np.full(table.shape, 50.0), 50 + table, np.full(units, 100))
    rows, columns = np.indices(table.shape)
    both = np.hstack([np.eye(seeds)[rows.ravel()], np.eye(units)[columns.ravel()]])
    components = reml.VCSpec(
        ["seed", "unit"],
        [[[f"s{i}" for i in range(seeds)]], [[f"u{i}" for i in range(units)]]],
        [[both[:, :seeds]], [both[:, seeds:]]],
    )
    model = reml.MixedLM(table.ravel() / 100, np.ones(table.size), np.zeros(table.size), exog_vc=components)
    fitted = model.fit(reml=True, method=["lbfgs", "bfgs"], maxiter=2000)
    assert fitted.params[0] == pytest.approx(found.difference, abs=1e-9)
    assert fitted.bse[0] == pytest.approx(found.se, abs=1e-6)
    expected = (found.components.seed, found.components.unit)
    assert tuple(fitted.vcomp) == pytest.approx(expected, abs=1e-6)
    assert fitted.scale == pytest.approx(found.components.residual, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: difference([1, 2], [1, 2], [3, 3]), r"\(seeds, units\)"),
        (lambda: difference([[1, 2]], [[1, 2], [1, 2]], [3, 3]), r"\(1, 2\), \(2, 2\)"),
        (lambda: difference([[1, 2]], [[1, 2]], [3]), "words"),
        (lambda: difference(np.zeros((0, 2)), np.zeros((0, 2)), [3, 3]), "none empty"),
        (lambda: difference([[1, math.nan]], [[1, 2]], [3, 3]), "not finished"),
        (lambda: difference([[1, -1]], [[1, 2]], [3, 3]), "counts"),
        (lambda: difference([[1, 1]], [[1, 2]], [0, 0]), "reference words"),
        (lambda: noninferiority([[1, 1]], [[1, 2]], [3, 3], -1.0), "fraction"),
    ],
)
def test_impossible_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
