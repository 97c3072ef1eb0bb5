"""Facts about looks: when a claim is judged, and what a later seed or another order of a table changes."""

from pathlib import Path

import fabricate
import pytest
from claiming import FOLDER, HALF, claim, judged

from lrsms.report import aggregate
from lrsms.report.adaptive import next_step

ATTENTION = {"lowrank.targets": ["encoder.attention"]}


def study(tmp_path: Path, seeds: int, rates=(0.10, 0.30), decoding=fabricate.DECODING) -> Path:
    """A dense and a low-rank cell of so many seeds, of these word error rates."""
    return study_of(tmp_path, {None: (seeds, rates[0]), 0.5: (seeds, rates[1])}, decoding)


def study_of(tmp_path: Path, cells, decoding=fabricate.DECODING) -> Path:
    """For each ratio (None: dense), so many seeds of a word error rate."""
    experiments = []
    for number, (ratio, (seeds, rate)) in enumerate(cells.items()):
        lowrank = ratio and {"targets": ("encoder.attention",), "ratio": ratio}
        for seed in range(1, seeds + 1):
            experiments.append(fabricate.experiment(fabricate.run(lowrank, seed)))
            fabricate.record(tmp_path / "records", experiments[-1], fabricate.scores(rate, 100 * number + seed))
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path, decoding, tmp_path / FOLDER)
    return tmp_path / FOLDER


def test_a_claim_is_judged_at_its_looks_and_between_them_has_numbers_only(tmp_path):
    early, late = (claim(group=HALF, rules=["degradation"], looks=looks) for looks in ((3, 6), (6, 15)))
    outcomes_ = [judged(study(tmp_path / str(seeds), seeds), early) for seeds in (2, 3, 5, 6)]
    assert [outcome.look and outcome.look.seeds for outcome in outcomes_] == [None, 3, 3, 3]
    assert outcomes_[0].verdict == "undecided" and outcomes_[1].verdict == "supported"
    assert "first look" not in outcomes_[0].findings[0].because, "two seeds decide nothing whatever the looks"
    waiting = judged(tmp_path / "5" / FOLDER, late)
    assert (waiting.look, waiting.verdict, waiting.seeds) == (None, "undecided", 5)
    assert waiting.findings[0].because == "the first look is at 6 seeds"


def test_a_decision_stays_whatever_seeds_come_later(tmp_path):
    one = claim(group=HALF, rules=["degradation"], looks=[3, 6])
    three, six = (judged(study(tmp_path / str(seeds), seeds), one) for seeds in (3, 6))
    assert three.verdict == six.verdict == "supported" and six.look == three.look
    assert six.findings == three.findings and six.between == ()


def test_between_looks_the_numbers_are_of_all_seeds(tmp_path):
    outcome = judged(study(tmp_path, 5, rates=(0.1, 0.1)), claim(group=HALF))
    assert (outcome.verdict, outcome.look.seeds, outcome.findings[0].seeds) == ("undecided", 3, 3)
    assert [finding.seeds for finding in outcome.between] == [5] and "next look is at 6 seeds" in outcome.needs


def test_a_family_is_judged_at_the_last_look_that_all_its_members_reached(tmp_path):
    """Unless a member that has more seeds decides it."""
    attention = {"lowrank.targets": ["encoder.attention"]}
    one = claim(group=attention, rules=["degradation"], family="lowrank.ratio")
    equal = study_of(tmp_path / "equal", {None: (6, 0.1), 0.5: (6, 0.1), 0.25: (3, 0.1)})
    outcome = judged(equal, one)
    assert (outcome.verdict, outcome.look.seeds, outcome.between) == ("undecided", 3, ())
    assert "next look is at 6 seeds" in outcome.needs
    worse = study_of(tmp_path / "worse", {None: (6, 0.1), 0.5: (6, 0.15), 0.25: (3, 0.1)})
    outcome = judged(worse, one)
    assert (outcome.verdict, outcome.look.seeds) == ("supported", 6)


