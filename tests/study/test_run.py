"""Facts about configuration: what is refused and in which words, and that a run's digest is its content's."""

import json

import nano
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsms.base import strict
from lrsms.base.strict import canonical_json, parse
from lrsms.study.lowrank import LowRank
from lrsms.study.project import Project
from lrsms.study.run import MODALITIES, Run


def content(**train) -> dict:
    return {
        "scale": "nano",
        "task": "asr",
        "corpus": {**nano.CORPUS, "name": "few"},
        **nano.PRESET,
        "train": nano.PRESET["train"] | train,
    }


def refusal(model, data) -> str:
    with pytest.raises(ValueError) as caught:
        parse(model, data, "file.yaml")
    message = str(caught.value)
    assert message.startswith("file.yaml: ")
    assert "\n" not in message
    return message.removeprefix("file.yaml: ")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.lrr", 1e-3, "unknown key 'train.lrr'; did you mean 'train.lr'?"),
        ("model.dims", 16, "unknown key 'model.dims'; did you mean 'model.dim'?"),
        ("ratio", 0.5, "unknown key 'ratio'; did you mean 'lowrank.ratio'?"),
        ("lr", 1e-3, "unknown key 'lr'; did you mean 'train.lr'?"),
        ("trian", {}, "unknown key 'trian'; did you mean 'train'?"),
        ("zzz", 1, "unknown key 'zzz'; known: scale, task, corpus, tokenizer, model, lowrank, train, seed"),
        ("corpus.sed", 1, "unknown key 'corpus.sed'; did you mean 'corpus.seed'?"),
        (
            "train.augment.time_mask",
            1,
            "unknown key 'train.augment.time_mask'; did you mean 'train.augment.time_masks'?",
        ),
        ("train.lr", "fast", "'train.lr' is \"fast\": input should be a valid number"),
        ("train.lr", True, "'train.lr' is true: input should be a valid number"),
        ("model.dim", 16.0, "'model.dim' is 16.0: input should be a valid integer"),
        ("model.dim", "16", "'model.dim' is \"16\": input should be a valid integer"),
        ("seed", None, "'seed' is null: input should be a valid integer"),
        ("train.betas", [0.9, 1.0], "'train.betas.1' is 1.0: input should be less than 1"),
        ("train.betas", [0.9], "'train.betas' has too few values: number 2 is missing"),
        ("train.lr", 0, "'train.lr' is 0: input should be greater than 0"),
        ("train.precision", "float16", "'train.precision' is \"float16\": input should be 'float32' or 'bfloat16'"),
        ("corpus.grammar", "song", "'corpus.grammar' is \"song\": input should be 'commands' or 'sentences'"),
        ("corpus.name", "a-b", "'corpus.name' is \"a-b\": must be letters, digits, '_' and '.' without a dash"),
        ("model.heads", 3, "'model': 'dim' must be a multiple of 'heads', got 16 and 3"),
        ("model.kernel", 4, "'model': 'kernel' must be odd, got 4"),
        ("model.mels", None, "'model': 'mels' is needed by, and only by, frontend 'logmel'"),
        ("model.decoder_layers", 0, "'train.ctc_weight' must be 1 where 'model.decoder_layers' is 0"),
        ("tokenizer.pieces", 100, "'tokenizer': 'pieces' is needed by, and only by, the kinds 'unigram' and 'given'"),
        ("train.epochs", 3, "'train': give exactly one of 'steps' and 'epochs'"),
        ("train.average", 5, "'train': 'average' (5) exceeds 'snapshots' (4)"),
        ("train.steps", 3, "'train': 'snapshots' (4) exceeds 'steps' (3)"),
        ("train.lr", 1e300, "'train.lr' is 1e+300: input should be less than or equal to 10"),
        ("train.lr", 1e-300, "'train.lr': 1e-300 is too small; it must be at least 1e-09"),
        ("train.clip", 0, "'train.clip' is 0: input should be greater than 0"),
        ("train.clip", 1e-300, "'train.clip': 1e-300 is too small; it must be at least 1e-06"),
        ("train.weight_decay", 1e9, "'train.weight_decay' is 1000000000.0: input should be less than or equal to 100"),
        ("train.steps", 10**12, "'train.steps' is 1000000000000: input should be less than or equal to 100000000"),
        ("train.group_frames", 10**9, "'train.group_frames' is 1000000000: input should be less than or equal to"),
        ("train.groups_per_step", 10**6, "'train.groups_per_step' is 1000000: input should be less than or equal to"),
        ("train.augment.time_width", 5, "'train.augment.time_width' is 5: input should be less than or equal to 2"),
        (
            "train.augment.video_width",
            5.0,
            "'train.augment.video_width' is 5.0: input should be less than or equal to 2",
        ),
        (
            "train.augment.time_masks",
            1e6,
            "'train.augment.time_masks' is 1000000.0: input should be less than or equal",
        ),
        ("train.augment.mel_width", 21, "'train.augment.mel_width' (21) exceeds 'model.mels' (20)"),
        ("model.layers", 10**6, "'model.layers' is 1000000: input should be less than or equal to 1000"),
        (
            "model.decoder_layers",
            10**6,
            "'model.decoder_layers' is 1000000: input should be less than or equal to 1000",
        ),
        ("model.kernel", 10_001, "'model.kernel' is 10001: input should be less than or equal to 255"),
        ("model.mels", 10**6, "'model.mels' is 1000000: input should be less than or equal to 1000"),
        ("model.dim", 2 * 10**9, "'model.dim' is 2000000000: input should be less than or equal to 100000"),
        ("model.feedforward", 10**9, "'model.feedforward' is 1000000000: input should be less than or equal to 100000"),
        ("tokenizer", {"kind": "unigram", "pieces": 10**9}, "'tokenizer.pieces' is 1000000000: input should be less"),
        ("seed", int("12345678901234567890123456"), "'seed' is 12345678901234567890123456: input should be less than"),
        ("seed", 10**500, "'seed' has more than 100 digits"),
        ("corpus.train", 10**12, "'corpus.train' is 1000000000000: input should be less than or equal to 10000000"),
        ("corpus.snr", [0.0, 1e9], "'corpus.snr.1' is 1000000000.0: input should be less than or equal to 100"),
        ("scale", "x" * 51, f"'scale' is \"{'x' * 51}\": string should have at most 50 characters"),
        ("scale", "\x1b[31mdemo", "'scale' holds the control character U+001B; remove it"),
        ("train.\x1b[31m", 1, r"key 'train.\x1b[31m' holds the control character U+001B; remove it"),
    ],
)
def test_what_is_wrong_is_one_line_with_key_value_and_remedy(path, value, message):
    data = json.loads(json.dumps(content()))
    *sections, leaf = path.split(".")
    target = data
    for section in sections:
        target = target[section]
    target[leaf] = value
    assert refusal(Run, data).startswith(message)


