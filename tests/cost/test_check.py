"""Facts about checks before any job: what would fail later is named at once, and a large study is checked quickly."""

import json
import re
import shutil
import time
from pathlib import Path

import nano
import pytest
import yaml

from lrsms.__main__ import main
from lrsms.base.strict import parse
from lrsms.cost.check import check_runs
from lrsms.data.prepare import listing
from lrsms.study import expand
from lrsms.study.corpus import Manifest
from lrsms.study.project import Project


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Runs the verb on a study of the given grids; returns its error, if any."""
    monkeypatch.chdir(tmp_path)

    def check(grids, preset=None, corpus=None, options=(), **project):
        for name, content in (
            ("presets/nano-asr", nano.PRESET | (preset or {})),
            ("corpora/few", corpus or nano.CORPUS),
            ("studies/sizes", {"question": "What?", "grids": grids}),
        ):
            path = tmp_path / f"workflow/config/{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, sort_keys=False))
        status = main(["check", "--project", json.dumps(nano.PROJECT | project), *map(str, options)])
        out, err = capsys.readouterr()
        assert not out
        assert status == bool(err)
        assert len(err.splitlines()) <= 1
        return err.strip()

    return check


def test_a_sound_study_says_nothing(check):
    assert check(nano.STUDY["grids"]) == ""


@pytest.mark.parametrize(
    ("lowrank", "message"),
    [
        (
            {"targets": ["encoder.atention"]},
            "'lowrank.targets': 'encoder.atention' matches no matrix; did you mean 'encoder",
        ),
        ({"targets": ["fusion"]}, "'lowrank.targets': 'fusion' matches no matrix"),
        (
            {"ratio": 0.9, "mapping": "linear", "slope": 0.5},
            r"'lowrank.mapping': .* would have rank \d+ at layer 1, outside",
        ),
        (
            {"ratio": 0.5, "mapping": "explicit", "ratios": [0.5] * 3},
            "'lowrank.ratios' has 3 values, but .* has 2 layers",
        ),
        ({"targets": ["decoder.feedforward"], "qkv": "fused"}, "'lowrank.qkv' is 'fused', but the targets"),
    ],
)
def test_a_plan_that_cannot_be_made_is_named_with_its_run(check, lowrank, message):
    error = check([{}, {"lowrank": [{"ratio": 0.5} | lowrank]}])
    assert re.match(rf"error: run '\S+': {message}", error), error


def test_a_decoder_that_the_model_lacks_is_named(check):
    error = check([{"model.decoder_layers, train.ctc_weight": [[0, 1]]}])
    problem = "'decoders.beam.ctc_weight' is 0.4, but 'model.decoder_layers' is 0; use 1"
    assert error == f"error: run 'decoder_layers0-ctc_weight1.0': {problem}"


def test_too_many_mel_bands_are_refused(check):
    error = check([{"model.mels": [400]}])
    assert error.startswith("error: run 'mels400': 'mels' is 400: a band has no frequency")


def test_a_corpus_that_cannot_be_rendered_is_refused(check):
    error = check([{}], corpus=nano.CORPUS | {"train_voices": 10**6})
    assert error.startswith("error: corpus 'few': 'train_voices' is 1000000, at most")


def manifest(root: Path, *lines: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "a.wav").touch()
    (root / "manifest.tsv").write_text("\n".join(["id\tsplit\taudio\tvideo\tspeaker\ttext", *lines, ""]))
    return root


def test_a_root_that_is_missing_empty_or_malformed_is_refused(check, tmp_path):
    def error(**roots):
        return check([{}], corpus={"kind": "manifest"}, roots=roots)

    assert error().startswith("error: roots.few: not set; give the folder")
    assert "absent is not a folder" in error(few=str(tmp_path / "absent"))
    assert "~/absent is not a folder, since '~' is not expanded" in error(few="~/absent")
    (tmp_path / "empty").mkdir()
    assert "empty is empty" in error(few=str(tmp_path / "empty"))
    root = manifest(tmp_path / "real", "a\ttrain\t../a.wav\t\ts\thi")
    assert "manifest.tsv" in error(few=str(root))
    manifest(root, *(f"{split}\t{split}\ta.wav\t\ts\thi" for split in ("train", "valid", "test")))
    assert "must not share a recording" in error(few=str(root))


def test_a_corpus_is_not_asked_for_where_it_is_prepared_or_no_run_needs_it(check, tmp_path):
    missing = {"corpus": {"kind": "manifest"}}
    assert check([{}], **missing).startswith("error: roots.few")
    project = parse(Project, nano.PROJECT, "x")
    (experiment,) = expand.load(project, tmp_path / "workflow/config")
    corpus = tmp_path / "corpora" / experiment.run.prepared / "corpus.json"
    corpus.parent.mkdir(parents=True)
    corpus.touch()
    assert check([{}], options=["--corpora", tmp_path / "corpora"], **missing) == ""
    scores = tmp_path / "records" / experiment.name / f"scores-{project.decoding.digest}.csv.gz"
    scores.parent.mkdir(parents=True)
    scores.touch()
    assert check([{}], options=["--records", tmp_path / "records"], **missing) == ""


def test_a_thousand_runs_are_checked_in_seconds(check, tmp_path):
    ratios = [number / 100 for number in range(1, 51)]
    assert check([{"lowrank.ratio": ratios, "seed": list(range(20))}]) == ""
    experiments = expand.load(parse(Project, nano.PROJECT, "x"), tmp_path / "workflow/config")
    assert len(experiments) == 1000
    began = time.process_time()
    check_runs(experiments, parse(Project, nano.PROJECT, "x").decoding)
    assert time.process_time() - began < 5


def test_a_real_corpus_whose_lists_changed_is_not_taken_as_prepared(check, tmp_path):
    root = tmp_path / "mine"
    root.mkdir()
    header = "id\tsplit\taudio\tvideo\tspeaker\ttext\n"
    lines = "".join(f"{split}\t{split}\t{split}.wav\t\t\ta\n" for split in ("train", "valid", "test"))
    (root / "manifest.tsv").write_text(header + lines)
    settings = {"roots": {"few": str(root)}}
    assert check(nano.STUDY["grids"], corpus={"kind": "manifest"}, **settings) == ""
    project = parse(Project, nano.PROJECT | settings, "project")
    prepared = tmp_path / "results/corpora" / expand.load(project)[0].run.prepared
    prepared.mkdir(parents=True)
    corpus = Manifest(kind="manifest", name="few")
    (prepared / "corpus.json").write_text(json.dumps({"listing": listing(corpus, root)}))
    assert check(nano.STUDY["grids"], corpus={"kind": "manifest"}, **settings) == ""
    (root / "manifest.tsv").write_text(header + lines.replace("\ta\n", "\tb\n"))
    error = check(nano.STUDY["grids"], corpus={"kind": "manifest"}, **settings)
    assert f"lists other utterances or transcripts than results/corpora/{prepared.name}" in error
    shutil.rmtree(root)  # what was copied is not asked for any more
    assert check(nano.STUDY["grids"], corpus={"kind": "manifest"}, **settings) == ""


def test_weights_to_begin_from_are_looked_for_and_held_against_the_run(check, tmp_path):
    digits = "0123456789abcdef"
    grids = [{"seed": [1]}, {"init_from": [digits], "seed": [1, 2]}]
    nowhere = check(grids)
    assert nowhere.startswith(
        f"error: run 'init_from{digits}': 'init_from' is {digits}, but no folder in results/starts"
    )
    start = tmp_path / "results/starts/mine"
    model = {key: value for key, value in nano.PRESET["model"].items() if value is not None}
    source = {"kind": "run", "name": "mine", "sha256": "0" * 64}
    content = {"task": "asr", "model": model, "vocabulary": 30, "parameters": 9, "source": source}
    content |= {"weights_hash": digits + "0" * 48}
    start.mkdir(parents=True)
    (start / "start.json").write_text(json.dumps(content))
    assert "weights.safetensors: is missing" in check(grids)
    (start / "weights.safetensors").touch()
    assert check(grids) == ""
    assert "has 'model.dim' 16, but the run's has 18" in check(
        grids, preset={"model": nano.PRESET["model"] | {"dim": 18}}
    )
    assert check(grids, preset={"model": nano.PRESET["model"] | {"dropout": 0.3}}) == ""
    pieces = check(grids, preset={"tokenizer": {"kind": "unigram", "pieces": 40}})
    assert "its network knows 28 units, but 'tokenizer.pieces' of the run is 40" in pieces
    given = {"tokenizer": {"kind": "given", "pieces": 28, "sha256": digits}}
    assert f"'tokenizer.sha256' is {digits}, but no folder in results/starts" in check(grids, preset=given)
    (start / "start.json").write_text(json.dumps(content | {"vocabulary": "many"}))
    assert f"{start.relative_to(tmp_path) / 'start.json'}: 'vocabulary' is \"many\"" in check(grids)


def test_a_preset_may_begin_from_weights(check):
    digits = "0123456789abcdef"
    assert "'init_from' is" in check([{"seed": [1]}], preset={"init_from": digits})
