"""A cell whose network changes during training, in tables and figures: named as such, and its numbers explained."""

import fabricate
import pytest

from lrsms.report import aggregate, series, tables
from lrsms.report.courses import describe_courses
from lrsms.report.summary import summarise

PLAIN = {"targets": (fabricate.ATTENTION,), "ratio": 0.25}
WARM = PLAIN | {"method": {"name": "warmup", "share": 0.3}}
PHASES = [{"share": 0.3, "median_ms": 100.0}, {"share": 0.7, "median_ms": 50.0}]


@pytest.fixture
def study(tmp_path):
    """Dense, plain low rank and warm-up, each recorded and timed."""
    runs = [fabricate.run(lowrank) for lowrank in (None, PLAIN, WARM)]
    experiments = []
    for run in runs:
        method = None if run.lowrank is None else run.lowrank.method
        axes = {"lowrank.method.name": method and method.name, "lowrank.method.share": method and method.share}
        experiments.append(fabricate.experiment(run, axes))
    for rate, experiment in zip((0.10, 0.12, 0.11), experiments, strict=True):
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(rate, 1))
        more = {"phases": PHASES} if experiment.run.num_phases > 1 else {}
        fabricate.steptime(tmp_path / "steptime", experiment, **more)
    return experiments, tmp_path / "records", tmp_path / "steptime"


@pytest.fixture
def summary(study, tmp_path):
    experiments, records, steptimes = study
    aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, tmp_path / "out")
    return summarise(tmp_path / "out")


def test_its_record_is_valid_and_its_size_is_that_of_low_rank(summary):
    _, plain, warm = summary.cells
    assert warm.name == "encoder.attention-0.25-warmup-share0.3" and warm.status == "finished"
    assert (warm.parameters, warm.times_fewer) == (plain.parameters, plain.times_fewer)
    assert warm.axes == {"lowrank.method.name": "warmup", "lowrank.method.share": "0.3"}


def test_the_table_names_the_method_and_a_note_says_what_its_numbers_are_of(study, summary):
    shown = tables.readable(summary, 200)
    columns = {column.header: column.texts for column in shown.columns}
    assert columns["method"][-1] == "warmup" and columns["share"][-1] == "0.3"
    (note,) = [note for note in shown.notes if "dense for" in note]
    assert note in describe_courses(study[0], study[2])
    assert "is dense for the first 30% of its steps, then low rank; its parameters, multiply-adds and step time" in note
    assert "100 ms for 30% of the steps, then 50 ms for 70% of the steps: over a whole training" in note


def test_of_a_network_that_is_cut_a_note_says_whose_step_time_it_is(study):
    experiments, _, steptimes = study
    cut = fabricate.run(PLAIN | {"method": {"name": "truncated"}})
    note = describe_courses([fabricate.experiment(cut, {"lowrank.method.name": "truncated"})], steptimes)
    assert len(note) == 1
    assert "cut to low rank after the last; its step time is that of the network that is trained, all else" in note[0]
    assert not describe_courses(experiments[:2], steptimes)


def test_a_legend_tells_it_from_plain_low_rank(summary):
    labels = [one.label for one in series.all_panels(summary)[0].series]
    assert len(labels) == len(set(labels)) == 2
    assert any("method warmup" in label and "share 0.3" in label for label in labels)


@pytest.mark.parametrize("phases", [None, PHASES[:1], [{"median_ms": -1}] * 2, "none"])
def test_a_step_time_file_without_its_phases_is_refused(study, phases):
    experiments, _, steptimes = study
    fabricate.steptime(steptimes, experiments[-1], phases=phases)
    with pytest.raises(ValueError, match=r"'phases' .*; delete it to measure again") as caught:
        describe_courses(experiments, steptimes)
    assert "\n" not in str(caught.value)
