"""Facts about studies that tune: which runs each stage has, and which value comes after the last one."""

import nano
import pytest
import yaml

from lrsms.base.strict import parse
from lrsms.study import expand
from lrsms.study.project import Project
from lrsms.study.tuning import Tuned, ends, furthest, next_values

VALID = {"conditions": {"asr": {"valid": {"split": "valid"}, "clean": {"split": "test"}}}}
TUNE = {"seeds": [0], "times": {"train.lr": [0.5, 1, 2]}}
GRIDS = [{"seed": [1, 2]}, {"lowrank.targets": [["encoder.attention"]], "lowrank.ratio": [0.5], "seed": [1, 2]}]
CELL = "encoder.attention-0.5"


@pytest.fixture
def load(tmp_path):
    """Expands a study over the nano preset, whose learning rate is 0.003."""

    def load(grids=GRIDS, more=None, **project):
        contents = {"presets/nano-asr": nano.PRESET, "corpora/few": nano.CORPUS}
        contents["studies/sizes"] = {"question": "?", "nuisance": ["train.lr"], "tune": TUNE, "grids": grids} | (
            more or {}
        )
        for name, content in contents.items():
            path = tmp_path / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(content))
        return expand.load(parse(Project, nano.PROJECT | VALID | project, "test"), tmp_path)

    return load


def runs(experiments, stage):
    return [(one.cell, one.run.train.lr, one.run.seed) for one in experiments if one.stage == stage]


def test_first_every_value_is_trained_with_the_seeds_that_choose_and_nothing_else(load):
    found = load()
    assert runs(found, "tuning") == [(cell, lr, 0) for cell in ("dense", CELL) for lr in (0.0015, 0.003, 0.006)]
    assert runs(found, "compared") == []
    assert [one[::2] for one in runs(found, "open")] == [(cell, seed) for cell in ("dense", CELL) for seed in (1, 2)]


def test_then_the_chosen_value_gets_the_studys_seeds(load):
    tuned = {"dense": {"chosen": {"train.lr": 0.012}, "added": [{"train.lr": 0.012}]}, CELL: {}}
    found = load(tuned=tuned)
    assert runs(found, "compared") == [("dense", 0.012, 1), ("dense", 0.012, 2)]
    assert runs(found, "extension") == [("dense", 0.012, 0)]
    assert {one.cell for one in found if one.open} == {CELL}
    assert len({one.name for one in found}) == len(found)


def test_a_run_of_a_tuned_study_is_the_run_of_a_study_without_tuning(load):
    tuned = load(tuned={"dense": {"chosen": {"train.lr": 0.003}}})
    plain = load(more={"tune": None, "nuisance": []})
    names = {one.name: one.digest for one in plain if one.cell == "dense"}
    assert {one.name: one.digest for one in tuned if one.stage == "compared"} == names


def test_seeds_that_are_added_later_are_of_the_chosen_value_alone(load):
    found = load(tuned={"dense": {"chosen": {"train.lr": 0.006}}}, seeds={"dense": 4})
    assert runs(found, "compared") == [("dense", 0.006, seed) for seed in (1, 2, 3, 4)]
    assert len([one for one in found if one.tuning]) == 6


