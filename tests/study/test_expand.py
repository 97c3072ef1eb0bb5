"""Facts about studies: how axes become runs, what their names depend on, and that every shipped file is valid."""

import itertools
import json
import re
from pathlib import Path

import nano
import pytest
import yaml

from lrsms.base.strict import canonical_json, parse
from lrsms.base.yamlfile import read_yaml
from lrsms.study import expand, fields
from lrsms.study.config_files import load_corpus
from lrsms.study.fields import difference, overlay
from lrsms.study.project import Project

SHIPPED = Path(__file__).parents[2] / expand.CONFIG_FOLDER


def names(experiments) -> list[str]:
    return [experiment.name for experiment in experiments]


LOWRANK = {"lowrank.targets": [["encoder.attention"]], "lowrank.ratio": [0.5, 0.25], "seed": [1, 2]}


def test_a_study_is_the_union_of_its_grids_each_run_once_in_their_order(load):
    experiments = load([{"seed": [1, 2]}, LOWRANK, {"seed": [2, 3, 3]}])
    described = [(e.cell, e.run.seed) for e in experiments]
    assert described == [
        ("dense", 1),
        ("dense", 2),
        *itertools.product(["encoder.attention-0.5", "encoder.attention-0.25"], [1, 2]),
        ("dense", 3),
    ]


def test_a_grid_without_axes_is_the_preset(load):
    (experiment,) = load([{}])
    assert experiment.run == experiment.baseline


def test_any_dotted_field_is_an_axis(load):
    experiments = load([{"train.lr": [1e-3, 1e-2], "lowrank.ratio": [0.5], "lowrank.qkv": ["separate", "fused"]}])
    assert [(e.run.train.lr, e.run.lowrank.qkv) for e in experiments] == [
        (1e-3, "separate"),
        (1e-3, "fused"),
        (1e-2, "separate"),
        (1e-2, "fused"),
    ]
    assert all(e.run.lowrank.ratio == 0.5 for e in experiments)
    assert experiments[3].axes == {"train.lr": 0.01, "lowrank.ratio": 0.5, "lowrank.qkv": "fused"}
    assert experiments[3].cell == "encoder.attention+encoder.feedforward-0.5-fused-lr0.01"


def test_fields_joined_by_a_comma_move_together(load):
    experiments = load([{"model.dim, model.heads": [[32, 4], [48, 3]]}])
    assert [(e.run.model.dim, e.run.model.heads) for e in experiments] == [(32, 4), (48, 3)]
    assert experiments[0].cell == "dim32-heads4"


def test_a_section_is_switched_off_by_null_and_on_by_its_first_field(load):
    dense, off, on = load([{}, {"train.augment": [None]}, {"lowrank.ratio": [0.5]}])
    assert dense.run.train.augment is not None
    assert off.run.train.augment is None
    assert on.run.lowrank.targets == ("encoder.attention", "encoder.feedforward")
    assert (dense.cell, off.cell) == ("dense", "augmentoff")
    assert off.axes == {"train.augment": None, "lowrank.ratio": None}


def test_switching_a_section_to_another_content_names_what_changed(load):
    (experiment,) = load([{"train.steps, train.epochs": [[None, 2]]}])
    assert difference(experiment.baseline, experiment.run) == {"train.steps": None, "train.epochs": 2}
    assert experiment.cell == "stepsoff-epochs2"


def test_names_depend_on_content_and_not_on_the_study_file(load):
    before = names(load([{"seed": [1]}, LOWRANK]))
    reordered = {key: LOWRANK[key] for key in reversed(LOWRANK)}
    assert sorted(names(load([reordered, {"seed": [1]}]))) == sorted(before)
    assert names(load([{"seed": [1]}, LOWRANK], comment="# why\n")) == before
    more = names(load([{"seed": [1]}, LOWRANK | {"lowrank.ratio": [0.5, 0.25, 0.12]}]))
    assert [name for name in more if name in before] == before
    assert len(more) == len(before) + 2


