"""Facts about nuisance fields: what may influence the choice of a value, and what must not."""

import fabricate
import pandas as pd
import pytest

from lrsms.report import aggregate, nuisance
from lrsms.report.summary import summarise
from lrsms.study.expand import Experiment
from lrsms.study.fields import describe, difference

LOWRANK = {"targets": (fabricate.ATTENTION,), "ratio": 0.5}
RATES = (0.001, 0.002, 0.004)


def experiment(lr, lowrank=None, seed=1):
    """A run whose learning rate is a nuisance field; the preset's is 0.001."""
    run = fabricate.run(lowrank, seed, lr=lr)
    varies = {name: value for name, value in difference(fabricate.run(), run).items() if name != "train.lr"}
    axes = {"lowrank.ratio": run.lowrank.ratio if run.lowrank else None, "train.lr": lr}
    return Experiment(run, fabricate.run(), describe(varies), axes, {"train.lr": lr})


def scores(valid, test, decoder=None):
    """Ten utterances of ten words each; ``valid`` and ``test`` are edits in all, of one decoder or of both."""
    table = fabricate.scores(0.0, 1, speakers=("a", "b")).drop(columns="alignment")
    for condition, edits in (("valid", valid), ("test", test)):
        for name in [decoder] if decoder else fabricate.DECODING.decoders:
            rows = table.index[(table["condition"] == condition) & (table["decoder"] == name)]
            table.loc[rows[:edits], ["substitutions", "character_edits"]] = 1
    return table


@pytest.fixture
def make(tmp_path):
    """Aggregates runs that are given as (experiment, scores), (experiment, None) where they diverged."""

    def make(recorded, missing=()):
        for found, table in recorded:
            how = {} if table is not None else {"status": "diverged", "diverged_at": 7}
            fabricate.record(tmp_path / "records", found, scores(0, 0).iloc[:0] if table is None else table, **how)
        experiments = [found for found, _ in recorded] + list(missing)
        experiments.sort(key=lambda e: (e.run.lowrank is not None, RATES.index(e.run.train.lr), e.run.seed))
        folders = (tmp_path / "records", tmp_path / "steptime", fabricate.DECODING, tmp_path / "out")
        aggregate.aggregate(experiments, *folders)
        table = pd.read_csv(tmp_path / "out/nuisance.csv", dtype="str", keep_default_na=False)
        return summarise(tmp_path / "out"), table

    return make


def chosen(table, cell="dense"):
    return list(table.loc[(table["cell"] == cell) & (table["chosen"] == "yes"), "train.lr"])


def test_every_cell_gets_its_own_best_value_the_baseline_too(make):
    low = "encoder.attention-0.5"
    edits = {None: (5, 2, 9), low: (8, 7, 3)}
    recorded = [(experiment(lr, None), scores(e, e)) for lr, e in zip(RATES, edits[None], strict=True)]
    recorded += [(experiment(lr, LOWRANK), scores(e, e)) for lr, e in zip(RATES, edits[low], strict=True)]
    summary, table = make(recorded)
    assert (chosen(table), chosen(table, low)) == (["0.002"], ["0.004"])
    assert list(table["valid_wer_percent"].astype(float)) == pytest.approx(
        [100 * e / 120 for part in edits.values() for e in part]
    )
    dense, lowrank = summary.cells
    assert (dense.axes["train.lr"], lowrank.axes["train.lr"]) == ("0.002", "0.004")
    assert lowrank.baseline == "dense" and dense.baseline == ""
    change = lowrank.scores["beam", "test"].change
    assert change is not None and change.value == pytest.approx((3 - 2) / 120)
    assert (lowrank.seeds, len(summary.cells)) == (1, 2)


def test_the_test_split_cannot_influence_the_choice(make):
    worst_on_test = [scores(1, 20), scores(2, 0), scores(3, 0)]
    summary, table = make([(experiment(lr), part) for lr, part in zip(RATES, worst_on_test, strict=True)])
    assert chosen(table) == ["0.001"]
    assert summary.cells[0].scores["beam", "test"].rate.value == pytest.approx(20 / 120)
    names = [experiment(lr).name for lr in RATES]
    rows = pd.DataFrame({"run": names, "status": "finished", "decoder": "beam", "condition": "valid", "words": 120})
    rows = rows.assign(substitutions=[1, 2, 3], deletions=0, insertions=0)
    others = rows.assign(condition="test", substitutions=[50, 1, 0])
    experiments = [experiment(lr) for lr in RATES]
    with_test = nuisance.choose(experiments, pd.concat([rows, others]), fabricate.DECODING)
    assert with_test == nuisance.choose(experiments, rows, fabricate.DECODING)
    assert [candidate.chosen for candidate in with_test] == [True, False, False]


