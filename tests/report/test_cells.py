"""From counts to rates: seeds, units, baselines, and what is not finished."""

import math
from dataclasses import replace

import fabricate
import numpy as np
import pandas as pd
import pytest

from lrsms.report import aggregate, tables
from lrsms.report.summary import holm
from lrsms.report.summary import summarise as summarise_folder
from lrsms.statistics import effects, stats

TEST = ("beam", "test")


def summarise(tmp_path, experiments):
    folders = (tmp_path / "records", tmp_path / "steptime")
    aggregate.aggregate(experiments, *folders, fabricate.DECODING, tmp_path / "out")
    return summarise_folder(tmp_path / "out")


def corpus_rate(table):
    part = table[(table["decoder"] == "beam") & (table["condition"] == "test")]
    return part["substitutions"].sum() / part["words"].sum()


def speaker_edits(table):
    part = table[(table["decoder"] == "beam") & (table["condition"] == "test")]
    return list(part.groupby("speaker")["substitutions"].sum())


def test_one_seed_gets_the_bootstrap_over_speakers(tmp_path):
    _, dense = fabricate.demo()[0]
    table = fabricate.scores(0.1, 1)
    fabricate.record(tmp_path / "records", dense, table)
    (cell,) = summarise(tmp_path, [dense]).cells
    by_speaker = table[(table["decoder"] == "beam") & (table["condition"] == "test")].groupby("speaker").sum()
    assert cell.scores[TEST].rate.value == corpus_rate(table)
    assert cell.scores[TEST].rate.interval == stats.bootstrap_rate(by_speaker["substitutions"], by_speaker["words"])
    assert cell.scores[TEST].cer == pytest.approx(corpus_rate(table) * 2 * 6 / 25)
    assert cell.scores[TEST].change is None


def test_several_seeds_get_the_t_interval_of_rates_and_the_crossed_model_of_changes(tmp_path):
    seeds = (1, 2, 3)
    experiments = [experiment for _, experiment in fabricate.demo(seeds)[:6]]
    tables = [fabricate.scores(0.1 + 0.02 * number, number) for number in range(6)]
    for experiment, table in zip(experiments, tables, strict=True):
        fabricate.record(tmp_path / "records", experiment, table)
    dense, lowrank = summarise(tmp_path, experiments).cells
    rates = np.array([corpus_rate(table) for table in tables])
    assert dense.scores[TEST].rate.value == pytest.approx(rates[:3].mean())
    assert dense.scores[TEST].rate.interval == stats.t_interval(rates[:3])
    change = lowrank.scores[TEST].change
    assert change.value == pytest.approx((rates[3:] - rates[:3]).mean())
    edits = np.array([speaker_edits(table) for table in tables])
    expected = effects.difference(edits[:3], edits[3:], [60] * 12)
    assert lowrank.scores[TEST].effect == expected and change.interval == expected.interval
    assert lowrank.scores[TEST].improvement is None and lowrank.seeds == lowrank.finished == 3


def test_holm_counts_the_comparisons_of_the_primary_key(tmp_path):
    experiments, *_ = fabricate.demo_study(tmp_path, (1, 2, 3))
    summary = summarise(tmp_path, experiments)
    p = {cell.name: cell.scores[TEST].effect.p for cell in summary.cells[1:]}
    assert list(holm(summary)) == list(p)
    assert list(holm(summary).values()) == stats.holm(list(p.values()))


def test_identical_systems_differ_by_nothing(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()[:2]]
    for experiment in experiments:
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.2, 4))
    score = summarise(tmp_path, experiments).cells[1].scores[TEST]
    assert score.change is not None and score.change.value == 0 and score.improvement == 0
    assert math.isnan(score.change.interval.low) and math.isnan(score.change.interval.high)


def test_a_cell_is_never_averaged_over_what_is_missing(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo((1, 2))[:2]]
    fabricate.record(tmp_path / "records", experiments[0], fabricate.scores(0.1, 1))
    (cell,) = summarise(tmp_path, experiments).cells
    assert (cell.status, cell.seeds, cell.finished, cell.scores) == ("missing", 2, 1, {})
    assert cell.parameters == fabricate.parameters(experiments[0])[0]


def test_a_cell_with_a_diverged_seed_is_diverged(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo((1, 2))[:2]]
    fabricate.record(tmp_path / "records", experiments[0], fabricate.scores(0.1, 1))
    empty = fabricate.scores(0.1, 1).iloc[:0]
    fabricate.record(tmp_path / "records", experiments[1], empty, status="diverged", diverged_at=6)
    (cell,) = summarise(tmp_path, experiments).cells
    assert (cell.status, cell.diverged_at, cell.finished, cell.scores) == ("diverged", 6, 1, {})


def test_without_its_baseline_a_cell_has_a_rate_and_no_change(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()[:2]]
    fabricate.record(tmp_path / "records", experiments[1], fabricate.scores(0.1, 1))
    dense, lowrank = summarise(tmp_path, experiments).cells
    assert dense.status == "missing"
    assert lowrank.scores[TEST].rate.value > 0 and lowrank.scores[TEST].change is None and lowrank.times_fewer is None