def test_a_default_written_out_is_the_same_run(load):
    assert names(load([{"lowrank.ratio": [0.5], "lowrank.init": ["spectral"]}])) == names(
        load([{"lowrank.ratio": [0.5]}])
    )


def test_names_are_safe_in_files_and_end_in_seed_and_digest(load):
    globs = ["encoder.blocks.*.attention.qkv.[qk]", "decoder/?"]
    for experiment in load([{"lowrank.targets": [globs, ["encoder.*ü" * 30]], "lowrank.ratio": [0.5], "seed": [7]}]):
        assert re.fullmatch(r"nano-asr-few-[A-Za-z0-9.+_-]+-s7-[0-9a-f]{10}", experiment.name)
        assert experiment.name.endswith(experiment.run.digest)
        assert len(experiment.name) < 150


def test_runs_that_differ_in_their_seed_only_share_a_cell_and_a_step_time(load):
    one, other = load([{"lowrank.ratio": [0.5], "seed": [1, 2]}])
    assert one.cell == other.cell
    assert one.steptime == other.steptime
    assert one.name != other.name


def test_adamw_by_name_is_the_run_that_names_none_and_so_is_a_default_that_is_written_out(load):
    (unnamed,), (named,) = load([{}]), load([{"train.optimizer": ["adamw"]}])
    assert unnamed.name == named.name
    (muon,) = load([{"train.optimizer": ["muon"]}])
    for options in ({"momentum": 0.95}, {"iterations": 5, "rms": None}):
        (same,) = load([{"train.optimizer": ["muon"], "train.optimizer_options": [options]}])
        assert same.name == muon.name != unnamed.name


def test_an_option_of_an_optimizer_is_an_axis(load):
    experiments = load([{"train.optimizer": ["muon"], "train.optimizer_options.momentum": [None, 0.8, 0.9]}])
    assert [e.axes["train.optimizer_options.momentum"] for e in experiments] == [None, 0.8, 0.9]
    assert [e.cell for e in experiments] == [
        "optimizermuon",
        "optimizermuon-momentum0.8",
        "optimizermuon-momentum0.9",
    ]


