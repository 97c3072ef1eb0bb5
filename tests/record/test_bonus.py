"""The length bonus that a run takes: chosen on the valid split alone, kept beside its scores, and shown."""

import json
import re
import shutil

import fabricate
import nano
import pytest
import torch

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.decoding import passes
from lrsms.decoding.decode import decode
from lrsms.record.bonus import Choice, bonus_path, load_choices, write_choices
from lrsms.record.record import write_record
from lrsms.record.score import align
from lrsms.report import aggregate, tables
from lrsms.report.pages.material import load
from lrsms.report.pages.run_page import run_page
from lrsms.report.summary import summarise
from lrsms.study import expand
from lrsms.study.decoding import Condition, Decoder, Decoding
from lrsms.study.project import Project

CPU = torch.device("cpu")
GRID = (-1.0, 0.0, 1.0, 4.0)
CONDITIONS = {"unseen": Condition(split="test"), "valid": Condition(split="valid")}


def beam(bonus):
    return Decoder(kind="beam", beam=3, ctc_weight=0.4, length_bonus=bonus)


def decoded(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def edits(rows, condition):
    return sum(align(row["reference"], row["hypothesis"]).edits for row in rows if row["condition"] == condition)


@pytest.fixture(scope="module")
def tried(trained, make_run, prepared, tmp_path_factory):
    """What each value finds by itself, and what the whole list finds."""
    folder = tmp_path_factory.mktemp("tried")
    found = {}
    for bonus in (*GRID, GRID):
        decoding = Decoding(decoders={"greedy": Decoder(kind="greedy"), "beam": beam(bonus)}, conditions=CONDITIONS)
        path = folder / decoding.hypotheses
        decode(make_run(), prepared, trained, path, decoding, CPU)
        found[bonus] = path, decoded(path), decoding
    return found


def test_the_value_of_fewest_errors_on_the_valid_split_is_taken_and_decodes_every_condition(tried):
    path, rows, decoding = tried[GRID]
    errors = {bonus: edits([row for row in tried[bonus][1] if row["decoder"] == "beam"], "valid") for bonus in GRID}
    assert len(set(errors.values())) > 1, "the values must differ for this to be a test"
    choice = load_choices(path, decoding)["beam"]
    assert choice.tried == errors
    assert choice.chosen == min(GRID, key=lambda bonus: (errors[bonus], bonus))
    assert rows == tried[choice.chosen][1]  # to the row, in the same order


def test_only_the_chosen_search_counts_in_its_times(tried):
    path, _, decoding = tried[GRID]
    times = json.loads(path.with_name(path.stem + ".times.json").read_text())
    assert list(times["conditions"]) == list(decoding.conditions)
    assert all(list(part["search_seconds"]) == ["greedy", "beam"] for part in times["conditions"].values())


def test_nothing_of_the_test_split_is_decoded_before_the_choice(trained, make_run, prepared, tmp_path, monkeypatch):
    splits, chosen_after = [], []
    load, choose = passes.condition_batch, passes.choose

    def noted(prepared_, members, condition):
        splits.append(condition.split)
        return load(prepared_, members, condition)

    def choosing(*arguments):
        chosen_after.append(set(splits))
        return choose(*arguments)

    monkeypatch.setattr(passes, "condition_batch", noted)
    monkeypatch.setattr(passes, "choose", choosing)
    decoding = Decoding(decoders={"beam": beam(GRID)}, conditions=CONDITIONS)
    decode(make_run(), prepared, trained, tmp_path / "hypotheses-1.jsonl", decoding, CPU)
    assert chosen_after == [{"valid"}]
    assert splits[-1] == "test"


def test_of_equals_the_smallest_is_taken():
    assert Choice({2.0: 5, 0.5: 3, -1.0: 3, 1.0: 3}, 10).chosen == -1.0


def test_a_list_needs_a_condition_of_the_valid_split():
    with pytest.raises(ValueError, match=r"'length_bonus' of decoder 'beam' is a list.*add valid: \{split: valid\}"):
        Decoding(decoders={"beam": beam(GRID)}, conditions={"clean": Condition(split="test")})
    Decoding(decoders={"beam": beam(0.0)}, conditions={"clean": Condition(split="test")})


def test_the_order_of_a_list_means_nothing_and_its_values_do():
    def digest(bonus):
        return Decoding(decoders={"beam": beam(bonus)}, conditions=CONDITIONS).digest

    assert digest((0.0, 1.0)) == digest((1.0, 0.0))
    assert len({digest(bonus) for bonus in (0.0, 1.0, (0.0, 1.0), (0.0, 2.0))}) == 4


def test_the_choice_goes_into_the_record(tried, trained, tmp_path):
    path, _, decoding = tried[GRID]
    record = tmp_path / trained.name
    write_record(trained, path, record / decoding.scores)
    assert load_choices(record / decoding.scores, decoding) == load_choices(path, decoding)


@pytest.fixture
def written(tmp_path):
    """A choice beside a score table, and its decoding."""
    decoding = Decoding(decoders={"greedy": Decoder(kind="greedy"), "beam": beam(GRID)}, conditions=CONDITIONS)
    path = tmp_path / decoding.scores
    write_choices(path, {"beam": Choice(dict(zip(GRID, (9, 7, 8, 9), strict=True)), 50)})
    return path, decoding


def change(path, **values):
    content = json.loads(path.read_text())
    content["beam"] |= values
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing, but decoder 'beam' has a list of bonuses"),
        (lambda path: path.write_text("{"), "bonus.json: "),
        (lambda path: path.write_text("{}"), "expected beam"),
        (lambda path: change(path, chosen=1.0), "'beam' is not the best of -1, 0, 1, 4"),
        (lambda path: change(path, words=0), "'beam' is not the best of"),
        (lambda path: change(path, words=True), "'beam' is not the best of"),
        (lambda path: change(path, tried=[[0.0, 7]]), "'beam' is not the best of"),
        (lambda path: change(path, tried=[[0.0, -7], [1.0, 3], [-1.0, 9], [4.0, 9]]), "'beam' is not the best of"),
        (lambda path: change(path, tried=3), "'beam' is not the best of"),
    ],
)
def test_a_choice_that_cannot_be_right_is_refused_in_one_line(written, damage, message):
    path, decoding = written
    assert load_choices(path, decoding)["beam"].chosen == 0.0
    damage(bonus_path(path))
    with pytest.raises(ValueError, match=message) as caught:
        load_choices(path, decoding)
    assert "\n" not in str(caught.value)