START = "0123456789abcdef"
LOW_RANK = {"targets": ["encoder.attention"], "ratio": 0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"init_from": "weights.pth"},
            "'init_from' is \"weights.pth\": must be 16 digits (0-9, a-f), as 'import' prints them",
        ),
        ({"init_from": 1234567890123456}, "'init_from' is 1234567890123456: input should be a valid string"),
        (
            {"init_from": START, "lowrank": LOW_RANK | {"init": "random"}},
            "'lowrank.init' is 'random', whose factors",
        ),
        ({"init_from": START, "lowrank": LOW_RANK | {"init": "matched"}}, "'lowrank.init' is 'matched', whose factors"),
        ({"init_from": START, "lowrank": LOW_RANK | {"method": {"name": "cola"}}}, "'lowrank.method' is 'cola', whose"),
        (
            {"tokenizer": {"kind": "given", "pieces": 9}},
            "'tokenizer': 'sha256' is needed by, and only by",
        ),
        ({"tokenizer": {"kind": "characters", "sha256": START}}, "'tokenizer': 'sha256' is needed by, and only by"),
    ],
)
def test_what_cannot_begin_from_trained_weights_is_refused(changes, message):
    assert refusal(Run, json.loads(json.dumps(content())) | changes).startswith(message)


@pytest.mark.parametrize("method", [None, {"name": "warmup", "share": 0.5}, {"name": "lost"}, {"name": "self_guided"}])
def test_methods_that_keep_something_of_the_matrices_begin_from_them(method):
    data = json.loads(json.dumps(content())) | {"init_from": START, "lowrank": LOW_RANK | {"method": method}}
    data["train"]["average"] = 1
    assert parse(Run, data, "x").init_from == START


def test_no_steps_are_for_weights_that_are_there():
    data = json.loads(json.dumps(content()))
    data["train"] |= {"steps": 0, "snapshots": 1, "average": 1}
    assert refusal(Run, data).startswith("'train.steps' is 0, which is for weights of 'init_from'")
    run = parse(Run, data | {"init_from": START}, "x")
    assert run.train.snapshot_steps(0) == [0] and run.changes_at(0) == []
    data["train"] |= {"snapshots": 2}
    assert "'snapshots' (2) exceeds 'steps' (0)" in refusal(Run, data | {"init_from": START})
    warming = data | {"init_from": START, "lowrank": LOW_RANK | {"method": {"name": "warmup", "share": 0.5}}}
    warming["train"] |= {"snapshots": 1}
    assert "each of its phases needs a step" in refusal(Run, warming)