def test_the_baseline_is_the_preset(load):
    for experiment in load([LOWRANK | {"train.lr": [0.5]}]):
        assert experiment.baseline.lowrank is None
        assert experiment.baseline.train.lr == 0.003
        assert experiment.baseline.seed == 1


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ([], "'grids' is []"),
        ([{"lowrank.ration": [0.5]}], "grid 1: unknown key 'lowrank.ration'; did you mean 'lowrank.ratio'?"),
        ([{}, {"lowrnk.ratio": [0.5]}], "grid 2: unknown key 'lowrnk'; did you mean 'lowrank'?"),
        ([{"model.dim.x": [1]}], "grid 1: 'model.dim.x': 'dim' has no fields of its own"),
        ([{"seed": 1}], "grid 1: 'seed' must be a list of values, got 1"),
        ([{"seed": []}], "grid 1: 'seed' must be a list of values, got []"),
        ([{"model.dim, model.heads": [[32]]}], "needs lists of 2 values that change together, got [32]"),
        ([{"model.dim, model.heads": [32]}], "needs lists of 2 values that change together, got 32"),
        ([{"seed": [1], "seed, train.lr": [[2, 0.1]]}], "grid 1: 'seed' is given twice"),
        ([{"lowrank": [None], "lowrank.ratio": [0.5]}], "grid 1: 'lowrank.ratio' lies inside 'lowrank'"),
        ([{"lowrank.ratio": [1.5]}], "grid 1: 'lowrank.ratio' is 1.5: input should be less than or equal to 1"),
        ([{"train.optimizer": ["moun"]}], "grid 1: 'train.optimizer': there is no 'moun'; did you mean 'muon'?"),
        (
            [{"train.optimizer_options.momentum": [0.9]}],
            "grid 1: 'train.optimizer_options': optimizer 'adamw' has no option 'momentum'; it has none",
        ),
        (
            [{"train.optimizer": ["muon"], "train.optimizer_options.momentun": [0.9]}],
            "optimizer 'muon' has no option 'momentun'; did you mean 'momentum'?",
        ),
        (
            [{"train.optimizer": ["muon"], "train.optimizer_options.momentum": [1.5]}],
            "grid 1: 'train.optimizer_options': 'momentum' is 1.5, but must be from 0 to 0.999",
        ),
        (
            [{"train.optimizer": ["muon"], "train.optimizer_options.iterations": [2.5]}],
            "'iterations' is 2.5, but must be a whole number",
        ),
        ([{"model.heads": [5]}], "grid 1: 'model': 'dim' must be a multiple of 'heads', got 16 and 5"),
        (
            [{"corpus.name": ["a", "b"]}],
            "grid 1: 'corpus.name' cannot be an axis: runs are compared within one corpus; study",
        ),
        ([{"corpus": [{"kind": "manifest"}]}], "grid 1: 'corpus' cannot be an axis"),
        ([{"scale": ["tiny"]}], "grid 1: 'scale' cannot be an axis: runs are compared within one scale"),
        ([{"seed": [1], "task, train.lr": [["vsr", 1.0]]}], "grid 1: 'task' cannot be an axis"),
        (
            [{"seed": list(range(1000)), "train.lr": [1.0] * 1000, "train.clip": [1.0] * 1000}],
            "grid 1: its axes make 1e+09 runs; a study has at most 10000",
        ),
        ([{"train.lr": [1e300]}], "grid 1: 'train.lr' is 1e+300: input should be less than or equal to 10"),
    ],
)
def test_a_wrong_grid_is_refused_with_its_file_and_number(load, grids, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load(grids)
    assert "sizes.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ({"study": "size"}, "no study 'size' in .*studies; did you mean 'sizes'?"),
        ({"corpus": "fev"}, "no corpus 'fev' in .*corpora; did you mean 'few'?"),
        ({"scale": "nan0"}, "no preset 'nan0-asr' in .*presets; did you mean 'nano-asr'?"),
        ({"task": "vsr", "scale": "x"}, "no preset 'x-vsr' in .*presets; known: nano-asr"),
    ],
)
def test_a_missing_file_is_refused_with_the_nearest_name(load, project, message):
    with pytest.raises(ValueError, match=message):
        load([{}], **project)


def test_a_preset_with_low_rank_or_unknown_parts_is_refused(load, monkeypatch):
    monkeypatch.setitem(nano.PRESET, "lowrank", {"ratio": 0.5})
    with pytest.raises(ValueError, match=r"nano-asr.yaml: 'lowrank' is set, but a preset is the dense baseline"):
        load([{}])
    monkeypatch.setitem(nano.PRESET, "corpus", {})
    with pytest.raises(ValueError, match=r"nano-asr.yaml: unknown key 'corpus'"):
        load([{}])