def test_a_decoder_with_a_number_has_no_choice_and_an_old_file_of_one_is_removed(written):
    path, _ = written
    fixed = Decoding(decoders={"beam": beam(0.5)}, conditions=CONDITIONS)
    assert load_choices(path, fixed) == {}
    write_choices(path, {})
    assert not bonus_path(path).is_file()


def test_a_diverged_run_leaves_no_choice(trained, make_run, prepared, tmp_path):
    folder = shutil.copytree(trained, tmp_path / trained.name)
    outcome = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(outcome | {"status": "diverged"}))
    decoding = Decoding(decoders={"beam": beam(GRID)}, conditions=CONDITIONS)
    decode(make_run(), prepared, folder, tmp_path / "hypotheses-1.jsonl", decoding, CPU)
    assert (tmp_path / "hypotheses-1.jsonl").read_text() == ""
    assert not bonus_path(tmp_path / "hypotheses-1.jsonl").is_file()


@pytest.fixture
def aggregated(tmp_path):
    """Two runs of a study whose beam search chose its length bonus; what makes its tables, and its records."""
    decoders = {"greedy": Decoder(kind="greedy"), "beam": beam(GRID)}
    decoding = Decoding(decoders=decoders, conditions=fabricate.DECODING.conditions)
    experiments = [experiment for _, experiment in fabricate.demo()[:2]]
    paths = []
    for number, experiment in enumerate(experiments):
        scores = fabricate.scores(0.1, number)
        folder = fabricate.record(tmp_path / "records", experiment, scores)
        paths.append((folder / fabricate.DECODING.scores).rename(folder / decoding.scores))
        valid = scores[(scores["condition"] == "valid") & (scores["decoder"] == "beam")]
        errors = int(valid["substitutions"].sum())
        tried = {bonus: errors + (bonus != GRID[number + 1]) for bonus in GRID}
        write_choices(paths[-1], {"beam": Choice(tried, int(valid["words"].sum()))})

    def make():
        aggregate.aggregate(experiments, tmp_path / "records", tmp_path / "steptime", decoding, tmp_path / "out")
        return tmp_path / "out"

    return make, paths, experiments, decoding


