"""Facts about tuning: the records of a few runs choose on validation, step by step, and no more than that."""

import shutil

import fabricate
import fabricate_project
import pandas as pd
import pytest

from lrsms.report import aggregate, nuisance, results
from lrsms.report.figures import change
from lrsms.report.figures.material import load
from lrsms.report.series import settings
from lrsms.report.summary import summarise
from lrsms.report.tuning import caught_up, known, look
from lrsms.study import expand
from lrsms.study.tuning import Tuned

STUDY = fabricate_project.STUDY | {
    "nuisance": ["train.lr"],
    "tune": {"seeds": [0], "times": {"train.lr": [1, 2, 4, 8]}, "extend": 2},
}
CELLS = ("dense", "encoder.attention-0.5", "encoder.attention-0.12")


def begin(folder):
    """A study that tunes, of which nothing is recorded; the preset's learning rate is 0.001."""
    project, _ = fabricate_project.write_project(folder, STUDY)
    return folder, project


@pytest.fixture
def study(tmp_path):
    return begin(tmp_path)


def scores(valid, test):
    """Of 120 utterances of six words, so many have an error."""
    table = fabricate.scores(0.0, 1).drop(columns="alignment")
    for condition, edits in (("valid", valid), ("test", test)):
        for name in fabricate.DECODING.decoders:
            rows = table.index[(table["condition"] == condition) & (table["decoder"] == name)]
            table.loc[rows[:edits], ["substitutions", "character_edits"]] = 1
    return table


def record(folder, experiment, valid, test=0):
    """Its record; of a run that diverged where ``valid`` is None."""
    how = {} if valid is not None else {"status": "diverged", "diverged_at": 7}
    table = scores(0, 0).iloc[:0] if valid is None else scores(valid, test)
    fabricate.record(folder / "results/records", experiment, table, **how)


def tune(folder, project, edits):
    """Records what is missing, pass by pass, with edits by cell and learning rate; how often it was asked for more."""
    passes = 0
    while (state := look(project, folder / "workflow/config", folder / "results/records")).missing:
        passes += 1
        for one in state.experiments:
            if one.name in state.missing:
                record(folder, one, edits[one.cell].get(one.run.train.lr), test=50 - len(one.cell))
    return state, passes


INNER = {0.001: 9, 0.002: 4, 0.004: 5, 0.008: 9}
RISING = {0.001: 9, 0.002: 8, 0.004: 7, 0.008: 6, 0.016: 5, 0.032: 8}


def test_each_cell_takes_its_best_value_and_goes_on_where_that_is_the_last(study):
    falling = {0.001: 1, 0.002: 2, 0.004: 3, 0.008: 4, 0.0005: 1}
    state, passes = tune(*study, dict(zip(CELLS, (INNER, RISING, falling), strict=True)))
    assert state.chosen == {"dense": "lr 0.002", CELLS[1]: "lr 0.016", CELLS[2]: "lr 0.001"}
    assert [one["train.lr"] for one in state.tuned[CELLS[1]].added] == [0.016, 0.032]
    assert [one["train.lr"] for one in state.tuned[CELLS[2]].added] == [0.0005], "equal: nearer to the middle"
    assert passes == 3, "all values, then one more step, then one more"
    assert (state.missing, len(state.pending), state.diverged) == ((), 9, ())
    assert {one.run.train.lr for one in state.experiments if one.cell == CELLS[1] and not one.tuning} == {0.016}


def test_it_ends_after_so_many_steps(study):
    endless = {0.001 * 2**power: 20 - power for power in range(9)}
    state, _ = tune(*study, dict.fromkeys(CELLS, endless))
    assert state.chosen == dict.fromkeys(CELLS, "lr 0.032"), "two steps beyond 0.008"


