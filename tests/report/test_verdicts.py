"""Rules at the boundaries of their hypotheses, in closed form and by simulation of whole studies."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from null_tables import CORNERS, MOST_FALSE, TABLES, tables

from lrsms.report.finding import Compared, Doses, Finding, Threshold
from lrsms.report.needs import what_would_decide
from lrsms.report.paired import Paired
from lrsms.report.rate_rules import difference_of
from lrsms.report.verdicts import RULES, combine, judge, some
from lrsms.statistics import effects, looks, power, stats
from lrsms.statistics.convergence import Failures
from lrsms.statistics.stats import Interval
from lrsms.statistics.survival import Time, log_rank

MARGIN = Threshold(margin=0.1)
LOOKS = looks.plan()
NULL = {"parity": 1.1, "degradation": 1.0, "improvement": 1.0}
"""Ratio of the true error rates at which each rule's claim just fails to hold."""


def paired(a, b, words=None, unit="speaker", pairs=1):
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    words = np.full(a.shape[1], 100.0) if words is None else np.asarray(words, dtype=float)
    return Compared(Paired(a, b, words, unit, pairs))


def spread(level, num_seeds=3, num_units=20, sd=1.0, seed=1):
    """Edits of 100 words a unit around ``level``."""
    return level + sd * np.random.default_rng(seed).standard_normal((num_seeds, num_units))


def verdict(rule, a, b):
    return judge(rule, paired(a, b), MARGIN).verdict


@pytest.mark.parametrize(
    ("rule", "better", "same", "slightly_worse", "worse"),
    [
        ("parity", "supported", "supported", "supported", "contradicted"),
        ("degradation", "contradicted", "contradicted", "contradicted", "supported"),
        ("improvement", "supported", "contradicted", "contradicted", "contradicted"),
    ],
)
def test_clear_cases(rule, better, same, slightly_worse, worse):
    """Of a WER of 20%, 10% are two points; the last but one is worse by one point for certain."""
    a = spread(20)
    systems = [spread(10, seed=2), spread(20, seed=2), a + spread(1, sd=0.1, seed=2), spread(30, seed=2)]
    assert [verdict(rule, a, b) for b in systems] == [better, same, slightly_worse, worse]


def test_a_certain_loss_within_the_margin_is_said_to_be_one():
    a = spread(20)
    found = judge("degradation", paired(a, a + spread(1, sd=0.1, seed=2)), MARGIN)
    assert found.because.endswith("the loss is certain, but smaller than that")
    assert found.interval.low > 0 > found.excess_interval.high


def test_a_certain_gain_is_no_loss_whatever_the_margin_may_be():
    """A's rates differ so much between seeds that the margin, a share of them, is not known."""
    a = np.repeat([[10.0], [20.0], [90.0]], 20, axis=1)
    found = judge("degradation", paired(a, a + spread(-1, sd=0.1)), MARGIN)
    assert found.interval.high < 0 < found.excess_interval.high
    assert (found.verdict, found.because) == ("contradicted", "the change lies below zero")


@pytest.mark.parametrize("rule", NULL)
@pytest.mark.parametrize("num_seeds", [1, 2])
def test_fewer_than_three_seeds_decide_nothing(rule, num_seeds):
    for level in (5, 40):
        found = judge(rule, paired(spread(20, num_seeds), spread(level, num_seeds, seed=2)), MARGIN)
        assert found.verdict == "undecided" and "cannot decide, by design" in found.because
        assert found.seeds == num_seeds


@pytest.mark.parametrize("rule", NULL)
def test_no_spread_decides_nothing(rule):
    found = judge(rule, paired(np.full((3, 5), 20), np.full((3, 5), 10)), MARGIN)
    assert found.verdict == "undecided" and "without any spread" in found.because
    compared = paired(np.full((3, 5), 20), np.full((3, 5), 10))
    assert "larger test set" in what_would_decide(found, compared, MARGIN, LOOKS, 3)


def test_numbers_are_points_and_p_agrees_with_the_interval():
    found = judge("improvement", paired(spread(20), spread(15, seed=2)), MARGIN)
    assert found.value == pytest.approx(spread(15, seed=2).mean() - spread(20).mean())
    assert found.interval.low < found.value < found.interval.high < 0 and found.p < (1 - stats.LEVEL) / 2
    assert (found.seeds, found.units, found.unit, found.words) == (3, 20, "speaker", 2000)