def test_a_grid_that_names_the_field_keeps_its_values_and_one_value_is_not_tuned(load):
    found = load([{"seed": [1], "train.lr": [0.001, 0.002]}, {"model.layers": [1], "train.lr": [0.5e-3], "seed": [1]}])
    assert runs(found, "tuning") == [("dense", 0.001, 0), ("dense", 0.002, 0)]
    assert runs(found, "compared") == [("layers1", 0.0005, 1)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tune": {**TUNE, "seeds": [1]}}, "'tune.seeds' has 1, but seeds for tuning must be below .* such as 0"),
        (
            {"tune": TUNE | {"times": {"train.lr": [1, 2], "train.warmup": [1, 2]}}},
            "'tune.times' names 'train.warmup', .* 'nuisance'",
        ),
        ({"tune": {"seeds": [0]}}, "'nuisance' names 'train.lr', which no grid varies"),
        ({"nuisance": []}, "'tune' has nothing to choose; name fields under 'nuisance'"),
        (
            {"nuisance": ["train.epochs"], "tune": {"seeds": [0], "times": {"train.epochs": [1, 2]}}},
            "'train.epochs', which",
        ),
        ({"tune": {"seeds": []}}, "'tune.seeds'"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_one_line(load, more, said):
    with pytest.raises(ValueError, match=said) as refused:
        load(more=more)
    assert "\n" not in str(refused.value)


def test_a_choice_for_a_cell_that_is_not_there_is_refused(load):
    with pytest.raises(
        ValueError, match="'tuned' names cell 'dens', which the study does not have; did you mean 'dense'"
    ):
        load(tuned={"dens": {}})


def lr(*values):
    return [{"train.lr": value} for value in values]


@pytest.mark.parametrize(
    ("tried", "best", "beyond"),
    [
        (lr(0.001, 0.002, 0.004), 0.004, [0.008]),
        (lr(0.001, 0.002, 0.004), 0.001, [0.0005]),
        (lr(0.001, 0.002, 0.004), 0.002, []),
        (lr(0.004, 0.001, 0.002), 0.004, [0.008]),  # in any order
        (lr(0.001, 0.002, 0.003), 0.003, [0.0045]),  # the factor at that end
        (lr(1.0, 4.0), 4.0, []),  # 16 is more than a learning rate can be
        (lr(0.001), 0.001, []),
    ],
)
def test_beyond_the_last_value_the_grid_goes_on_by_its_factor(load, tried, best, beyond):
    assert next_values({"train.lr": best}, tried, load()[0]) == lr(*beyond)


def test_of_two_fields_each_has_its_own_line_and_zero_leads_nowhere():
    tried = [{"a": a, "b": b} for a in (1, 2) for b in (0.0, 0.1, 0.2)]
    assert ends({"a": 2, "b": 0.1}, tried) == {"a": 1}
    assert ends({"a": 1, "b": 0.0}, tried) == {"a": 2, "b": 0.1}
    assert ends({"name": "x"}, [{"name": "x"}, {"name": "y"}]) == {}


def test_a_value_at_zero_is_not_extended(load):
    own = load(
        [{"train.weight_decay": [0.0, 0.1], "seed": [1]}], {"nuisance": ["train.weight_decay"], "tune": {"seeds": [0]}}
    )
    tried = [{"train.weight_decay": value} for value in (0.0, 0.1)]
    assert next_values(tried[0], tried, own[0]) == []
    assert next_values(tried[1], [*tried, {"train.weight_decay": 0.05}], own[0]) == [{"train.weight_decay": 0.2}]


def test_what_was_chosen_is_read_back_as_it_was_written():
    one = Tuned(added=({"train.lr": 0.008},), chosen={"train.lr": 0.008})
    assert parse(Tuned, one.model_dump(mode="json", exclude_none=True), "x") == one


def test_of_two_tunings_the_furthest_is_known_and_a_contradiction_is_refused():
    begun, longer, chosen = {"added": []}, {"added": [lr(0.1)]}, {"added": [lr(0.1)], "chosen": lr(0.05)}
    for earlier, later in ((begun, begun), (begun, longer), (begun, chosen), (longer, chosen)):
        for one, other in ((earlier, later), (later, earlier)):
            assert furthest({"a": one}, None, {"a": other, "b": begun}) == {"a": later, "b": begun}
    assert furthest(None, {}) is None
    for other in ({"added": [lr(0.2)]}, {"added": [lr(0.1)], "chosen": lr(0.1)}, {"added": [], "chosen": lr(0.05)}):
        with pytest.raises(ValueError, match="'a' is tuned to"):
            furthest({"a": chosen}, {"a": other})