def test_wherever_it_was_stopped_it_is_asked_for_what_is_missing_alone(study):
    folder, project = study
    config, records = folder / "workflow/config", folder / "results/records"
    first = look(project, config, records)
    assert len(first.missing) == 12 and not first.chosen
    for one in first.experiments[:4]:
        record(folder, one, INNER[one.run.train.lr])
    second = look(project, config, records)
    assert second.missing == first.missing[4:] and second.chosen == {"dense": "lr 0.002"}
    assert look(project, config, records) == second, "nothing is remembered but records"
    assert "4 of 12 runs are recorded (seed 0); 1 of 3 cells have their value" in str(second)


def test_test_errors_and_other_seeds_do_not_choose(study):
    folder, project = study
    state, _ = tune(folder, project, dict.fromkeys(CELLS, INNER))
    for one in state.experiments:
        if not one.tuning:
            record(folder, one, valid=100, test=0)  # as bad as can be on validation
    assert look(project, folder / "workflow/config", folder / "results/records").chosen == state.chosen


def aggregated(folder, project):
    project = known(project, folder / "workflow/config", folder / "results/records")
    out = folder / "results" / results.folder_name(project)
    experiments = expand.load(project, folder / "workflow/config")
    aggregate.aggregate(experiments, folder / "results/records", folder / "none", project.decoding, out)
    results.save_project(project, out)
    return out, experiments


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One cell is best at the last value, and one of a cell's runs diverged."""
    folder, project = begin(tmp_path_factory.mktemp("tuned"))
    some = {0.001: 2, 0.002: None, 0.004: 1, 0.008: 3}
    state, _ = tune(folder, project, dict(zip(CELLS, (INNER, RISING, some), strict=True)))
    for one in state.experiments:
        if not one.tuning:
            record(folder, one, valid=5, test=20)
    return folder, project


def test_what_chose_is_in_no_row_and_every_choice_is_told(finished):
    out, experiments = aggregated(*finished)
    assert set(aggregate.read_runs(out)["seed"]) == {1, 2, 3}
    assert set(aggregate.read_speakers(out)["run"]) == {one.name for one in experiments if not one.tuning}
    summary = summarise(out)
    assert {cell.name: cell.axes["train.lr"] for cell in summary.cells} == dict(
        zip(CELLS, ("0.002", "0.016", "0.004"), strict=True)
    )
    said = " ".join(summary.choices)
    assert "(beam; valid; seed 0, which chooses and is in no row), of 0.001 / 0.002 / 0.004 / 0.008" in said
    assert f"Tried as well, since the last value was the best: {CELLS[1]} at 0.016, {CELLS[1]} at 0.032." in said
    assert f"Passed over because a seed diverged: {CELLS[2]} at 0.002." in said and "may lie beyond" not in said
    table = pd.read_csv(out / nuisance.FILE)
    assert list(table[table["chosen"] == "yes"]["train.lr"]) == [0.002, 0.016, 0.004]
    assert len(table) == 14 and table["valid_wer_percent"].notna().sum() == 13


def test_results_are_made_again_from_their_project_alone(finished):
    folder, project = finished
    out, experiments = aggregated(folder, project)
    again = expand.load(results.load_project(out), folder / "workflow/config")
    assert [(one.name, one.stage) for one in again] == [(one.name, one.stage) for one in experiments]


def test_runs_at_another_value_than_the_records_choose_are_refused(finished):
    folder, project = finished
    project = known(project, folder / "workflow/config", folder / "results/records")
    other = project.tuned | {"dense": project.tuned["dense"].model_copy(update={"chosen": {"train.lr": 0.004}})}
    with pytest.raises(ValueError, match=r"cell 'dense' has runs at train.lr 0.004, but .* choose train.lr 0.002"):
        aggregated(folder, project.model_copy(update={"tuned": other}))