def test_words_are_counted_once_for_summed_pairs():
    assert judge("improvement", paired(spread(40), spread(30), [200] * 20, pairs=2), MARGIN).words == 2000


def test_worse_than_the_margin_and_parity_exclude_each_other():
    for seed in range(30):
        a, b = spread(20, seed=seed), spread(21, sd=4, seed=100 + seed)
        both = {rule: verdict(rule, a, b) for rule in ("parity", "degradation")}
        assert both["parity"] != "supported" or both["degradation"] == "contradicted"


@pytest.mark.parametrize(("after", "expected"), [(50, "supported"), (51, "contradicted"), (49, "supported")])
def test_parameters_are_counted(after, expected):
    found = judge("fewer_parameters", Compared(parameters=(100, after)), Threshold(times_fewer=2))
    assert (found.verdict, found.value) == (expected, 100 / after)
    assert math.isnan(found.p)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.3, 1.4, "supported"), (1.2, 1.4, "undecided"), (1.2, 1.3, "undecided"), (1.1, 1.29, "contradicted")],
)
def test_the_whole_interval_of_a_speed_up_counts(low, high, expected):
    compared = Compared(speedup=(low + high) / 2, speedup_interval=Interval(low, high))
    found = judge("faster", compared, Threshold(speedup=1.3))
    assert found.verdict == expected
    assert ("time more steps" in what_would_decide(found, compared, Threshold(speedup=1.3), LOOKS, 3)) == (
        expected == "undecided"
    )


def test_one_pair_of_steps_has_no_interval_and_decides_nothing():
    ratio, interval = stats.median_ratio([2.0], [1.0])
    found = judge("faster", Compared(speedup=ratio, speedup_interval=interval), Threshold(speedup=1.3))
    assert found.verdict == "undecided" and "no interval" in found.because


@pytest.mark.parametrize("rule", RULES)
def test_what_is_not_known_is_not_run(rule):
    assert judge(rule, Compared(), Threshold(times_fewer=2, speedup=2)).verdict == "not run"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "undecided"], "undecided"),
        (["undecided", "contradicted"], "contradicted"),
        (["not run", "contradicted"], "contradicted"),
        (["not run", "undecided"], "not run"),
    ],
)
def test_a_conjunction(parts, expected):
    assert combine([Finding("parity", part, "") for part in parts]) == expected


def test_an_undecided_claim_says_how_many_would_decide():
    a = spread(40, num_units=10, sd=4)
    for rule, level in (("parity", 42.5), ("improvement", 38.5)):
        compared = paired(a, spread(level, num_units=10, sd=4, seed=2))
        found = judge(rule, compared, MARGIN)
        said = what_would_decide(found, compared, MARGIN, LOOKS, 3)
        assert found.verdict == "undecided" and said.startswith("To see the margin of 10% of the baseline's WER (")
        known = r"\(from 3 seeds this is known to \d+ to (more than )?\d+\)"
        assert re.search(rf"the look at (6|10|15) seeds, with these 10 speakers( {known})?\.", said)
    one = paired(a[:1], a[:1] + 1)
    assert what_would_decide(judge("parity", one, MARGIN), one, MARGIN, LOOKS, 3) == (
        "To decide: at least 3 seeds with which all compared runs converge; there is only 1."
    )


def test_a_plan_is_of_the_claims_own_looks_and_counts_the_speakers_that_weigh_the_same():
    """One of twenty speakers has most of the words: with twenty equal ones an earlier look would show the margin."""
    words = np.array([400.0] + [20.0] * 19)
    a, b = (words / 100 * spread(40, num_seeds=5, sd=1, seed=seed) for seed in (1, 2))
    uneven = paired(a, b + words / 100 * np.array([[1.0], [-1.0], [0.0], [0.5], [-0.5]]), words)
    undecided = replace(judge("improvement", uneven, MARGIN), verdict="undecided")
    said = what_would_decide(undecided, uneven, MARGIN, LOOKS, 3)
    effect, size = difference_of(uneven.paired), 0.1 * uneven.paired.rates[0]
    weighed, by_number = (
        power.shown_by(effect.components, size, LOOKS, 20, effective_units=number)
        for number in (effect.effective_units, None)
    )
    first = next(look.seeds for look, shown in zip(LOOKS, weighed, strict=True) if shown >= power.TARGET)
    assert f"the look at {first} seeds, with these 20 speakers (weigh as 3.6 of equal length)" in said
    assert weighed[1] < by_number[1]