def test_a_missing_key_is_named():
    data = content()
    del data["train"]
    assert refusal(Run, data) == "key 'train' is missing"


def test_a_misspelt_key_is_named_before_the_key_that_it_leaves_missing():
    data = content(lrr=1e-3)
    del data["train"]["lr"]
    assert refusal(Run, data) == "unknown key 'train.lrr'; did you mean 'train.lr'?"


@pytest.mark.parametrize("data", [None, 3, "text", [content()], {"scale": {1, 2}}, {"seed": float("nan")}])
def test_what_is_no_mapping_of_plain_data_is_refused(data):
    refusal(Run, data)


def test_a_network_that_no_machine_holds_is_refused():
    data = content()
    data["model"] = data["model"] | {"layers": 1000, "dim": 50_000, "feedforward": 100_000}
    assert "make more than 8e+12 weights; at most 1e+11" in refusal(Run, data)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        ({"beam": 10**6}, "'decoders.it.beam' is 1000000: input should be less than or equal to 1000"),
        ({"length_bonus": 1e300}, "'decoders.it.length_bonus' is 1e+300: input should be less than or equal to 1000"),
    ],
)
def test_a_search_that_never_ends_is_refused(decoder, message):
    decoders = {"it": {"kind": "beam", "beam": 8, "ctc_weight": 0.5, "length_bonus": 0.0} | decoder}
    assert refusal(Project, nano.PROJECT | {"decoders": decoders}).startswith(message)


def test_a_ratio_of_noise_that_none_hears_is_refused():
    noisy = {"split": "test", "noise": "white", "snr": 1e9}
    message = refusal(Project, nano.PROJECT | {"conditions": {"asr": {"it": noisy}}})
    assert message.startswith("'conditions.asr.it.snr' is 1000000000.0: input should be less than or equal to 100")


def shared(depth: int) -> list:
    """Ten to the power of ``depth`` values, which share their memory."""
    data: list = ["x"] * 10
    for _ in range(depth):
        data = [data] * 10
    return data


def test_what_holds_itself_or_is_written_out_without_end_is_refused_at_once():
    endless: list = []
    endless.append(endless)
    assert "more than 50 lists or mappings inside one another" in refusal(Run, {"scale": endless})
    assert "more than 200,000 values" in refusal(Run, {"scale": shared(9)})
    assert "more than 200,000 values" in refusal(Run, {"scale": ["x" * 1_000_000] * 1000})


@pytest.mark.parametrize("ratio", [0, -0.1, 1.0001, 2, "0.5", None])
def test_a_ratio_outside_0_1_is_refused(ratio):
    assert "'ratio' is" in refusal(LowRank, {"ratio": ratio})


@given(st.floats(0, 1, exclude_min=True))
def test_every_ratio_in_0_1_is_accepted(ratio):
    assert parse(LowRank, {"ratio": ratio}, "x").ratio == ratio


@pytest.mark.parametrize(
    ("lowrank", "message"),
    [
        ({"ratio": 0.5, "targets": []}, "'targets' is []"),
        ({"ratio": 0.5, "mapping": "linear"}, "'slope' is needed by, and only by, mapping 'linear'"),
        ({"ratio": 0.5, "slope": 0.5}, "'slope' is needed by, and only by, mapping 'linear'"),
        ({"ratio": 0.5, "mapping": "linear", "slope": 1}, "'slope' is 1"),
        ({"ratio": 0.5, "mapping": "explicit"}, "'ratios' is needed by, and only by, mapping 'explicit'"),
        ({"ratio": 0.5, "mapping": "explicit", "ratios": [0.5, 0.7]}, "'ratios' average 0.6 but 'ratio' is 0.5"),
    ],
)
def test_a_mapping_has_its_parameters_and_no_others(lowrank, message):
    assert refusal(LowRank, lowrank).startswith(message)


def test_a_whole_number_stands_for_a_float():
    assert parse(Run, content(lr=1), "x").digest == parse(Run, content(lr=1.0), "x").digest


def test_configuration_is_frozen(make_run):
    with pytest.raises(ValueError):
        make_run().seed = 2