def test_runs_csv_the_table_and_a_runs_page_say_which_was_chosen(aggregated):
    make, paths, experiments, decoding = aggregated
    runs = aggregate.read_runs(make())
    assert runs[runs["decoder"] == "beam"].groupby("run")["length_bonus"].unique().map(list).to_dict() == {
        experiment.name: [GRID[number + 1]] for number, experiment in enumerate(experiments)
    }
    assert runs.loc[runs["decoder"] == "greedy", "length_bonus"].isna().all()
    table = tables.readable(summarise(make()), tables.WIDTH)
    assert "length_bonus" not in [column.header for column in table.columns]  # it is no axis of the study
    assert (
        "Length bonus of beam: for each run the one of the lowest WER on validation; 0 in 1, 1 in 1 of 2 runs."
        in table.notes
    )
    page = run_page(load(experiments[1], paths[1].parents[1], decoding, {}), decoding).decode()
    assert re.search(r"length bonus, beam.*?1, chosen by WER % on validation \(-1: [\d.]+, 0: ", page, re.DOTALL)


def test_a_choice_of_other_errors_than_the_scores_is_refused(aggregated):
    make, paths, _, _ = aggregated
    change(bonus_path(paths[1]), tried=[[bonus, 1 + (bonus != 1.0)] for bonus in GRID])
    with pytest.raises(
        ValueError, match=r"'beam' has 1 errors in 720 words of the valid split, but the score table has "
    ):
        make()
    bonus_path(paths[1]).unlink()
    with pytest.raises(ValueError, match=r"bonus\.json: is missing, but decoder 'beam' has a list of bonuses"):
        make()


def test_decoders_of_a_scale_take_the_place_of_the_others():
    own = {"paper": {"beam": {"kind": "beam", "beam": 40, "ctc_weight": 0.1, "length_bonus": 0, "end": "espnet"}}}
    plain = parse(Project, nano.PROJECT, "nano")
    other = parse(Project, nano.PROJECT | {"decoders_of": own}, "nano")
    paper = parse(Project, nano.PROJECT | {"decoders_of": own, "scale": "paper"}, "paper")
    assert plain.decoding.digest == other.decoding.digest
    assert paper.decoding.decoders == {"beam": Decoder(**own["paper"]["beam"] | {"length_bonus": 0.0})}


def test_decoders_of_a_scale_that_there_is_not_are_refused():
    content = read_yaml(expand.CONFIG_FOLDER / "config.yaml")
    own = content["decoders_of"]
    project = parse(Project, content | {"decoders_of": own | {"papr": own["paper"]}}, "config")
    with pytest.raises(ValueError, match=r"'decoders_of' names 'papr', a scale without presets.*did you mean 'paper'"):
        expand.load(project)


def test_the_paper_is_decoded_as_its_base_system_is():
    content = read_yaml(expand.CONFIG_FOLDER / "config.yaml")
    project = parse(Project, content | {"scale": "paper", "corpus": "lrs3"}, "config")
    beam_40 = Decoder(kind="beam", beam=40, ctc_weight=0.1, length_bonus=0.0, end="espnet")
    assert list(project.decoding.decoders.values())[-1] == beam_40