def test_a_preset_may_be_like_another_one_but_for_some_fields():
    (short, long) = (expand.preset_run(f"{scale}-asr", folder=SHIPPED) for scale in ("tiny", "tiny_long"))
    train = short.train.model_copy(update={"steps": 3000, "snapshots": 30})
    assert long == short.model_copy(update={"scale": "tiny_long", "train": train}) and long != short


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ("nano-asr", None),
        ("tiny-avsr", "'like' is 'tiny-avsr'; give a preset of task 'asr'"),
        (["nano-asr"], r"'like' is \['nano-asr'\]; give a preset of task 'asr'"),
        ("nanu-asr", "'like': no preset 'nanu-asr' in .*; did you mean 'nano-asr'?"),
        ("mine-asr", "'like' is 'mine-asr', which is like another one itself; name that one"),
    ],
)
def test_what_a_preset_cannot_be_like_is_refused_in_one_line(tmp_path, like, message):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/nano-asr.yaml").write_text(yaml.safe_dump(nano.PRESET))
    (tmp_path / "presets/mine-asr.yaml").write_text(yaml.safe_dump({"like": like, "train": {"lr": 1.5}}))
    if message is None:
        assert expand.preset_run("mine-asr", folder=tmp_path).train.lr == 1.5
    else:
        with pytest.raises(ValueError, match=f"mine-asr.yaml: {message}"):
            expand.preset_run("mine-asr", folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("kind: synthtic", "'kind' is 'synthtic'; did you mean 'synthetic'?"),
        ("kind: [1]", r"'kind' is \[1\]; known: synthetic, manifest"),
        ("grammar: commands", "'kind' is None; known: synthetic, manifest"),
        ("kind: manifest\nroot: /data", "unknown key 'root'"),
        ("kind: manifest\nkind: manifest", "line 2 key 'kind' is given twice"),
        ("", "must be a mapping of keys to values"),
        ("- kind", "must be a mapping of keys to values"),
        ("1: 2", "must be a mapping of keys to values"),
        ("kind: {", r"mine.yaml:( line \d+)? .*expected"),
        ("kind: !!python/object:os.system x", "could not determine a constructor"),
    ],
)
def test_a_wrong_corpus_file_is_refused(tmp_path, content, message):
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora/mine.yaml").write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_corpus("mine", tmp_path)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_shipped_presets_and_corpora_are_all_valid():
    """The studies have a file of tests of their own."""
    scales = [path.stem.removesuffix("-asr") for path in (SHIPPED / "presets").glob("*-asr.yaml")]
    assert {"demo", "tiny", "mini", "paper"} <= set(scales)
    corpora = [path.stem for path in (SHIPPED / "corpora").glob("*.yaml")]
    base = read_yaml(SHIPPED / "config.yaml")
    for scale, corpus in itertools.product(scales, corpora):
        project = parse(Project, base | {"scale": scale, "corpus": corpus}, "config.yaml")
        if load_corpus(corpus, SHIPPED).only_tests:
            with pytest.raises(ValueError, match=f"corpus '{corpus}' has a test split alone"):
                expand.load(project, SHIPPED)
            continue
        assert any(experiment.cell == "dense" for experiment in expand.load(project, SHIPPED)), (scale, corpus)


def test_the_demo_study_shows_targets_ratios_initialisations_and_mappings():
    project = parse(Project, read_yaml(SHIPPED / "config.yaml"), "config.yaml")
    lowranks = [e.run.lowrank for e in expand.load(project, SHIPPED) if e.run.lowrank is not None]
    assert len(lowranks) >= 5
    for field in ("targets", "ratio", "init", "mapping"):
        assert len({getattr(lowrank, field) for lowrank in lowranks}) > 1, field


def test_what_is_off_is_written_nowhere(make_run):
    run = make_run(train__augment=None)
    assert "augment" not in json.loads(canonical_json(run))["train"]


def test_a_thousand_runs_are_expanded_in_seconds(load):
    experiments = load([{"lowrank.ratio": [i / 100 for i in range(1, 51)], "seed": list(range(20))}])
    assert len(set(names(experiments))) == 1000


def test_overlay_leaves_its_base_alone():
    base = {"a": {"b": {"c": 1}}}
    assert overlay(base, {"a.b.c": 2, "a.d": 3}, "x") == {"a": {"b": {"c": 2}, "d": 3}}
    assert base == {"a": {"b": {"c": 1}}}


VALID = {"conditions": {"asr": {"valid": {"split": "valid"}, "clean": {"split": "test"}}}}
RATES = {"train.lr": [0.003, 0.001], "seed": [1, 2]}


