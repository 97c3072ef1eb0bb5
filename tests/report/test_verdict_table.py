"""Verdicts can be read, and what is read is what was found."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from lrsms.report import verdict_table
from lrsms.report.claims import Claim
from lrsms.report.comparison import Endpoint
from lrsms.report.finding import Finding
from lrsms.report.outcomes import Outcome, Sensitivity
from lrsms.report.readable import Column, Readable, markdown
from lrsms.report.results import Place
from lrsms.statistics.convergence import Failures
from lrsms.statistics.looks import plan
from lrsms.statistics.stats import Interval

CLAIM = Claim(
    finding="It is on a par",
    study="few",
    group={"lowrank.ratio": 0.5},
    rules=("parity",),
    decoder="beam",
    conditions=("clean",),
)
LOOK = plan()[0]
PARITY = Finding(
    "parity",
    "supported",
    "WER change (points)",
    *(0.2, Interval(-0.3, 0.7), "what exceeds 10% of the baseline's WER lies below zero"),
    *(-0.5, Interval(-0.9, -0.1), 0.01, 4.2, 3, 48, "speaker", 2400, 48.0),
    failures=Failures(0, 3, 0, 3),
    level=LOOK.level,
)
COUNTED = Finding("fewer_parameters", "contradicted", "times fewer parameters", 1.5, Interval(1.5, 1.5), "counted")
FASTER = Finding("faster", "supported", "speed-up of a training step", 1.4, Interval(1.35, 1.45), "not below 1.3")
COMPARED = "'a' against 'dense'"


def outcome(*findings, name="F1", verdict="supported", **changes):
    fields = {"compared": COMPARED, "decoder": "beam", "condition": "clean", "p_holm": 0.02, "look": LOOK, "seeds": 3}
    return Outcome(name, CLAIM, Place("few", "asr", "tiny", "speech"), verdict, findings, **(fields | changes))


OUTCOMES = [
    outcome(PARITY, COUNTED, name="F5", verdict="contradicted", training="Validation WER: 9%."),
    outcome(FASTER, name="F6", decoder="", condition="", p_holm=float("nan"), look=None),
    outcome(
        Finding("parity", "not run", ""), verdict="not run", needs="Missing: 'a' <b>.", p_holm=float("nan"), look=None
    ),
]


def test_a_sentence_has_all_that_the_verdict_rests_on():
    assert verdict_table.sentence(OUTCOMES[0]) == (
        "F5 contradicted: It is on a par. 'a' against 'dense' (beam decoding, clean). Look 1 of 4, at 3 seeds:"
        " intervals of 99.6%. Parity supported: WER +0.20 [-0.30, 0.70] points, beyond the margin -0.50 [-0.90, -0.10];"
        " what exceeds 10% of the baseline's WER lies below zero (one-sided p 0.010, Holm 0.020). Fewer parameters"
        " contradicted: 1.50x fewer parameters; counted. Converged: 3/3 runs, against 3/3 (up to 63% might not, at"
        " 95%). n: 3 seeds, 48 speakers, 2,400 words. Validation WER: 9%."
    )
    assert verdict_table.sentence(OUTCOMES[1]) == (
        "F6 supported: It is on a par. 'a' against 'dense'. Faster: step 1.40 [1.35, 1.45] times as fast; not below"
        " 1.3."
    )
    assert verdict_table.sentence(OUTCOMES[2]).endswith("(beam decoding, clean). Missing: 'a' <b>.")


def test_every_claim_is_a_row_and_a_note():
    table = verdict_table.readable(OUTCOMES)
    frame = table.frame().set_index("claim")
    assert list(frame["verdict"]) == ["contradicted", "supported", "not run"]
    assert frame.loc["F5", "effect"] == "WER +0.20 [-0.30, 0.70]; 1.50x fewer"
    assert list(frame.loc["F1"][["look", "effect", "converged", "p", "p (Holm)", "n"]]) == ["-"] * 6
    assert frame.loc["F5", "look"] == "1 of 4 (99.6%)" and frame.loc["F5", "converged"] == "3/3 against 3/3"
    assert frame.loc["F5", "n"] == "3 seeds, 48 speakers"
    text = " ".join(table.notes)
    assert "Holm: over the 1 claim of this table with a p" in text and "Step times: ratio of medians" in text
    assert "utterances are the units" not in text


def test_unknown_speakers_are_said_to_be():
    vars_ = vars(PARITY) | {"unit": "utterance"}
    notes = " ".join(verdict_table.readable([outcome(Finding(**vars_))]).notes)
    assert "utterances are the units" in notes and "seeds and utterances" in notes


def test_files_hold_the_same_verdicts(tmp_path):
    folder = tmp_path / "few-asr-tiny-speech"
    verdict_table.write(OUTCOMES, folder, "Does it <work>?")
    assert {path.suffix for path in folder.iterdir()} == {".json", ".csv", ".md", ".tex", ".html"}
    table = pd.read_csv(folder / "claims.csv")
    assert list(table["claim"]) == ["F5", "F5", "F6", "F1"] and set(table["scale"]) == {"tiny"}
    assert list(table["rule_verdict"]) == ["supported", "contradicted", "supported", "not run"]
    assert table["excess_high"][0] == pytest.approx(-0.1) and table["p_holm"].count() == 1
    rows = json.loads((folder / "claims.json").read_text())["claims"]
    assert [row["verdict"] for row in rows] == list(table["verdict"]) and rows[2]["p"] is None
    page = (folder / "claims.html").read_text()
    assert "Does it &lt;work&gt;?" in page and "&#x27;a&#x27; &lt;b&gt;" in page and "<b>" not in page
    assert (folder / "claims.md").read_text().startswith("# Does it <work>?\n\n| claim ")
    first = {path: path.read_bytes() for path in folder.iterdir()}
    verdict_table.write(OUTCOMES, folder, "Does it <work>?")
    assert first == {path: path.read_bytes() for path in folder.iterdir()}


def test_n_says_where_a_few_speakers_hold_most_of_the_words():
    assert verdict_table.sample(outcome(PARITY)) == "3 seeds, 48 speakers"
    few = replace(PARITY, effective_units=4.2)
    assert verdict_table.sample(outcome(few)) == "3 seeds, 48 speakers (weigh as 4.2 of equal length)"


def test_other_endpoints_are_a_table_of_their_own_without_verdicts(tmp_path):
    other = Sensitivity(Endpoint("greedy", ("clean", "babble_0dB")), (replace(PARITY, value=0.4),))
    one = outcome(PARITY, sensitivity=(other,))
    frame = verdict_table.sensitivity([one]).frame()
    assert list(frame["endpoint"]) == ["greedy, clean + babble_0dB"] and frame.loc[0, "effect"].startswith("WER +0.40")
    table = verdict_table.complete([one])
    assert list(table["kind"]) == ["verdict", "sensitivity"] and list(table["verdict"]) == ["supported", ""]
    assert list(table["decoder"]) == ["beam", "greedy"] and set(table["digest"]) == {CLAIM.digest}
    verdict_table.write([one], tmp_path / "few-asr-tiny-speech")
    for kind in ("md", "html"):
        assert "greedy, clean + babble_0dB" in (tmp_path / f"few-asr-tiny-speech/claims.{kind}").read_text()


def test_runs_that_failed_and_numbers_between_looks_are_said():
    lost = replace(PARITY, failures=Failures(0, 3, 2, 3))
    said = verdict_table.sentence(outcome(lost, between=(replace(PARITY, seeds=5),), seeds=5))
    assert "Converged: 1/3 runs, against 3/3 (Fisher's exact p 0.400)." in said
    assert "Between looks, with 5 seeds (no verdict): WER +0.20 [-0.30, 0.70] points" in said


def test_a_column_of_one_character_is_a_column_in_markdown():
    """GitHub reads a rule of ":" alone as text, and then the whole table."""
    (_, rule, *_) = markdown(Readable((Column("p", ("-", "-")),), ())).splitlines()
    assert rule == "| -: |"