def test_dense_comes_first_and_the_others_keep_the_studys_order(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()]
    summary = summarise(tmp_path, experiments[3:] + experiments[:3])
    expected = [experiments[0], *experiments[3:], *experiments[1:3]]
    assert [cell.name for cell in summary.cells] == [experiment.cell for experiment in expected]


def test_times_fewer_is_the_ratio_of_parameters(tmp_path):
    experiments, *_ = fabricate.demo_study(tmp_path)
    summary = summarise(tmp_path, experiments)
    _, dense = fabricate.parameters(experiments[0])
    for cell in summary.cells[1:]:
        assert cell.times_fewer == pytest.approx(dense / cell.parameters)
    assert summary.cells[0].times_fewer is None


def test_the_validation_split_is_not_reported_and_the_last_decoder_is_primary(tmp_path):
    experiments, *_ = fabricate.demo_study(tmp_path)
    summary = summarise(tmp_path, experiments)
    assert summary.conditions == ("test",) and summary.keys == [("beam", "test"), ("greedy", "test")]
    assert all(set(cell.scores) == set(summary.keys) for cell in summary.cells)


@pytest.mark.parametrize(
    ("seeds", "speakers", "words"),
    [
        ((1,), fabricate.SPEAKERS, "One seed; 95% intervals of WER: bootstrap over 12 test speakers"),
        (
            (1,),
            ("",),
            "unknown speakers (test split). One seed; 95% intervals of WER: bootstrap over 10 test utterances",
        ),
        ((1, 2), fabricate.SPEAKERS, "2 seeds; 95% intervals: of WER, Student's t over seeds"),
        ((1, 2), fabricate.SPEAKERS, "crossed random-effects model of seeds and 12 test speakers"),
        ((1, 2), ("",), "10 test utterances (other seeds, other utterances). Speakers are unknown: utterances are"),
        ((1, 2), ("one",), "10 test utterances (other seeds, other utterances). There is one speaker: utterances are"),
    ],
)
def test_the_sentence_on_intervals_says_what_was_done(tmp_path, seeds, speakers, words):
    experiments = [experiment for _, experiment in fabricate.demo(seeds)[: len(seeds)]]
    for number, experiment in enumerate(experiments):
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, number, speakers))
    (sentence,) = summarise(tmp_path, experiments).described_samples
    assert words in sentence
    assert ("given these models" in sentence) == (len(seeds) == 1)


def test_a_speaker_with_most_of_the_words_is_said_to_weigh_more(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()[:1]]
    table = fabricate.scores(0.1, 1)
    long = table[table["speaker"] == fabricate.SPEAKERS[0]]
    more = [long.assign(id=long["id"] + f"-{copy}") for copy in range(10)]
    fabricate.record(tmp_path / "records", experiments[0], pd.concat([table, *more], ignore_index=True))
    (sentence,) = summarise(tmp_path, experiments).described_samples
    # 11 parts for one speaker, one for each of the 11 others: 22^2 / (11^2 + 11).
    assert "12 test speakers (weigh as 3.7 of equal length)" in sentence


def test_an_empty_study_is_refused(tmp_path):
    aggregate.aggregate([], tmp_path, tmp_path, fabricate.DECODING, tmp_path / "out")
    with pytest.raises(ValueError, match=r"runs\.csv: has no rows"):
        summarise_folder(tmp_path / "out")


def test_aggregates_that_do_not_belong_together_are_refused(tmp_path):
    _, dense = fabricate.demo()[0]
    fabricate.record(tmp_path / "records", dense, fabricate.scores(0.1, 1))
    summarise(tmp_path, [dense])
    path = tmp_path / "out/speakers.csv"
    (tmp_path / "out/SHA256SUMS").unlink()  # as of before there were checksums
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(ValueError, match=r"speakers\.csv: no rows for run 'demo-asr-speech-dense"):
        summarise_folder(tmp_path / "out")


def test_a_study_without_training_has_cells_without_scores(tmp_path):
    counted = [
        {"parameters": 1_050_000, "baseline_ms": [20.0, 20.0], "run_ms": []},
        {"parameters": 525_000, "peak_memory_mb": 300.0, "baseline_ms": [20.0, 20.0], "run_ms": [10.0, 10.0]},
    ]
    experiments = [replace(experiment, trained=False) for _, experiment in fabricate.demo()[:2]]
    for experiment, content in zip(experiments, counted, strict=True):
        fabricate.steptime(tmp_path / "steptime", experiment, **content)
    summary = summarise(tmp_path, experiments)
    assert (summary.decoders, summary.conditions, summary.keys, summary.samples) == ((), (), [], {})
    dense, lowrank = summary.cells
    assert (dense.status, lowrank.status, lowrank.scores) == ("timed", "timed", {})
    assert (lowrank.times_fewer, lowrank.peak_memory_mb, dense.peak_memory_mb) == (2, 300, None)
    assert lowrank.speedup is not None and (lowrank.speedup.value, dense.speedup) == (2, None)
    table = tables.readable(summary, tables.WIDTH)
    headers = [column.header for column in table.columns]
    assert headers == ["targets", "params M", "x fewer", "MACs G/s", "memory MB", "step ms", "speed-up [95%]"]
    assert not any("WER" in note for note in table.notes)
    assert tables.complete(summary)["status"].tolist() == ["timed", "timed"]
