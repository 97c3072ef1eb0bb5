"""Closed forms and known examples for the intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from lrsms.statistics import stats


def test_error_rate_is_total_edits_over_total_words():
    assert stats.error_rate([1, 0, 5], [10, 2, 8]) == 6 / 20


def test_error_rate_is_not_the_mean_of_the_units_rates():
    assert stats.error_rate([1, 0], [1, 99]) == pytest.approx(0.01)


def test_bootstrap_of_bernoulli_units_has_the_binomial_interval():
    # 400 one-word utterances with 80 errors: a resample's error count is Binomial(400, 0.2).
    edits = np.repeat([1, 0], [80, 320])
    interval = stats.bootstrap_rate(edits, np.ones(400), seed=3)
    binomial = scipy_stats.binom(400, 0.2)
    assert interval.low == pytest.approx(binomial.ppf(0.025) / 400, abs=0.004)
    assert interval.high == pytest.approx(binomial.ppf(0.975) / 400, abs=0.004)


def test_bootstrap_agrees_with_scipy():
    generator = np.random.default_rng(5)
    words = generator.integers(20, 80, size=40)
    edits = generator.binomial(words, 0.15)
    ours = stats.bootstrap_rate(edits, words, seed=1)
    theirs = scipy_stats.bootstrap(
        (edits, words),
        lambda e, w, axis=-1: e.sum(axis=axis) / w.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.002)
    assert ours.high == pytest.approx(theirs.high, abs=0.002)


def test_bootstrap_covers_the_true_rate_about_as_often_as_it_says():
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        edits = generator.binomial(10, 0.1, size=60)
        interval = stats.bootstrap_rate(edits, np.full(60, 10), seed=1, resamples=500)
        covered += interval.low <= 0.1 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_interval_widens_when_utterances_of_a_speaker_go_together():
    # Ten speakers of ten utterances, who make the same errors throughout: the sample is ten, not a hundred.
    speaker_edits = np.array([0, 0, 0, 10, 0, 20, 0, 0, 40, 0])
    by_speaker = stats.bootstrap_rate(speaker_edits, np.full(10, 100))
    by_utterance = stats.bootstrap_rate(np.repeat(speaker_edits / 10, 10), np.full(100, 10))
    assert by_speaker.high - by_speaker.low > 2 * (by_utterance.high - by_utterance.low)


def test_seed_seeds():
    edits, words = np.arange(20), np.full(20, 40)
    assert stats.bootstrap_rate(edits, words, seed=1) == stats.bootstrap_rate(edits, words, seed=1)
    assert stats.bootstrap_rate(edits, words, seed=1) != stats.bootstrap_rate(edits, words, seed=2)
    baseline, run = np.random.default_rng(1).uniform(9, 13, size=(2, 20))
    assert stats.median_ratio(baseline, run, seed=1) == stats.median_ratio(baseline, run, seed=1)
    assert stats.median_ratio(baseline, run, seed=1) != stats.median_ratio(baseline, run, seed=2)


def test_resamples_do_not_depend_on_how_they_are_chunked(monkeypatch):
    edits, words = np.arange(30), np.full(30, 40)
    whole = stats.bootstrap_rate(edits, words, seed=11)
    monkeypatch.setattr(stats, "_CHUNK_ELEMENTS", 1000)
    stats._draws.cache_clear()
    assert stats.bootstrap_rate(edits, words, seed=11) == whole


@pytest.mark.parametrize("num_units", [2, 3, 48, 1000])
def test_no_errors_on_n_units_leave_room_for_those_that_n_units_would_not_show(num_units):
    interval = stats.bootstrap_rate([0] * num_units, [5] * num_units)
    # A share `high` of units with errors would stay unseen with a probability of 2.5%.
    assert interval.low == 0 and scipy_stats.binom.pmf(0, num_units, interval.high) == pytest.approx(0.025)
    every = stats.bootstrap_rate([5] * num_units, [5] * num_units)
    assert (every.low, every.high) == (pytest.approx(1 - interval.high), 1)


def test_units_of_one_rate_are_no_certainty_of_it():
    interval = stats.bootstrap_rate([1, 2, 3], [10, 20, 30])
    unseen = 1 - 0.025 ** (1 / 3)
    assert (interval.low, interval.high) == pytest.approx((0.1 * (1 - unseen), 0.1 + 0.9 * unseen))


def test_units_without_words_are_no_evidence_of_no_errors():
    assert stats.bootstrap_rate([0, 0, 0], [5, 5, 0]) == stats.bootstrap_rate([0, 0], [5, 5])
    assert math.isnan(stats.bootstrap_rate([0, 0, 0], [5, 0, 0]).low)


def test_seeds_of_one_rate_determine_no_interval():
    assert math.isnan(stats.t_interval([0.0, 0.0, 0.0]).low)


def test_effective_units_of_unequal_lengths():
    assert stats.effective_units([7, 7, 7]) == pytest.approx(3)
    assert stats.effective_units([90, 10, 10, 10]) == pytest.approx(120**2 / 8400)


def test_one_unit_determines_no_interval():
    interval = stats.bootstrap_rate([3], [10])
    assert math.isnan(interval.low) and math.isnan(interval.high)
    interval, improvement = stats.bootstrap_difference([3], [2], [10])
    assert math.isnan(interval.low) and math.isnan(improvement)
    ratio, interval = stats.median_ratio([20.0], [10.0])
    assert ratio == 2 and math.isnan(interval.low)


def test_a_unit_without_words_is_allowed_where_others_have_some():
    interval = stats.bootstrap_rate([1, 2], [0, 10])
    assert interval.low == pytest.approx(0.2) and math.isfinite(interval.high)


def test_a_system_against_itself_differs_by_nothing_and_improves_never():
    edits = [3, 1, 4, 1, 5]
    interval, improvement = stats.bootstrap_difference(edits, edits, [10] * 5)
    assert math.isnan(interval.low) and improvement == 0


def test_a_constant_gain_on_equal_units_determines_no_interval():
    # One error fewer in each unit of ten words is 10 points fewer in every resample: equal, not certain.
    interval, improvement = stats.bootstrap_difference([3, 2, 9, 4], [2, 1, 8, 3], [10] * 4)
    assert math.isnan(interval.low) and math.isnan(interval.high) and improvement == 1


def test_pairing_removes_what_is_hard_for_both():
    generator = np.random.default_rng(9)
    words = np.full(30, 100)
    hard = generator.integers(0, 60, size=30)
    paired, _ = stats.bootstrap_difference(hard, hard + generator.integers(0, 3, size=30), words)
    alone = stats.bootstrap_rate(hard, words)
    assert paired.high - paired.low < (alone.high - alone.low) / 10


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 30)), min_size=2, max_size=8))
def test_difference_is_antisymmetric(units):
    a, b, words = (list(column) for column in zip(*units, strict=True))
    forward, better = stats.bootstrap_difference(a, b, words, resamples=200)
    backward, worse = stats.bootstrap_difference(b, a, words, resamples=200)
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low), nan_ok=True)
    assert better + worse <= 1 + 1e-12


def test_t_interval_is_students():
    values = [10.0, 11.0, 13.5]
    expected = scipy_stats.t.interval(0.95, 2, loc=np.mean(values), scale=scipy_stats.sem(values))
    interval = stats.t_interval(values)
    assert (interval.low, interval.high) == pytest.approx(expected)


def test_t_interval_of_one_seed_is_unknown():
    assert math.isnan(stats.t_interval([10.0]).low)


def test_holms_adjustment_of_a_published_example():
    # pingouin's documentation of multicomp(method="holm"), which agrees with R's p.adjust.
    adjusted = stats.holm([0.50, 0.003, 0.32, 0.054, 0.0003])
    assert adjusted == pytest.approx([0.64, 0.012, 0.64, 0.162, 0.0015])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_lies_between_the_p_and_bonferroni(p_values):
    adjusted = stats.holm(p_values)
    ranked = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
    assert all(p <= q <= min(1, len(p_values) * p) + 1e-15 for p, q in zip(p_values, adjusted, strict=True))


def test_an_undecided_comparison_does_not_count():
    first, undecided, second = stats.holm([0.02, math.nan, 0.03])
    assert math.isnan(undecided) and [first, second] == stats.holm([0.02, 0.03])
    assert stats.holm([]) == []


def test_median_and_quartiles():
    assert stats.median_iqr([5, 1, 2, 4, 3]) == stats.Spread(3, 2, 4)


def test_speed_up_is_the_ratio_of_medians_and_ignores_an_outlier():
    ratio, interval = stats.median_ratio([20, 20, 20, 20, 500], [10, 10, 10, 10, 10])
    assert ratio == 2 and interval.low == 2


def test_speed_up_of_pairs_that_slow_down_together_has_no_spread():
    baseline = np.array([10.0, 14.0, 11.0, 19.0, 12.0])
    ratio, interval = stats.median_ratio(baseline, baseline / 2)
    assert (ratio, interval.low, interval.high) == (2, 2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.bootstrap_rate([1, 2], [3]), "equally long"),
        (lambda: stats.bootstrap_rate([], []), "not empty"),
        (lambda: stats.bootstrap_rate([1, 1], [0, 0]), "reference words"),
        (lambda: stats.bootstrap_rate([-1, 1], [3, 3]), "counts"),
        (lambda: stats.bootstrap_difference([1, 1], [1], [3, 3]), "equally long"),
        (lambda: stats.median_ratio([1.0, 0.0], [1.0, 1.0]), "positive"),
        (lambda: stats.median_iqr([]), "at least one"),
        (lambda: stats.holm([0.1, 1.5]), "between 0 and 1"),
    ],
)
def test_impossible_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
