"""Runs are compared under a condition on one test set only; tables, figures and verdicts say which it is."""

import re
from collections.abc import Callable
from pathlib import Path

import fabricate
import pandas as pd
import pytest

from lrsms.record.losses import write_losses
from lrsms.record.tested import ScoredOn, write_tests
from lrsms.report import aggregate, comparable
from lrsms.report.aggregate import read_runs
from lrsms.report.claims import Claim
from lrsms.report.comparison import Endpoint, compare
from lrsms.report.comparison import read as read_results
from lrsms.report.figures.names import noise_curves
from lrsms.report.paired import Paired
from lrsms.report.tables import write
from lrsms.study.corpus import Manifest
from lrsms.study.decoding import Condition, Decoding
from lrsms.study.expand import Experiment

CONDITIONS = {"valid": Condition(split="valid"), "test": Condition(split="test"), "large": Condition(corpus="more")}
DECODING = Decoding(
    decoders=fabricate.DECODING.decoders,
    conditions=CONDITIONS,
    corpora={"more": Manifest(kind="manifest", name="more", only="test")},
)
GROUP = {"lowrank.ratio": 0.5}
MORE = ScoredOn("more", "source", "data", "streams", 200, {})


def scores(rate: float, seed: int) -> pd.DataFrame:
    """Those of ``fabricate``, and a larger test set of other speakers, whose utterances are called alike."""
    own = fabricate.scores(rate, seed).query("condition != 'large'")
    speakers = [f"t{number:02d}" for number in range(20)]
    larger = fabricate.scores(rate, seed + 1, speakers)
    return pd.concat([own, larger[larger["condition"] == "test"].assign(condition="large")], ignore_index=True)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Experiment]]:
    """Makes records of dense and low-rank runs with two seeds, each scored on the given test set."""
    monkeypatch.setattr(fabricate, "DECODING", DECODING)

    def make(*tested: ScoredOn) -> list[Experiment]:
        experiments = []
        for number, one in enumerate(tested):
            lowrank = {"targets": ("encoder.attention",), "ratio": 0.5} if number % 2 else None
            run = fabricate.run(lowrank, seed=1 + number // 2)
            axes = {"lowrank.targets": lowrank and lowrank["targets"], "lowrank.ratio": lowrank and 0.5}
            experiments.append(fabricate.experiment(run, axes))
            table = scores(0.1 + 0.02 * number, number)
            # Of other lengths under another test set: tokens are compared within one only.
            losses = [
                type(row)(row.condition, row.id, 24 + (row.condition == "large"), row.ctc)
                for row in fabricate.losses(table)
            ]
            record = fabricate.record(tmp_path / "records", experiments[-1], table)
            write_losses(record / DECODING.scores, losses)
            write_tests(record / DECODING.scores, {"large": one})
        return experiments

    return make


def collect(experiments: list[Experiment], folder: Path) -> Path:
    aggregate.aggregate(experiments, folder / "records", folder / "steptime", DECODING, folder / "out")
    return folder / "out"


def test_a_table_says_which_test_set_each_condition_has(study, tmp_path):
    out = collect(study(MORE, MORE, MORE, MORE), tmp_path)
    runs = read_runs(out)
    assert dict(zip(runs["condition"], runs["test_corpus"], strict=True)) == {"valid": "", "test": "", "large": "more"}
    assert dict(zip(runs["condition"], runs["utterances"], strict=True)) == {"valid": 120, "test": 120, "large": 200}
    write(out)
    notes = (out / "table.md").read_text()
    assert "Condition large: 200 utterances, 1,200 words, 20 speakers (test split of more)." in notes
    assert "Condition test: 120 utterances, 720 words, 12 speakers (test split)." in notes


def test_what_is_left_out_of_a_test_set_is_noted_below_the_table(study, tmp_path):
    left_out = {"test": {"of": 202, "recording": 2}}
    out = collect(study(*[ScoredOn("more", "source", "data", "streams", 200, left_out)] * 4), tmp_path)
    write(out)
    said = "Left out of the corpus: of more, test 2 of 202 (2 of which the recording cannot be used)."
    assert said in (out / "table.md").read_text()


def test_runs_that_were_scored_on_other_test_sets_do_not_compare(study, tmp_path):
    experiments = study(MORE, MORE, ScoredOn("more", "another", "data", "streams", 200, {}))
    with pytest.raises(
        ValueError, match=r"under condition 'large', '.*-s1-\w+' was scored on test set more source"
    ) as e:
        collect(experiments, tmp_path)
    assert "and '" in str(e.value) and "on more another, which cannot be compared" in str(e.value)
    assert "\n" not in str(e.value)


def test_other_samples_of_the_same_test_set_are_remarked_on(study, tmp_path):
    experiments = study(MORE, MORE, ScoredOn("more", "source", "elsewhere", "others", 200, {}), MORE)
    (remark,) = comparable.compare(experiments, tmp_path / "records", DECODING.scores)
    assert re.match(r"Data: under condition 'large', '.*-s2-\w+' was scored on other samples of the same", remark)


def test_a_record_that_lacks_utterances_of_its_test_set_is_refused(study, tmp_path):
    experiments = study(ScoredOn("more", "source", "data", "streams", 201, {}))
    with pytest.raises(ValueError, match="has 200 utterances under condition 'large', but its corpus 'more' has 201"):
        collect(experiments, tmp_path)


def test_a_verdict_may_be_of_a_condition_with_its_own_test_set_and_pools_within_one_only(study, tmp_path):
    out = collect(study(MORE, MORE, MORE, MORE), tmp_path)
    results = read_results(out)
    assert Endpoint("beam", ("large",)) in results.endpoints
    dense, lowrank = results.cells
    claim = Claim(finding="-", study="s", rules=("parity",), group=GROUP, decoder="beam", conditions=("large",))

    def paired(*conditions: str) -> Paired | None:
        endpoint = Endpoint("beam", conditions)
        return compare(claim.parts[0], [(dense, lowrank)], sorted(dense.runs), endpoint, results, claim).paired

    large, twice = paired("large"), paired("test", "test")
    assert large is not None and large.words.size == 20
    assert twice is not None and twice.words.sum() == 2 * 720
    with pytest.raises(ValueError, match=r"pooled were scored on other units .*another test set.*name one condition"):
        paired("test", "large")


def test_noise_is_drawn_as_a_curve_of_each_test_set():
    conditions = {
        "clean": Condition(split="test"),
        "loud": Condition(split="test", noise="babble", snr=0),
        "large": Condition(corpus="more"),
        "large_loud": Condition(corpus="more", noise="babble", snr=0),
    }
    assert noise_curves(conditions) == {
        "babble noise": [(0, "loud"), (None, "clean")],
        "babble noise on more": [(0, "large_loud"), (None, "large")],
    }


def test_old_results_have_no_column_of_test_sets(tmp_path):
    experiments, records, steptimes = fabricate.demo_study(tmp_path)
    aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, tmp_path / "out")
    assert "test_corpus" not in read_runs(tmp_path / "out")