FINISHED = """{
 "scale": "demo", "task": "asr", "corpus": {"kind": "manifest", "name": "speech"}, "tokenizer": {"kind": "characters"},
 "model": {"frontend": "logmel", "mels": 64, "channels": 16, "dim": 96, "heads": 4, "feedforward": 384, "layers": 3,
  "kernel": 15, "decoder_layers": 1, "dropout": 0.05, "initialiser": "default"},
 "lowrank": {"targets": ["encoder.attention"], "ratio": 0.25, "mapping": "linear", "slope": 0.5},
 "train": {"steps": 400, "group_frames": 1200, "groups_per_step": 1, "lr": 0.003, "betas": [0.9, 0.98],
  "weight_decay": 0.01, "warmup": 0.1, "clip": 5.0, "ctc_weight": 0.7, "label_smoothing": 0.1, "precision": "float32",
  "snapshots": 10, "average": 3, "augment": {"time_masks": 0.5, "time_width": 0.2, "mel_masks": 1, "mel_width": 12}},
 "seed": 3}"""


def test_the_names_of_finished_runs_never_change():
    """Where this fails, every finished run would be trained again: undo the change or raise RESULTS_VERSION."""
    run = parse(Run, json.loads(FINISHED), "x")
    assert run.digest == "4c4e730990"
    assert run.prepared == "speech-63d9666f27"
    assert parse(Project, nano.PROJECT, "x").decoding.digest == "4cf4cad5"


def test_the_digest_depends_on_every_field_but_not_on_how_it_is_written(make_run):
    run = make_run(lowrank__ratio=0.5)
    variants = [
        make_run(lowrank__ratio=0.25),
        make_run(lowrank__ratio=0.5, seed=2),
        make_run(lowrank__ratio=0.5, train__lr=0.1),
        make_run(lowrank__ratio=0.5, corpus__seed=2),
        make_run(lowrank__ratio=0.5, train__augment=None),
        make_run(),
    ]
    assert len({run.digest, *(variant.digest for variant in variants)}) == 7
    reordered = {key: run.model_dump(mode="json")[key] for key in reversed(Run.model_fields)}
    assert parse(Run, reordered, "x").digest == run.digest


def test_none_is_left_out_of_the_digest_at_every_depth():
    bare = {"a": 1, "b": {"c": 2}}
    assert canonical_json(bare | {"d": None, "b": {"c": 2, "e": None}}) == '{"a":1,"b":{"c":2}}'


def test_none_is_the_same_as_a_field_that_is_not_there(make_run):
    run = make_run()
    assert make_run(lowrank=None, train__epochs=None).digest == run.digest
    full = run.model_dump(mode="json")
    assert "lowrank" in full
    assert parse(Run, full, "x").digest == run.digest


def test_the_results_version_is_part_of_every_digest(monkeypatch, make_run):
    before = make_run().digest
    monkeypatch.setattr(strict, "RESULTS_VERSION", -1)
    assert make_run().digest != before


def test_runs_of_one_corpus_and_tokenizer_share_what_is_prepared(make_run):
    prepared = make_run().prepared
    assert prepared.startswith("few-")
    assert make_run(seed=2, lowrank__ratio=0.5, model__dim=32).prepared == prepared
    assert make_run(corpus__seed=2).prepared != prepared
    assert make_run(tokenizer={"kind": "unigram", "pieces": 60}).prepared != prepared


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("decoders", {}, "'decoders' is {}"),
        ("conditions", {}, "'conditions' has none for task 'asr'"),
        ("conditions", {"asr": {}}, "'conditions.asr' is {}"),
        ("conditions", {"as": {}}, "'conditions.as"),
        ("conditions", {"asr": {"a": {"split": "test", "noise": "babble"}}}, "'conditions.asr.a': 'noise' and 'snr'"),
        (
            "conditions",
            {"asr": {"a": {"split": "test"}}, "vsr": {"b": {"split": "test", "noise": "white", "snr": 0}}},
            "'conditions.vsr.b.noise' is for audio, which 'vsr' does not have",
        ),
        (
            "conditions",
            {"asr": {"a": {"split": "test", "without": "video"}}},
            "'conditions.asr.a.without' is for task 'avsr'",
        ),
        (
            "conditions",
            {"avsr": {"a": {"split": "test", "without": "audio", "noise": "white", "snr": 0}}},
            "'conditions.avsr.a': 'noise' is for audio, which 'without' removes",
        ),
        ("decoders", {"a": {"kind": "greedy", "beam": 3}}, "'decoders.a': 'beam', 'ctc_weight' and 'length_bonus'"),
        ("decoders", {"a": {"kind": "beam", "beam": 3}}, "'decoders.a': 'beam', 'ctc_weight' and 'length_bonus'"),
        ("decoders", {"a": {"kind": "greed"}}, "'decoders.a.kind' is \"greed\""),
        ("conditions", {"asr": {"a": {"split": "train"}}}, "'conditions.asr.a.split' is \"train\""),
        ("decoders", {"a-b": {"kind": "greedy"}}, "'decoders.a-b"),
        ("study", "../other", "'study' is \"../other\""),
        ("scales", "demo", "unknown key 'scales'; did you mean 'scale'?"),
    ],
)
def test_a_project_is_as_strict(key, value, message):
    assert refusal(Project, nano.PROJECT | {key: value}).startswith(message)


