"""Metrics beside the error rate, by the example of losses: compared as it is, and shown where any run has them."""

import re
from collections.abc import Callable
from pathlib import Path

import fabricate
import numpy as np
import pandas as pd
import pytest

from lrsms.record.losses import Loss, write_losses
from lrsms.record.metrics import FURTHER, METRICS
from lrsms.report import aggregate, further, tables
from lrsms.report.figures import by_ratio, material
from lrsms.report.figures.names import figure_names, have_losses
from lrsms.report.pages import material as page_material
from lrsms.report.pages.run_page import run_page
from lrsms.report.summary import Summary, summarise
from lrsms.statistics import effects, stats
from lrsms.study.expand import Experiment

SEEDS = (1, 2, 3)
KEY = ("", "test")
LOSSES = {name for name, metric in FURTHER.items() if metric.source == "losses"}
BY_DECODER = set(FURTHER) - LOSSES
"""Metrics of score tables, which every record has: what is said of losses here holds beside any number of these."""
Study = tuple[list[Experiment], list[pd.DataFrame], Path]


def study(root: Path, losses: Callable[[int, pd.DataFrame], list[Loss] | None], layers: int = 0) -> Study:
    """The dense model and one of low rank, with losses by the number of the run; their score tables; the folder."""
    experiments, scored = [], []
    for number, (rate, one) in enumerate(fabricate.demo(SEEDS)[:6]):
        if layers:
            run = one.run.model_copy(
                update={
                    "model": one.run.model.model_copy(update={"decoder_layers": layers}),
                    "train": one.run.train.model_copy(update={"ctc_weight": 0.3}),
                }
            )
            one = fabricate.experiment(run)
        experiments.append(one)
        scored.append(fabricate.scores(rate, number))
        path = fabricate.record(root / "records", one, scored[-1])
        if (rows := losses(number, scored[-1])) is not None:
            write_losses(path / fabricate.DECODING.scores, rows)
    aggregate.aggregate(experiments, root / "records", root, fabricate.DECODING, root / "out")
    return experiments, scored, root / "out"


def rows_of_losses(folder: Path) -> pd.DataFrame:
    rows = aggregate.read_further(folder)
    return rows[rows["metric"].isin(LOSSES)]


def by_speaker(table: pd.DataFrame) -> pd.DataFrame:
    """Sums of the nats and tokens of a run under the condition of the test split."""
    said = table[(table["decoder"] == "beam") & (table["condition"] == "test")].set_index("id")["speaker"]
    losses = pd.DataFrame([vars(row) for row in fabricate.losses(table) if row.condition == "test"])
    return losses.groupby(losses["id"].map(said))[["ctc", "tokens"]].sum()


