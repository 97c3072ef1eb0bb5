"""One page of all verdicts: numbers come from the results, words below them stay."""

from dataclasses import replace
from math import nan
from pathlib import Path

import pytest
from test_verdict_table import CLAIM, COUNTED, FASTER, OUTCOMES, PARITY, outcome

from lrsms.report import findings
from lrsms.report.finding import Finding
from lrsms.report.outcomes import with_holm
from lrsms.statistics.looks import over_all, plan

CLAIMS = dict.fromkeys(("F1", "F5", "F6"), CLAIM)


def test_a_claim_has_a_row_for_each_place_and_one_if_it_was_not_run() -> None:
    elsewhere = outcome(PARITY, COUNTED, name="F5")
    frame = findings.table([OUTCOMES[0], elsewhere, OUTCOMES[2]], CLAIMS).frame()
    assert list(frame["claim"]) == ["F1", "F5", "F5", "F6"]
    assert list(frame["finding"]) == ["It is on a par", "It is on a par", "", "It is on a par"]
    assert list(frame["verdict"]) == ["not run", "contradicted", "supported", "not run"]
    assert list(frame.loc[0, "tested on":]) == ["-", "not run", *"-------"]
    assert list(frame.loc[1, "tested on":]) == [
        "speech, tiny, ASR", "contradicted", "beam, clean", "1 of 4 (99.6%)", "WER +0.20 [-0.30, 0.70]; 1.50x fewer",
        "-0.50 [-0.90, -0.10]", "3/3 against 3/3", "0.047", "3 seeds, 48 speakers",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "places"),
    [
        (FASTER, ["speech and song, tiny, ASR"]),
        (PARITY, ["speech, tiny, ASR", "song, tiny, ASR"]),
        (Finding("parity", "undecided", "WER change (points)"), ["speech, tiny, ASR", "song, tiny, ASR"]),
    ],
)
def test_what_no_corpus_is_part_of_is_one_row(rule: Finding, places: list[str]) -> None:
    """Steps are timed once for all corpora; rates of two are two findings, even where they are equal or unknown."""
    one = outcome(rule, name="F5")
    other = replace(one, place=replace(one.place, corpus="song"))
    frame = findings.table([one, other], {"F5": CLAIM}).frame()
    assert list(frame["tested on"]) == places


def test_p_is_adjusted_for_the_tests_that_were_made() -> None:
    one = outcome(PARITY, name="F1")
    waiting = outcome(replace(PARITY, p=0.3), name="F5", verdict="not run")
    half = outcome(PARITY, Finding("degradation", "undecided", ""), name="F6")
    found = [each.p_holm for each in with_holm([one, waiting, half])]
    assert found == pytest.approx([over_all(one.p, plan()), nan, nan], nan_ok=True)


def test_p_over_all_rows_counts_the_looks_of_each() -> None:
    found = with_holm([outcome(replace(PARITY, p=0.001), name="F1"), outcome(replace(PARITY, p=0.4), name="F5")])
    assert found[0].p_holm == pytest.approx(2 * len(plan()) * 0.001)


def test_a_note_says_what_a_verdict_rests_on_and_what_would_decide_it() -> None:
    undecided = outcome(FASTER, name="F6", verdict="undecided", needs="To decide: wait.", look=None)
    note, _ = findings.table([undecided], CLAIMS).notes
    assert note == "F6, speech, tiny, ASR: not below 1.3. To decide: wait."


def test_a_page_without_a_mark_was_written_by_hand_and_stays(tmp_path: Path) -> None:
    (tmp_path / findings.FILE).write_text("# Ours\n")
    findings.write(OUTCOMES, CLAIMS, tmp_path)
    assert (tmp_path / findings.FILE).read_text().endswith(f"{findings.MARK}\n# Ours\n")


@pytest.mark.parametrize("written", ["", "\n## Why\nBecause.\n"])
def test_what_is_written_below_the_mark_stays(tmp_path: Path, written: str) -> None:
    findings.write(OUTCOMES, CLAIMS, tmp_path)
    page = tmp_path / findings.FILE
    first = page.read_text()
    assert first.endswith(f"{findings.MARK}\n")
    page.write_text(first + written)
    findings.write([], CLAIMS, tmp_path)
    made, _, below = page.read_text().partition(findings.MARK)
    assert "supported" not in made.partition("\n- ")[0] and below == "\n" + written