def test_a_grid_may_be_of_one_preset_only(load, tmp_path):
    load([{}])
    (tmp_path / "presets/nana-asr.yaml").write_text("")
    more = {"presets": {"nano-asr": [{"model.dim": [32]}], "nana-asr": [{"model.dim": [48]}]}}
    dense, wide = load([{}], more=more)
    assert (dense.cell, wide.cell, wide.axes) == ("dense", "dim32", {"model.dim": 32})


def test_a_preset_that_is_like_another_one_has_its_cells_too(load, tmp_path):
    load([{}])  # writes the preset nano-asr
    (tmp_path / "presets/mine-asr.yaml").write_text("{like: nano-asr, train: {steps: 9}}\n")
    more = {"presets": {"nano-asr": [{"model.dim": [32]}]}}
    own, like = (load([{}], more=more, scale=scale) for scale in ("nano", "mine"))
    assert [one.cell for one in own] == [one.cell for one in like] == ["dense", "dim32"]
    assert like[1].run.train.steps == 9


def test_a_study_without_training_says_so_of_every_run(load):
    assert not any(e.trained for e in load([LOWRANK], more={"training": False}))
    assert all(e.trained for e in load([LOWRANK]))


def test_nuisance_values_share_a_cell_and_change_no_name(load):
    plain = load([RATES, LOWRANK | RATES])
    chosen = load([RATES, LOWRANK | RATES], more={"nuisance": ["train.lr"]}, **VALID)
    assert names(chosen) == names(plain)
    assert [e.cell for e in plain if e.run.seed == 1 and e.run.lowrank is None] == ["dense", "lr0.001"]
    assert {e.cell for e in chosen} == {"dense", "encoder.attention-0.5", "encoder.attention-0.25"}
    assert [e.nuisance for e in chosen[:4:2]] == [{"train.lr": 0.003}, {"train.lr": 0.001}]


@pytest.mark.parametrize(
    ("more", "conditions", "message"),
    [
        ({"presets": {"nano-arr": [{}]}}, {}, "'presets': no preset 'nano-arr' in .*; did you mean 'nano-asr'?"),
        ({"presets": {"nano-asr": [{"model.dimm": [1]}]}}, {}, "presets.nano-asr grid 1: unknown key 'model.dimm'"),
        ({"preset": {}}, {}, "unknown key 'preset'; did you mean 'presets'?"),
        ({"nuisance": ["train.rl"]}, VALID, "'nuisance' names 'train.rl', which no grid varies; .* 'train.lr'?"),
        ({"nuisance": ["seed"]}, VALID, "'nuisance' names 'seed', which no grid varies; varied: train.lr"),
        ({"nuisance": ["train.lr"], "training": False}, VALID, "'nuisance' needs training, but 'training' is false"),
        ({"nuisance": ["train.lr"]}, {}, "no condition in 'conditions.asr' uses it; add valid: {split: valid}"),
        ({"training": "no"}, {}, "'training' is \"no\": input should be a valid boolean"),
    ],
)
def test_wrong_further_keys_are_refused_in_one_line(load, more, conditions, message):
    with pytest.raises(ValueError, match=message) as caught:
        load([RATES], more=more, **conditions)
    assert str(caught.value).count("sizes.yaml") == 1
    assert "\n" not in str(caught.value)


def test_nuisance_values_compare_on_the_same_seeds(load):
    message = "cell 'dense' has seeds 1, 2 with train.lr 0.003 but 1 with train.lr 0.001"
    with pytest.raises(ValueError, match=re.escape(message)):
        load([{"seed": [1, 2]}, {"train.lr": [0.001]}], more={"nuisance": ["train.lr"]}, **VALID)


def test_what_is_left_out_of_a_run_makes_no_difference_to_the_rest(make_run):
    plain, other = make_run(), make_run(train__lr=0.5, seed=7)
    assert fields.without(plain, ["train.lr"]) == fields.without(other, ["train.lr"])
    assert fields.without(plain, []) != fields.without(other, [])
    assert fields.without(plain, ["lowrank.init"]) == fields.without(plain, [])