def test_after_the_last_look_undecided_is_final(tmp_path):
    outcome = judged(study(tmp_path, 4, rates=(0.1, 0.1)), claim(group=HALF, looks=[3]))
    assert outcome.verdict == "undecided" and outcome.between == ()
    assert outcome.needs == "This was the last look: it stays undecided."


def test_swapping_decoders_and_conditions_changes_no_verdict(tmp_path):
    """What is shown first in a table is a matter of order; what a claim compares is not."""
    folder = study(tmp_path, 4)
    decoding = fabricate.DECODING
    swapped = type(decoding)(
        decoders=dict(reversed(decoding.decoders.items())), conditions=dict(reversed(decoding.conditions.items()))
    )
    one = claim(group=HALF, rules=["parity", "improvement"])
    before = judged(folder, one)
    experiments = [
        fabricate.experiment(fabricate.run(lowrank, seed))
        for lowrank in (None, {"targets": ("encoder.attention",), "ratio": 0.5})
        for seed in (1, 2, 3, 4)
    ]
    for path in (tmp_path / "records").glob("*/scores-*"):
        path.rename(path.with_name(swapped.scores))
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path, swapped, tmp_path / "again" / FOLDER)
    after = judged(tmp_path / "again" / FOLDER, one)
    assert list(aggregate.read_runs(tmp_path / "again" / FOLDER)["decoder"].unique()) == ["beam", "greedy"]
    assert (after.verdict, after.findings, after.claim.digest) == (before.verdict, before.findings, before.claim.digest)
    assert {str(one.endpoint) for one in after.sensitivity} == {str(one.endpoint) for one in before.sensitivity}


@pytest.mark.parametrize("dense", [3, 2])
def test_a_trend_against_another_group_waits_for_the_dense_model_too(tmp_path, dense):
    """The slopes of both begin at the dense model, which is in none of the pairs."""
    cells = ((None, dense), (("encoder.attention",), 3), (("encoder.feedforward",), 3))
    experiments = []
    for number, (targets, recorded) in enumerate(cells):
        for seed in (1, 2, 3):
            lowrank = targets and {"targets": targets, "ratio": 0.5}
            experiments.append(fabricate.experiment(fabricate.run(lowrank, seed)))
            if seed <= recorded:
                scores = fabricate.scores(0.1, 100 * number + seed)
                fabricate.record(tmp_path / "records", experiments[-1], scores)
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path, fabricate.DECODING, tmp_path / FOLDER)
    steeper = claim(group={"lowrank.targets": ["encoder.feedforward"]}, against=ATTENTION, rules=["trend"])
    outcome = judged(tmp_path / FOLDER, steeper)
    expected = ("undecided", 3, "To see the margin") if dense == 3 else ("not run", 0, "Missing: 'dense' (2 of 3 seeds")
    assert (outcome.verdict, outcome.seeds) == expected[:2] and outcome.needs.startswith(expected[2])
    assert outcome.cells[0] == "dense"


def test_a_family_plans_its_next_look_from_the_one_that_all_its_members_reached(tmp_path):
    folder = study_of(tmp_path, {None: (10, 0.1), 0.5: (10, 0.1), 0.25: (6, 0.1)})
    outcome = judged(folder, claim(group=ATTENTION, rules=["degradation"], family="lowrank.ratio"))
    assert (outcome.verdict, outcome.look.seeds, outcome.seeds) == ("undecided", 6, 10)
    assert "next look is at 10 seeds" in outcome.needs
    experiments = [
        fabricate.experiment(fabricate.run(ratio and {"targets": ("encoder.attention",), "ratio": ratio}, seed))
        for ratio, seeds in ((None, 10), (0.5, 10), (0.25, 6))
        for seed in range(1, seeds + 1)
    ]
    step = next_step([outcome], experiments, tmp_path, {})
    assert step.seeds == {"encoder.attention-0.25": 10} and step.runs == 4