def test_a_look_that_was_taken_is_not_planned_again_and_none_may_be_enough():
    compared = paired(spread(40, num_units=10, sd=4), spread(38.5, num_units=10, sd=4, seed=2))
    found = judge("improvement", compared, MARGIN)
    planned = [what_would_decide(found, compared, MARGIN, LOOKS, seen) for seen in (3, 6, 10)]
    assert [re.search(r"the look at (\d+)", said).group(1) for said in planned] == ["10", "10", "15"]
    noisy = paired(spread(40, sd=5) + np.array([[0], [20], [-15]]), spread(40, sd=5, seed=2))
    said = what_would_decide(judge("improvement", noisy, MARGIN), noisy, MARGIN, LOOKS, 3)
    assert re.search(r"no look is enough with these 20 speakers: at the last, of 15 seeds, it is 0\.\d\d\.", said)


def test_the_plan_is_for_the_margin_whatever_was_observed():
    """A difference that luck made large is planned with the same size as one that luck made small."""
    sizes = set()
    for level in (39, 41):
        compared = paired(spread(40, num_units=10, sd=8), spread(level, num_units=10, sd=8, seed=2))
        found = judge("improvement", compared, MARGIN)
        sizes.add(re.search(r"WER \(([\d.]+) points\)", what_would_decide(found, compared, MARGIN, LOOKS, 3)).group(1))
    assert len(sizes) == 1


def test_what_a_larger_test_set_would_buy_is_said():
    """Seeds that agree on every unit but for counting: all of the error is the units'."""
    units = np.random.default_rng(3).uniform(-10, 10, 10)
    compared = paired(spread(20, num_units=10), units + spread(20, num_units=10, sd=0.5, seed=2))
    look = Threshold(margin=0.1, level=0.9956)
    found = judge("parity", compared, look)
    assert re.search(
        r"(9\d|100)% of the squared standard error is the test set's",
        what_would_decide(found, compared, look, LOOKS, 3),
    )


def test_no_margin_falls_below_a_few_points():
    """Of a WER of 1% the tenth is 0.1 points: no test set could show it, and nobody would care."""
    a, b = spread(1, sd=0.05), spread(1.15, sd=0.05, seed=2)
    assert judge("parity", paired(a, b), MARGIN).verdict == "contradicted"
    least = Threshold(margin=0.1, least=0.003)
    found = judge("parity", paired(a, b), least)
    assert found.verdict == "supported" and "0.3 points" in found.because
    assert found.excess == pytest.approx(found.value - 0.3)
    assert judge("improvement", paired(a, b), least).verdict == "contradicted"


@pytest.mark.parametrize("rule", ["parity", "improvement", "degradation"])
def test_an_interval_has_the_level_of_its_look(rule):
    compared = paired(spread(20, 6), spread(19, 6, seed=2))
    wide, narrow = (judge(rule, compared, Threshold(level=level)) for level in (0.996, 0.95))
    assert wide.interval.low < narrow.interval.low and wide.excess_interval.high > narrow.excess_interval.high
    effect = effects.difference(compared.paired.edits_a, compared.paired.edits_b, compared.paired.words)
    assert 100 * effect.interval_at(0.996).low == pytest.approx(wide.interval.low)


def failing(compared, *counts):
    return Compared(compared.paired, Failures(*counts))


def test_what_converges_less_often_is_neither_on_a_par_nor_better():
    clear = {"parity": paired(spread(20), spread(20, seed=2)), "improvement": paired(spread(20), spread(10, seed=2))}
    for rule, compared in clear.items():
        assert judge(rule, failing(compared, 0, 4, 1, 4), MARGIN).because.endswith(
            "but it converges less often (3 of 4 runs, against 4 of 4)"
        )
        assert judge(rule, failing(compared, 0, 4, 1, 4), MARGIN).verdict == "undecided"
        assert judge(rule, failing(compared, 1, 4, 1, 4), MARGIN).verdict == "supported"
        assert judge(rule, failing(compared, 0, 10, 7, 10), MARGIN).verdict == "contradicted"
    worse = paired(spread(20), spread(20, seed=2))
    assert judge("degradation", failing(worse, 0, 4, 1, 4), MARGIN).verdict == "undecided"
    assert judge("degradation", failing(worse, 0, 10, 7, 10), MARGIN).verdict == "supported"


