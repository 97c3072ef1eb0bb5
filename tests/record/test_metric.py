"""Facts about what an error rate is called, and what is said of a corpus of which something is left out."""

import dataclasses

import fabricate
import pandas as pd
import pytest

from lrsms.record import leftout
from lrsms.record.metrics import CHARACTERS, WORDS, metric_of
from lrsms.report import aggregate, cells, outcomes, tables, verdict_table
from lrsms.report.claims import Claim
from lrsms.report.figures import material as figure_material
from lrsms.report.figures import pareto
from lrsms.report.pages import material as page_material
from lrsms.report.pages.run_page import run_page
from lrsms.report.results import Place
from lrsms.report.summary import summarise
from lrsms.study.expand import Experiment

LEFT_OUT = {"train": {"of": 1440, "spelling": 3}, "test": {"of": 720, "recording": 2}}
SAID = f"Left out of the corpus: {leftout.describe(LEFT_OUT)}."
CLAIM = Claim(
    finding="It is on a par",
    study="demo",
    group={"lowrank.ratio": 0.5},
    rules=("parity",),
    margin=0.1,
    against="baseline",
    decoder="beam",
    conditions=("test",),
)


def by_characters(one: Experiment) -> Experiment:
    """The same on a corpus whose text has no blanks."""

    def changed(run):
        return run.model_copy(update={"corpus": run.corpus.model_copy(update={"unit": "characters"})})

    return dataclasses.replace(one, run=changed(one.run), baseline=changed(one.baseline))


def study(tmp_path, seeds=(1, 2, 3), change=by_characters, **run_json):
    """The folder of a study's results, its experiments and its records."""
    experiments = []
    for number, (rate, one) in enumerate(fabricate.demo(seeds)[: 2 * len(seeds)]):
        experiments.append(change(one))
        fabricate.record(tmp_path / "records", experiments[-1], fabricate.scores(rate, number), **run_json)
    folder = tmp_path / "demo-asr-demo-speech"
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path / "steptime", fabricate.DECODING, folder)
    return folder, experiments, tmp_path / "records"


def same(one: Experiment) -> Experiment:
    return one


def test_a_corpus_says_what_is_counted():
    assert metric_of(None) == metric_of("words") == WORDS
    assert metric_of("characters") == CHARACTERS
    assert (WORDS.title, CHARACTERS.title) == ("Word error rate", "Character error rate")


def test_a_table_by_characters_says_so_wherever_it_names_the_rate(tmp_path):
    folder, *_ = study(tmp_path)
    tables.write(folder)
    for name in ("table.md", "table.tex", "table.csv"):
        text = (folder / name).read_text()
        assert "WER" not in text and "wer_" not in text and " word" not in text.replace("in place of words", ""), name
    text = (folder / "table.md").read_text()
    assert "CER % beam [95%]" in text and "CER change [95%]" in text
    assert "CER: character error rate, of characters without blanks, in place of words." in text
    assert "720 characters" in text and "of CER, Student's t over seeds" in text
    assert list(pd.read_csv(folder / "table.csv").filter(like="cer_percent_beam_test").columns)[:1] == [
        "cer_percent_beam_test"
    ]


def test_the_rates_are_the_same_numbers_by_another_name(tmp_path):
    words, characters = tmp_path / "words", tmp_path / "characters"
    one, other = (
        summarise(study(path, change=change)[0]) for path, change in ((words, same), (characters, by_characters))
    )
    assert [cell.scores for cell in one.cells] == [cell.scores for cell in other.cells]
    assert (one.metric, other.metric) == (WORDS, CHARACTERS)
    assert [cell.axes for cell in one.cells] == [cell.axes for cell in other.cells]  # it is no axis


def test_claims_and_figures_and_pages_by_characters_say_so(tmp_path):
    folder, experiments, records = study(tmp_path)
    (outcome,) = outcomes.verdicts({"F1": CLAIM}, folder, Place("demo", "asr", "demo", "speech"))
    verdict_table.write([outcome], folder)
    for name in ("claims.md", "claims.csv", "claims.json"):
        assert "WER" not in (folder / name).read_text(), name
    said = verdict_table.sentence(outcome)
    assert "Parity" in said and "CER " in said and "720 characters" in said and "Validation CER half-way" in said
    drawn = pareto.by_parameters(figure_material.load(folder, experiments, fabricate.DECODING, records, tmp_path))
    assert drawn.caption[0].startswith("Character error rate against the parameters")
    assert "character error rate (%)" in {
        drawn.figure.get_supylabel(),
        *(axes.get_ylabel() for axes in drawn.figure.axes),
    }
    measured = aggregate.read_runs(folder).to_dict("records")[0]
    page = run_page(
        page_material.load(experiments[0], records, fabricate.DECODING, measured), fabricate.DECODING
    ).decode()
    assert "CER %" in page and ">characters<" in page and "WER" not in page


def test_what_is_left_out_of_a_corpus_is_said_under_its_table(tmp_path):
    folder, *_ = study(tmp_path, change=same, left_out=LEFT_OUT)
    tables.write(folder)
    assert f"- {SAID}\n" in (folder / "table.md").read_text()
    runs = aggregate.read_runs(folder)
    assert aggregate.axes_of(runs) == []
    assert all("left_out" not in cell.axes for cell in cells.cells_of(runs, folder))


@pytest.mark.parametrize("content", [{}, {"left_out": {}}, {"left_out": None}])
def test_of_records_that_say_nothing_nothing_is_said(tmp_path, content):
    folder, *_ = study(tmp_path, change=same, **content)
    tables.write(folder)
    assert "Left out" not in (folder / "table.md").read_text()
    assert set(aggregate.read_runs(folder).columns) == set(aggregate.FIXED)


def test_a_record_whose_counts_are_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"run\.json: 'left_out' must have, by split, .*; restore it, or delete"):
        study(tmp_path, change=same, left_out={"test": 3})