def every(number: int, table: pd.DataFrame) -> list[Loss]:
    return fabricate.losses(table)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of which all runs have losses."""
    return study(tmp_path_factory.mktemp("further"), every)


def test_a_loss_is_a_ratio_of_sums_and_its_change_is_by_the_crossed_model(complete: Study) -> None:
    _, scored, folder = complete
    dense, lowrank = summarise(folder).cells
    sums = [by_speaker(table) for table in scored]
    rates = [one["ctc"].sum() / one["tokens"].sum() for one in sums]
    found = dense.further["ctc_loss"][KEY]
    assert found.rate.value == pytest.approx(np.mean(rates[:3]))
    assert found.rate.interval.low == pytest.approx(stats.t_interval(rates[:3]).low)
    nats = np.array([one["ctc"] for one in sums])
    expected = effects.difference(nats[:3], nats[3:], list(sums[0]["tokens"]))
    changed = lowrank.further["ctc_loss"][KEY]
    assert changed.change is not None and changed.effect is not None
    assert changed.change.value == pytest.approx(expected.difference)
    assert (changed.effect.p, changed.effect.df) == pytest.approx((expected.p, expected.df))


def test_losses_are_of_the_network_and_not_multiplied_by_decoders(complete: Study) -> None:
    *_, folder = complete
    rows = rows_of_losses(folder)
    assert set(rows["decoder"]) == {""} and set(rows["metric"]) == {"ctc_loss"}
    assert len(rows) == 6 * 2 * 12  # runs, conditions, speakers
    header = pd.read_csv(folder / "metrics.csv", nrows=0).columns
    assert list(header) == further.COLUMNS


def columns(summary: Summary) -> list[str]:
    return [column.header for column in tables.readable(summary, 400).columns]


def test_columns_of_losses_are_there_where_any_run_has_them_and_old_records_show_a_dash(tmp_path: Path) -> None:
    for name, losses in (
        ("all", every),
        ("some", lambda number, table: fabricate.losses(table) if number > 2 else None),
        ("none", lambda number, table: None),
    ):
        *_, folder = study(tmp_path / name, losses)
        tables.write(folder)
        summary = summarise(folder)
        frame = pd.read_csv(folder / "table.csv")
        assert any("loss" in column for column in frame) == (name != "none")
        assert ("CTC loss" in columns(summary)) == (name != "none")
        assert ("CTC loss change [95%]" in columns(summary)) == (name == "all")
        assert (folder / further.FILE).is_file() == (name != "none" or bool(BY_DECODER))
        if name == "some":
            shown = tables.readable(summary, 400).frame()["CTC loss"]
            assert shown[0] == "-" and float(shown[1]) > 0
            assert np.isnan(frame.loc[0, "ctc_loss_nats_test"]) and frame.loc[1, "ctc_loss_nats_test"] > 0


def test_a_table_says_what_a_loss_is(complete: Study) -> None:
    *_, folder = complete
    notes = " ".join(tables.readable(summarise(folder), 400).notes)
    assert "CTC loss: -ln of the probability that the CTC head gives the reference, in nats per token; test." in notes
    (changes,) = re.findall(r"WER change \(points\), ([^.:]*) and x fewer \(parameters\): against the dense", notes)
    assert "CTC loss change (nats per token)" in changes


def test_the_decoders_loss_counts_the_end_of_the_sentence_too(tmp_path: Path) -> None:
    *_, folder = study(tmp_path, lambda number, table: fabricate.losses(table, attention=True), layers=1)
    (dense, _), rows = summarise(folder).cells, aggregate.read_further(folder)
    for name, per in (("ctc_loss", 24), ("attention_loss", 25)):
        assert set(rows[rows["metric"] == name]["denominator"]) == {10.0 * per}
    ctc, attention = (dense.further[name][KEY].rate.value for name in ("ctc_loss", "attention_loss"))
    assert attention == pytest.approx(ctc / 2 * 24 / 25)


def test_losses_per_token_of_two_tokenizers_are_not_compared(tmp_path: Path) -> None:
    def tokens(number: int, table: pd.DataFrame) -> list[Loss]:
        return [Loss(row.condition, row.id, 24 if number < 3 else 12, row.ctc) for row in fabricate.losses(table)]

    *_, folder = study(tmp_path, tokens)
    lowrank = summarise(folder).cells[1]
    assert lowrank.further["ctc_loss"][KEY].change is None and lowrank.scores["beam", "test"].change is not None


def test_an_utterance_without_a_loss_counts_in_no_sum(tmp_path: Path) -> None:
    def without_first(number: int, table: pd.DataFrame) -> list[Loss]:
        rows = fabricate.losses(table)
        return [Loss(row.condition, row.id, 0) if row.id.startswith("00-") else row for row in rows]

    *_, folder = study(tmp_path, without_first)
    rows = rows_of_losses(folder)
    assert set(rows[rows["speaker"] == "s00"]["denominator"]) == {0.0}
    changed = summarise(folder).cells[1].further["ctc_loss"][KEY]
    assert changed.effect is not None and changed.effect.words == 11 * 240


def test_the_figure_of_losses_is_there_where_any_run_has_them_or_will(tmp_path: Path) -> None:
    experiments, _, folder = study(tmp_path, every)
    records = tmp_path / "records"
    drawn = by_ratio.loss(material.load(folder, experiments, fabricate.DECODING, records, tmp_path))
    (axes,) = drawn.figure.axes
    assert axes.get_ylabel() == "CTC loss (nats per token)" and axes.containers
    assert "under condition test, in nats per token" in drawn.caption[0]
    assert have_losses(experiments, fabricate.DECODING, records)
    for path in records.glob("*/*.loss.csv.gz"):
        path.unlink()
    assert not have_losses(experiments, fabricate.DECODING, records, pending=True)
    assert have_losses([*experiments, fabricate.demo((4,))[0][1]], fabricate.DECODING, records, pending=True)
    assert "loss_by_ratio" in figure_names(experiments, fabricate.DECODING, losses=True)
    assert "loss_by_ratio" not in figure_names(experiments, fabricate.DECODING)


def test_the_page_of_a_run_has_its_losses_if_they_are_known(tmp_path: Path) -> None:
    experiments, scored, _ = study(tmp_path, lambda number, table: fabricate.losses(table) if number else None)
    pages = [
        run_page(page_material.load(one, tmp_path / "records", fabricate.DECODING, {}), fabricate.DECODING).decode()
        for one in experiments[:2]
    ]
    sums = by_speaker(scored[1]).sum()
    assert ("Other metrics" in pages[0]) == bool(BY_DECODER) and "CTC loss" not in pages[0]
    assert f">{sums['ctc'] / sums['tokens']:.3f}<" in pages[1] and "2,880 tokens" in pages[1]


def test_every_metric_is_called_as_its_file_is_and_lower_is_better() -> None:
    assert {metric.key for metric in METRICS.values()} == set(METRICS)
    assert set(METRICS) - set(FURTHER) == {"wer", "cer"}
    perfect = pd.DataFrame({"ctc": [0.0], "attention": [0.0], "tokens": [3]})
    perfect = perfect.assign(**dict.fromkeys(("substitutions", "deletions", "insertions", "character_edits"), 0))
    perfect = perfect.assign(words=2, characters=9)
    for metric in METRICS.values():
        numerator, denominator = metric.counts(perfect)
        assert numerator[0] == 0 < denominator[0]