@pytest.mark.parametrize(
    ("counts", "expected"), [((0, 3, 3, 3), "undecided"), ((0, 6, 6, 6), "contradicted"), ((6, 6, 6, 6), "undecided")]
)
def test_where_no_seed_converged_convergence_can_decide(counts, expected):
    found = judge("parity", Compared(None, Failures(*counts)), MARGIN)
    assert found.verdict == expected and found.failures == Failures(*counts)


def doses(slope, sd=1.0, seeds=4):
    """Edits of 100 words a unit that rise by ``slope`` points with every halving, from 20."""
    x = (0.0, 1.0, 2.0, 3.0, 4.0)
    edits = np.stack([spread(20 + slope * dose, seeds, sd=sd, seed=n) for n, dose in enumerate(x)])
    return Compared(doses=Doses(edits, x, np.full(20, 100.0), "speaker", "halving of the ratio"))


@pytest.mark.parametrize(
    ("slope", "expected"), [(2, "supported"), (-2, "contradicted"), (0, "contradicted"), (0.2, "supported")]
)
def test_a_trend_is_a_rise_with_the_dose(slope, expected):
    found = judge("trend", doses(slope), MARGIN)
    assert (found.verdict, found.metric) == (expected, "WER change (points) per halving of the ratio")
    assert found.value == pytest.approx(slope, abs=0.15) and found.interval.low < found.value < found.interval.high
    assert found.excess == pytest.approx(found.value - 0.1 * 20 / 4, abs=0.05)


def test_a_trend_is_compared_with_another_trend():
    steep, flat = doses(2).doses, doses(0.5).doses
    both = Doses(steep.edits, steep.doses, steep.words, "speaker", "halving", other=(flat.edits, flat.doses))
    assert judge("trend", Compared(doses=both), MARGIN).value == pytest.approx(1.5, abs=0.2)


def at_ratios(*levels):
    dense = spread(20, 4)
    ratios = (0.06, 0.12, 0.25, 0.5, 0.75)
    return Compared(
        by_ratio=tuple(
            (ratio, Paired(dense, spread(level, 4, seed=9 + n), np.full(20, 100.0), "speaker"))
            for n, (ratio, level) in enumerate(zip(ratios, levels, strict=True))
        )
    )


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((40, 35, 30, 28, 20), "supported"),
        ((40, 35, 30, 20, 20), "contradicted"),  # at 0.5 there is parity
        ((20, 35, 30, 28, 28), "undecided"),  # stopped at the first
    ],
)
def test_degradation_begins_where_an_unbroken_sequence_from_below_ends(levels, expected):
    assert judge("onset", at_ratios(*levels), Threshold(onset=0.5)).verdict == expected


def test_sooner_is_by_the_log_rank_test():
    slow, quick = ([Time(step + n, True) for n in range(10)] for step in (100, 10))
    failures = Failures(0, 10, 0, 10)
    later = judge("sooner", Compared(failures=failures, log_rank=log_rank(quick, slow)), MARGIN)
    found = judge("sooner", Compared(failures=failures, log_rank=log_rank(slow, quick)), MARGIN)
    assert (found.verdict, later.verdict) == ("supported", "contradicted")
    assert found.value > 1 > later.value and found.interval.low > 1
    few = Compared(failures=Failures(0, 2, 0, 2), log_rank=log_rank(slow[:2], quick[:2]))
    assert judge("sooner", few, MARGIN).verdict == "undecided"


def member(verdict, p):
    return Finding("improvement", verdict, "", value=-p, p=p)