def test_the_decoding_digest_depends_on_settings_and_not_on_the_study():
    def digest(**changes):
        return parse(Project, nano.PROJECT | changes, "x").decoding.digest

    assert digest(study="other", scale="mini", roots={"a": "/b"}) == digest()
    assert digest(conditions={"asr": {"clean": {"split": "valid"}}}) != digest()
    assert digest(decoders={"greedy": {"kind": "greedy"}}) != digest()
    others = nano.PROJECT["conditions"] | {"avsr": {"dark": {"split": "test", "without": "video"}}}
    assert digest(conditions=others) == digest(), "another task's conditions are nothing to this one"


def make(task, path="", value=None, **changes):
    """A run of a task, with one dotted field set."""
    corpus = {**nano.CORPUS, "name": "few"}
    data = {"scale": "nano", "task": task, "corpus": corpus, **json.loads(json.dumps(nano.PRESETS[task])), **changes}
    if path:
        section, leaf = path.split(".") if path.count(".") == 1 else path.rsplit(".", 1)
        target = data
        for part in section.split("."):
            target = target[part]
        target[leaf] = value
    return data


@pytest.mark.parametrize("task", ["asr", "vsr", "avsr"])
def test_each_task_has_its_own_prepared_corpus(task):
    run = parse(Run, make(task), "x")
    assert run.model.modalities == MODALITIES[task]
    others = [parse(Run, make(other), "x") for other in nano.PRESETS if other != task]
    assert run.prepared not in {other.prepared for other in others}


@pytest.mark.parametrize(
    ("task", "path", "value", "message"),
    [
        ("asr", "task", "vsr", "'task' is vsr, of video, but 'model' is of audio"),
        ("avsr", "task", "asr", "'task' is asr, of audio, but 'model' is of audio and video"),
        ("avsr", "model.fusion", None, "'model': 'fusion' is needed by, and only by, a model of both audio and video"),
        ("vsr", "model.fusion", 8, "'model': 'fusion' is needed by, and only by, a model of both audio and video"),
        ("vsr", "model.channels", 8, "'model': 'channels' is needed by, and only by, an audio 'frontend'"),
        ("asr", "model.video_shrink", 2, "'model': 'video_shrink' is only for a model with 'video_channels'"),
        ("vsr", "model.video_shrink", 89, "'model.video_shrink' is 89: input should be less than or equal to 88"),
        ("vsr", "model.video_channels", None, "'model': give 'frontend' (audio), 'video_channels' (video) or both"),
        ("vsr", "train.noise", {"kind": "white", "snrs": [0]}, "'train.noise' is for audio, which task 'vsr'"),
        ("asr", "train.modality_dropout", 0.1, "'train.modality_dropout' is for task 'avsr', got 'asr'"),
        ("avsr", "train.noise.snrs", ["loud"], "'train.noise.snrs.0"),
        ("avsr", "train.augment.video_width", None, "'train.augment': 'video_masks' and 'video_width'"),
        ("asr", "train.augment.flip", True, "'train.augment.video_masks' and 'flip' are for video, which task 'asr'"),
        ("vsr", "train.augment.time_masks", 1.0, "'train.augment.time_masks' masks audio, which task 'vsr'"),
        ("vsr", "train.augment.mel_masks", 1, "'train.augment.mel_masks' must be 0 without frontend 'logmel'"),
    ],
)
def test_a_model_fits_its_task(task, path, value, message):
    data = make(task, path, value) if "." in path else make(task) | {path: value}
    assert refusal(Run, data).startswith(message)


def test_librispeech_is_not_seen():
    corpus = {"kind": "librispeech", "name": "ls", "train": ["a"], "valid": ["b"], "test": ["c"]}
    assert refusal(Run, make("vsr", corpus=corpus)) == "'task' is vsr, but corpus 'ls' has no video; use asr"