def test_the_last_decoder_chooses(make):
    _, table = make([(experiment(RATES[0]), scores(9, 0, "greedy")), (experiment(RATES[1]), scores(1, 0, "beam"))])
    assert chosen(table) == ["0.001"]
    assert set(table["decoder"]) == {"beam"} and set(table["conditions"]) == {"valid"}


def test_the_mean_over_seeds_chooses_and_of_equals_the_one_nearest_to_the_middle(make):
    edits = {0.001: (2, 4), 0.002: (1, 5), 0.004: (0, 7)}
    recorded = [(experiment(lr, None, seed), scores(e, 0)) for lr in RATES for seed, e in enumerate(edits[lr], 1)]
    summary, table = make(recorded)
    assert chosen(table) == ["0.002"]
    assert (summary.cells[0].seeds, summary.cells[0].finished) == (2, 2)


def test_of_two_that_are_as_near_to_the_middle_the_smaller_wins(make):
    _, table = make([(experiment(lr), scores(edits, 0)) for lr, edits in zip(RATES[:2], (3, 3), strict=True)])
    assert chosen(table) == ["0.001"]


def test_diverged_values_are_passed_over_and_said(make):
    recorded = [(experiment(0.001, None, s), scores(9, 9)) for s in (1, 2)]
    recorded += [(experiment(0.002, None, 1), scores(0, 0)), (experiment(0.002, None, 2), None)]
    summary, table = make(recorded)
    assert chosen(table) == ["0.001"]
    assert list(table["status"]) == ["finished", "diverged"] and list(table["seeds_finished"]) == ["2", "1"]
    assert table["valid_wer_percent"].iloc[1] == ""
    assert summary.choices[-1] == "Passed over because a seed diverged: dense at 0.002."
    assert "lowest WER on validation (beam; valid; mean over seeds)" in summary.choices[0]


def test_where_every_value_diverged_the_cell_has(make):
    summary, table = make([(experiment(lr), None) for lr in RATES])
    assert chosen(table) == []
    (cell,) = summary.cells
    assert (cell.status, cell.diverged_at, cell.seeds, cell.axes["train.lr"]) == ("diverged", 7, 1, "-")


@pytest.mark.parametrize("absent", RATES)
def test_an_unfinished_value_leaves_the_cell_unfinished(make, absent):
    """Though the others are done: the missing one may be better than all of them."""
    recorded = [(experiment(lr), scores(1, 1)) for lr in RATES if lr != absent]
    summary, table = make(recorded, missing=[experiment(absent)])
    assert chosen(table) == []
    (cell,) = summary.cells
    assert (cell.status, cell.scores, cell.axes["train.lr"]) == ("missing", {}, "-")
    assert list(table["status"]).count("missing") == 1


def test_a_study_without_nuisance_fields_leaves_no_file(make, tmp_path):
    make([(experiment(0.001), scores(1, 1))])
    plain = fabricate.experiment(fabricate.run())
    folders = (tmp_path / "records", tmp_path / "steptime", fabricate.DECODING, tmp_path / "out")
    aggregate.aggregate([plain], *folders)
    assert not (tmp_path / "out/nuisance.csv").exists()
    assert summarise(tmp_path / "out").choices == ()


def test_a_choice_without_a_condition_of_the_valid_split_is_refused(tmp_path):
    only_test = fabricate.DECODING.model_copy(update={"conditions": {"test": fabricate.DECODING.conditions["test"]}})
    with pytest.raises(ValueError, match="chooses on the valid split, but 'conditions' has none"):
        aggregate.aggregate([experiment(0.001)], tmp_path, tmp_path, only_test, tmp_path / "out")


def test_a_damaged_file_of_choices_is_refused(make, tmp_path):
    make([(experiment(0.001), scores(1, 1))])
    (tmp_path / "out/nuisance.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"nuisance\.csv: is not as it was aggregated"):
        summarise(tmp_path / "out")
    (tmp_path / "out/SHA256SUMS").unlink()
    with pytest.raises(ValueError, match=r"nuisance\.csv: not readable .*; delete it to aggregate again"):
        summarise(tmp_path / "out")
