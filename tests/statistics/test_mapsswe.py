"""The segments of a published example, and the statistic worked by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsms.record import score
from lrsms.statistics.mapsswe import mapsswe, segments

REFERENCE = "it was the best of times it was the worst of times it was"
SYSTEM_A = "its the best of times it is the worst of times or it was"
SYSTEM_B = "it was the best times it won the test of times it was"
"""NIST's example, as printed by Jurafsky and Martin, *Speech and Language Processing*, in their chapter on ASR."""

paired = st.lists(st.tuples(st.sampled_from("CCSD"), st.sampled_from("CCSD")), max_size=20).map(
    lambda columns: tuple("".join(column) for column in zip(*columns, strict=True)) or ("", "")
)


def test_segments_of_the_published_example():
    a, b = score.align(REFERENCE, SYSTEM_A).letters, score.align(REFERENCE, SYSTEM_B).letters
    assert segments(a, b) == [(2, 0), (0, 1), (1, 2), (1, 0)]
    # Differences A - B are 2, -1, -1, 1: mean 1/4, variance (49 + 25 + 25 + 9) / 16 / 3 = 9/4, W = 1/4 / (3/2 / 2).
    outcome = mapsswe([a], [b])
    assert (outcome.segments, outcome.errors_a, outcome.errors_b) == (4, 4, 3)
    assert outcome.mean == -1 / 4 and outcome.z == pytest.approx(-1 / 3)
    assert outcome.p == pytest.approx(2 * 0.36944, abs=1e-4)  # standard normal table


def test_utterances_bound_segments():
    assert segments("SCCS", "CCCC") == [(1, 0), (1, 0)]
    assert mapsswe(["S", "S"], ["C", "C"]).segments == 2


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("SCS", "CCC", [(2, 0)]),  # one right word does not part
        ("SCCS", "CSCC", [(2, 1)]),  # nor two, where the other system has one wrong
        ("SCICS", "CCCC", [(3, 0)]),  # nor two with an insertion between them
        ("SCCICS", "CCCCC", [(1, 0), (2, 0)]),
        ("IICC", "CCI", [(2, 0), (0, 1)]),
        ("CCCC", "CCCC", []),
        ("", "I", [(0, 1)]),  # an utterance without words
        ("", "", []),
    ],
)
def test_what_parts_segments(a, b, expected):
    assert segments(a, b) == expected


@given(paired)
def test_segments_lose_no_error(pair):
    a, b = pair
    found = segments(a, b)
    assert sum(errors for errors, _ in found) == len(a) - a.count("C")
    assert sum(errors for _, errors in found) == len(b) - b.count("C")
    assert all(one or other for one, other in found)
    assert segments(b, a) == [(other, one) for one, other in found]


def test_a_system_against_itself_does_not_differ():
    outcome = mapsswe(["CSC", "DCC"], ["CSC", "DCC"])
    assert (outcome.segments, outcome.mean, outcome.p) == (2, 0, 1) and math.isnan(outcome.z)


def test_no_errors_at_all():
    outcome = mapsswe(["CC"], ["CC"])
    assert outcome.segments == 0 and outcome.p == 1 and math.isnan(outcome.mean)


def test_segments_that_all_differ_alike_determine_nothing():
    for number in (1, 5):
        outcome = mapsswe(["S"] * number, ["C"] * number)
        assert math.isnan(outcome.z) and math.isnan(outcome.p) and outcome.mean == -1


def test_exchanging_the_systems_changes_the_sign_only():
    a, b = ["SCCS", "CCD", "ICC"], ["CCCS", "CCC", "CC"]
    assert mapsswe(a, b).z == -mapsswe(b, a).z and mapsswe(a, b).p == mapsswe(b, a).p


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: segments("CC", "CCC"), "same words"),
        (lambda: segments("CX", "CC"), "letters C, S, D and I"),
        (lambda: mapsswe(["C"], []), "same utterances"),
    ],
)
def test_impossible_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_statistic_of_sctk():
    """NIST's ``sc_stats -t mapsswe`` prints 3 segments, errors 9 and 7 and Z = 2.000 for its two test systems."""
    a, b = ["SSSCCSSSCC", "SSSC"], ["SSCCCSSCCC", "SSSC"]
    assert [pair for one, other in zip(a, b, strict=True) for pair in segments(one, other)] == [(3, 2), (3, 2), (3, 3)]
    outcome = mapsswe(a, b)
    assert (outcome.segments, outcome.errors_a, outcome.errors_b) == (3, 9, 7)
    assert abs(outcome.z) == pytest.approx(2.0, abs=1e-12)