def test_a_saved_project_catches_up_with_its_records_and_a_contradiction_is_refused(finished):
    folder, project = finished
    config, records = folder / "workflow/config", folder / "results/records"
    now = known(project, config, records)
    begun = now.model_copy(update={"tuned": dict.fromkeys(CELLS, Tuned())})
    assert caught_up(begun, config, records) == caught_up(project, config, records) == now
    assert caught_up(now, config, folder / "none") == now, "what was known once stays known without the records"
    other = now.tuned | {"dense": Tuned(chosen={"train.lr": 0.004})}
    with pytest.raises(ValueError, match=r"^study '.*': 'dense' is tuned to .*0.004.* by its records; restore"):
        caught_up(now.model_copy(update={"tuned": other}), config, records)


def test_a_cell_that_was_tuned_elsewhere_and_whose_records_did_not_come_along_is_open(finished, tmp_path):
    folder, project = finished
    project = known(project, folder / "workflow/config", folder / "results/records")
    shutil.copytree(folder / "workflow", tmp_path / "workflow")
    shutil.copytree(folder / "results/records", tmp_path / "results/records")
    for one in expand.load(project, folder / "workflow/config"):
        if one.cell == CELLS[1]:
            shutil.rmtree(tmp_path / "results/records" / one.name)
    out, _ = aggregated(tmp_path, project)
    assert [cell.status for cell in summarise(out).cells] == ["finished", "missing", "finished"]


def test_a_cell_of_which_every_run_diverged_is_named_and_has_no_runs(study):
    folder, project = study
    state, _ = tune(folder, project, {"dense": INNER, CELLS[1]: {}, CELLS[2]: INNER})
    assert state.diverged == (CELLS[1],) and CELLS[1] not in state.chosen
    assert f"'{CELLS[1]}' has no value: every run that was to choose it diverged" in str(state)
    assert len(state.pending) == 6
    for one in state.experiments:
        if one.stage == "compared":
            record(folder, one, valid=5, test=20)
    summary = summarise(aggregated(folder, project)[0])
    (cell,) = (cell for cell in summary.cells if cell.name == CELLS[1])
    assert (cell.status, cell.axes["train.lr"]) == ("missing", nuisance.UNDECIDED)
    assert f"since every run that was to choose it diverged: {CELLS[1]}." in summary.choices[-1]


def test_a_record_of_what_stands_for_a_run_to_come_is_no_result(study):
    """Another study may have trained the middle value with the same seed."""
    folder, project = study
    (first, *_) = (one for one in look(project, folder / "workflow/config", folder / "none").experiments if one.open)
    record(folder, first, valid=0, test=0)
    summary = summarise(aggregated(folder, project)[0])
    assert {cell.status for cell in summary.cells} == {"missing"}


def test_figures_pair_cells_that_chose_different_values(tmp_path):
    """A nuisance field is no axis: a cell is compared at its own best value, in the figures as in the verdicts."""
    grids = [
        {"seed": [1, 2, 3]},
        {
            "lowrank.targets": [["encoder.attention"]],
            "lowrank.ratio": [0.5, 0.25],
            "lowrank.init": ["spectral", "random"],
            "seed": [1, 2, 3],
        },
    ]
    project, _ = fabricate_project.write_project(tmp_path, STUDY | {"grids": grids})
    low, high = {0.001: 9, 0.002: 4, 0.004: 5, 0.008: 9}, {0.001: 9, 0.002: 6, 0.004: 5, 0.008: 9}
    names = dict.fromkeys(one.cell for one in expand.load(project, tmp_path / "workflow/config"))
    state, _ = tune(tmp_path, project, {cell: high if "random" in cell else low for cell in names})
    assert set(state.chosen.values()) == {"lr 0.002", "lr 0.004"}
    for one in state.experiments:
        if one.stage == "compared":
            record(tmp_path, one, valid=5, test=20)
    out, experiments = aggregated(tmp_path, project)
    material = load(out, experiments, project.decoding, tmp_path / "results/records", tmp_path / "none")
    assert sorted(len(cells) for cells in settings(material.summary).values()) == [2, 2]
    (axes,) = (axes for axes in change.by_init(material).figure.axes if axes.get_legend() or axes.containers)
    (points,) = axes.containers
    assert len(points[0].get_xdata()) == 2
