"""pairs.csv: the test of the very alignments in the records, run beside run of the same seed."""

import fabricate
import pandas as pd
import pytest

from lrsms.report import aggregate
from lrsms.statistics.mapsswe import mapsswe


def aggregated(tmp_path, experiments):
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path / "steptime", fabricate.DECODING, tmp_path / "out")
    return pd.read_csv(tmp_path / "out/pairs.csv")


def test_each_run_is_beside_its_baseline_of_the_same_seed(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo((1, 2))[:4]]
    tables = [fabricate.scores(0.1 + 0.05 * number, number) for number in range(4)]
    for experiment, table in zip(experiments, tables, strict=True):
        fabricate.record(tmp_path / "records", experiment, table)
    found = aggregated(tmp_path, experiments)
    assert list(found["seed"]) == [1, 1, 2, 2] and list(found["decoder"]) == ["greedy", "beam"] * 2
    assert set(found["condition"]) == {"test"}
    assert list(found["baseline"].unique()) == [experiment.name for experiment in experiments[:2]]

    def letters(table):
        return list(table[(table["decoder"] == "beam") & (table["condition"] == "test")]["alignment"])

    expected = mapsswe(letters(tables[0]), letters(tables[2]))
    row = found[(found["run"] == experiments[2].name) & (found["decoder"] == "beam")].iloc[0]
    assert (row.segments, row.errors_baseline, row.errors) == (expected.segments, expected.errors_a, expected.errors_b)
    assert (row.z, row.p) == (pytest.approx(expected.z), pytest.approx(expected.p))


def test_a_run_without_its_baseline_has_no_row(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo((1, 2))[:4]]
    for experiment in experiments[1:]:
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, 1))
    assert list(aggregated(tmp_path, experiments)["seed"].unique()) == [2]


def test_records_from_before_alignments_were_kept_have_no_rows(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()[:2]]
    for experiment in experiments:
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, 1).drop(columns="alignment"))
    assert aggregated(tmp_path, experiments).empty


def test_an_identical_run_never_differs(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()[:2]]
    for experiment in experiments:
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, 1))
    found = aggregated(tmp_path, experiments)
    assert list(found["p"]) == [1, 1] and found["z"].isna().all()
