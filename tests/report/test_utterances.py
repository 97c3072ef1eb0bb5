"""Sums by unit equal those that pandas makes of each run alone, in whatever order its rows stand."""

from pathlib import Path

import fabricate
import numpy as np
import pandas as pd
import pytest

from lrsms.record.score import COUNTS
from lrsms.report.utterances import Utterances

ERRORS = ["substitutions", "deletions", "insertions"]
KEY = ("beam", "test")
RECORDS = Path("records")


def part_of(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[(scores["decoder"] == KEY[0]) & (scores["condition"] == KEY[1])]


def reference(scores: pd.DataFrame, unit: str) -> pd.DataFrame:
    part = part_of(scores)
    counts = part.assign(edits=part[ERRORS].sum(axis=1), utterances=1)
    return counts.groupby(unit)[["utterances", "words", "edits"]].sum()


@pytest.mark.parametrize(("speakers", "unit"), [(fabricate.SPEAKERS, "speaker"), (("", ""), "id"), (("one",), "id")])
def test_sums_are_those_of_each_run_alone(speakers: tuple[str, ...], unit: str) -> None:
    tables = {
        "a": fabricate.scores(0.1, 1, speakers),
        "b": fabricate.scores(0.4, 2, speakers).sample(frac=1, random_state=1),
    }
    tables["b"] = tables["b"].reset_index(drop=True)
    utterances = Utterances("a", tables["a"])
    counts = {run: utterances.counts(run, table, RECORDS) for run, table in tables.items()}
    found = utterances.by_unit({run: {KEY: utterances.edits(KEY, count)} for run, count in counts.items()})
    assert list(found["run"].unique()) == ["a", "b"]
    for run, table in tables.items():
        expected = reference(table, unit)
        rows = found[found["run"] == run].set_index("speaker")
        assert list(rows.index) == list(expected.index), "in the order of their names"
        assert np.array_equal(rows[expected.columns].to_numpy(), expected.to_numpy())
        summed = utterances.summed(KEY, counts[run])
        assert {name: summed[name] for name in COUNTS} == part_of(table)[[*COUNTS]].sum().to_dict()
        assert summed["utterances"] == len(part_of(table))
        assert summed["unit"] == ("speaker" if unit == "speaker" else "utterance")
        assert summed["speakers"] == {fabricate.SPEAKERS: 12, ("", ""): None, ("one",): 1}[speakers]


@pytest.mark.parametrize("column", ["id", "speaker", "words"])
def test_other_utterances_are_refused(column: str) -> None:
    scores = fabricate.scores(0.1, 1)
    other = scores.copy()
    other.loc[3, column] = 5 if column == "words" else "another"
    with pytest.raises(ValueError, match="records: 'a' and 'b' were scored on different utterances or references"):
        Utterances("a", scores).counts("b", other, RECORDS)