@pytest.mark.parametrize(
    ("members", "expected", "p"),
    [
        ({"a": ("supported", 0.01), "b": ("undecided", 0.3), "c": ("contradicted", 0.9)}, "undecided", 0.03),
        ({"a": ("supported", 0.001), "b": ("undecided", 0.3)}, "supported", 0.002),
        ({"a": ("contradicted", 0.9), "b": ("contradicted", 0.8)}, "contradicted", 1.0),
        ({"a": ("supported", 0.001), "b": ("not run", math.nan)}, "supported", 0.002),
        ({"a": ("undecided", 0.1), "b": ("not run", math.nan)}, "not run", 0.2),
        ({"a": ("undecided", math.nan), "b": ("not run", math.nan)}, "not run", math.nan),
    ],
)
def test_some_of_a_family_holds_by_holm_within_it(members, expected, p):
    found = some({name: member(*one) for name, one in members.items()}, MARGIN)
    assert (
        found.verdict == expected and found.p == pytest.approx(p, nan_ok=True) and list(found.members) == list(members)
    )


def test_a_family_shows_the_member_of_the_least_p_where_adjusted_ones_are_equal():
    members = {"a": member("undecided", 0.5), "b": member("undecided", 0.3)}
    found = some(members, MARGIN)
    assert found.because.endswith("least p at b") and found.p == 0.6


@pytest.mark.parametrize("rule", ["parity", "degradation", "improvement", "trend", "onset"])
def test_where_no_seed_converged_runs_were_compared_all_the_same(rule):
    found = judge(rule, Compared(failures=Failures(0, 3, 3, 3)), Threshold(margin=0.1, onset=0.5, level=0.9956))
    assert (found.verdict, found.because) == (
        "undecided",
        "there is no seed with which every compared run converged",
    )
    assert found.failures == Failures(0, 3, 3, 3)


def test_decided_claims_need_nothing():
    compared = paired(spread(20), spread(10, seed=2))
    assert what_would_decide(judge("parity", compared, MARGIN), compared, MARGIN, LOOKS, 3) == ""


def supported(rule, corner, num_seeds, num_speakers, wer, ratio, num_tables, seed=7):
    """Share of simulated studies in which the rule supports its claim."""
    found = tables(CORNERS[corner], num_seeds, num_speakers, wer, ratio, seed, num_tables)
    return sum(judge(rule, Compared(Paired(a, b, w, "speaker")), MARGIN).verdict == "supported" for a, b, w in found)


def timed(threshold, num_studies):
    """Studies of 30 pairs of steps that support a speed-up which is exactly the threshold."""
    generator, count = np.random.default_rng(3), 0
    for _ in range(num_studies):
        machine = np.exp(0.05 * generator.standard_normal(30))
        before, after = (machine * np.exp(0.03 * generator.standard_normal(30)) for _ in range(2))
        ratio, interval = stats.median_ratio(threshold * before, after, resamples=500)
        compared = Compared(speedup=ratio, speedup_interval=interval)
        count += judge("faster", compared, Threshold(speedup=threshold)).verdict == "supported"
    return count


@pytest.mark.parametrize("rule", NULL)
@pytest.mark.parametrize("corner", CORNERS)
def test_few_claims_that_are_false_are_supported(rule, corner):
    assert supported(rule, corner, 3, 20, 0.1, NULL[rule], 100) <= 100 * MOST_FALSE / TABLES


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("num_speakers", [20, 48])
@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("rule", NULL)
def test_at_most_25_of_500_claims_that_are_false_are_supported(rule, corner, num_speakers, num_seeds):
    assert supported(rule, corner, num_seeds, num_speakers, 0.1, NULL[rule], TABLES) <= MOST_FALSE


def test_few_speed_ups_that_are_just_the_threshold_are_supported():
    assert timed(1.3, 100) <= 100 * MOST_FALSE / TABLES


@pytest.mark.slow
def test_at_most_25_of_500_speed_ups_that_are_just_the_threshold_are_supported():
    assert timed(1.3, TABLES) <= MOST_FALSE


@pytest.mark.slow
def test_claims_that_are_true_are_seen():
    """With 3 seeds and 48 speakers where chance is mixed; the numbers are the power of a study of this size."""
    assert supported("improvement", "mixed", 3, 48, 0.1, 0.7, TABLES) > 0.8 * TABLES
    assert supported("degradation", "mixed", 3, 48, 0.1, 1.4, TABLES) > 0.8 * TABLES
    assert supported("parity", "counting", 3, 48, 0.1, 0.9, TABLES) > 0.8 * TABLES
