"""Facts about records: they hold what is needed, and only of runs that are what their name says."""

import json

import pandas
import pytest
import torch

from lrsms.decoding.decode import decode
from lrsms.methods.build import build_model
from lrsms.methods.spectra import spectra, write_spectra
from lrsms.record.curve import training_curve
from lrsms.record.decoding_times import load_times
from lrsms.record.losses import load_losses, write_losses
from lrsms.record.record import load_curve, load_run, load_spectra, write_record
from lrsms.record.run_files import losses_path
from lrsms.record.score import read_scores


@pytest.fixture
def hypotheses(trained, make_run, prepared, decoding, tmp_path):
    path = tmp_path / "hypotheses.jsonl"
    decode(make_run(), prepared, trained, path, decoding, torch.device("cpu"))
    return path


@pytest.fixture
def content(make_run, prepared):
    """Of the spectra of the run before training."""
    model, plan = build_model(make_run(), prepared.tokenizer.size)
    return spectra(model.state_dict(), plan)


def test_a_run_is_read_back_as_it_was_resolved(trained, make_run):
    assert load_run(trained) == make_run()


def test_a_record_holds_all_that_is_asked_of_it(copy, hypotheses, content, tmp_path):
    write_spectra(copy / "spectra.json", content)
    scores = tmp_path / "records/run/scores.csv.gz"
    write_record(copy, hypotheses, scores)
    names = {path.name for path in scores.parent.iterdir()}
    copied = {"config.json", "plan.json", "run.json", "spectra.json"}
    more = {"scores.loss.csv.gz", "scores.times.json", "scores.worst.json", "scores.seal.json"}
    assert names == copied | {"curve.csv", "scores.csv.gz"} | more
    for name in copied:
        assert (scores.parent / name).read_bytes() == (copy / name).read_bytes()
    assert load_spectra(scores.parent) == content
    expected = training_curve(copy / "metrics.jsonl", copy / "timings.jsonl")
    pandas.testing.assert_frame_equal(load_curve(scores.parent), expected, rtol=1e-5)
    table = read_scores(scores)
    assert len(table) == 16 and (table["alignment"].str.count("[CSD]") == table["words"]).all()
    assert sum(path.stat().st_size for path in scores.parent.iterdir()) < 50_000


def test_a_record_keeps_the_times_of_its_decoding_if_there_are_any(copy, hypotheses, tmp_path):
    scores = tmp_path / "record/scores-1.csv.gz"
    write_record(copy, hypotheses, scores)
    assert load_times(scores) == json.loads((tmp_path / "hypotheses.times.json").read_text()) != {}
    (tmp_path / "hypotheses.times.json").unlink()
    write_record(copy, hypotheses, tmp_path / "other/scores-1.csv.gz")
    assert load_times(tmp_path / "other/scores-1.csv.gz") == {}


def test_spectra_and_curve_may_be_absent(copy, hypotheses, tmp_path):
    for name in ("spectra.json", "metrics.jsonl"):
        (copy / name).unlink(missing_ok=True)
    write_record(copy, hypotheses, tmp_path / "record/scores.csv.gz")
    assert load_spectra(tmp_path / "record") is None and load_curve(tmp_path / "record") is None


def test_scoring_again_without_logs_keeps_what_is_recorded(copy, hypotheses, content, tmp_path):
    write_spectra(copy / "spectra.json", content)
    write_record(copy, hypotheses, tmp_path / "record/scores-one.csv.gz")
    for name in ("spectra.json", "metrics.jsonl", "timings.jsonl"):
        (copy / name).unlink()
    write_record(copy, hypotheses, tmp_path / "record/scores-two.csv.gz")
    assert load_spectra(tmp_path / "record") == content and len(load_curve(tmp_path / "record")) == 4
    assert (tmp_path / "record/scores-one.csv.gz").is_file()


def test_nothing_of_weights_that_were_trained_another_time_stays(copy, hypotheses, content, tmp_path):
    write_spectra(copy / "spectra.json", content)
    write_record(copy, hypotheses, tmp_path / "record/scores-one.csv.gz")
    outcome = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(outcome | {"seconds": 1.0}))
    for name in ("spectra.json", "metrics.jsonl"):
        (copy / name).unlink()
    with pytest.raises(
        ValueError, match=r"hypotheses\.jsonl: does not belong to this run\.json: .*; decode the run again"
    ):
        write_record(copy, hypotheses, tmp_path / "record/scores-two.csv.gz")
    hypotheses.with_name("hypotheses.seal.json").unlink()  # as of before there were seals
    write_record(copy, hypotheses, tmp_path / "record/scores-two.csv.gz")
    names = {path.name for path in (tmp_path / "record").iterdir()}
    of_scores = {f"scores-two.{kind}" for kind in ("csv.gz", "loss.csv.gz", "times.json", "worst.json", "seal.json")}
    assert names == {"config.json", "plan.json", "run.json"} | of_scores


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"not readable as JSON \(.*\); restore it"),
        ("[]", r"not readable as JSON \(not an object\); restore it"),
        ('{"energy": 0.9, "indices": {}}', "'matrices' is missing; restore it, or delete it to do without"),
    ],
)
def test_damaged_spectra_are_refused(tmp_path, content, message):
    (tmp_path / "spectra.json").write_text(content)
    with pytest.raises(ValueError, match=rf"spectra\.json: {message}"):
        load_spectra(tmp_path)


def test_a_diverged_run_has_a_record_without_scores(copy, tmp_path):
    outcome = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(outcome | {"status": "diverged", "diverged_at": 3}))
    (copy / "spectra.json").unlink(missing_ok=True)
    for name in ("metrics.jsonl", "timings.jsonl"):
        lines = (copy / name).read_text().splitlines(keepends=True)
        (copy / name).write_text("".join(lines[:3]))
    (tmp_path / "none.jsonl").write_bytes(b"")
    write_record(copy, tmp_path / "none.jsonl", tmp_path / "record/scores.csv.gz")
    assert read_scores(tmp_path / "record/scores.csv.gz").empty
    assert json.loads((tmp_path / "record/run.json").read_text())["diverged_at"] == 3
    assert load_spectra(tmp_path / "record") is None
    assert load_curve(tmp_path / "record")["step"].tolist() == [2, 3]


def test_torn_hypotheses_leave_no_scores(trained, hypotheses, tmp_path):
    hypotheses.write_bytes(hypotheses.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"hypotheses\.jsonl: was edited or cut since .*; decode the run again"):
        write_record(trained, hypotheses, tmp_path / "record/scores.csv.gz")
    hypotheses.with_name("hypotheses.seal.json").unlink()
    with pytest.raises(ValueError, match=r"hypotheses.jsonl, line 16: .*decode the run again"):
        write_record(trained, hypotheses, tmp_path / "record/scores.csv.gz")
    assert not (tmp_path / "record/scores.csv.gz").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"seed": 1\n',
            '"seed": 2\n',
            r"was edited, or comes from another version of lrsms: its content hashes to \w{10}",
        ),
        ('"lr": 0.003', '"lr": 0.01', "was edited"),
        ('"lr": 0.003', '"lr": 0', r"'train.lr' is 0: input should be greater than 0"),
        ('"lr"', '"lrr"', r"unknown key 'train.lrr'; did you mean 'train.lr'\?"),
        ("{", "", r"not readable as JSON \(.*\); delete it and run again"),
    ],
)
def test_an_edited_config_is_refused(copy, tmp_path, old, new, message):
    path = copy / "config.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"config.json: {message}"):
        load_run(copy)
    with pytest.raises(ValueError, match=r"config\.json"):
        write_record(copy, tmp_path / "absent", tmp_path / "record/scores.csv.gz")
    assert not (tmp_path / "record").exists()


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config.json: is not there; give the folder of a run, such as"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda rows: [], "is empty, but its run finished"),
        (lambda rows: rows[:-1], r"decoder 'beam' has no line for utterance '\S+' under condition 'clean'"),
        (lambda rows: rows[1:], "decoder 'greedy' has no line"),
        (lambda rows: [*rows, rows[0]], "already occurred"),
        (lambda rows: [{**rows[0], "reference": "OTHER"}, *rows[1:]], "two references or speakers"),
    ],
)
def test_hypotheses_of_a_finished_run_are_of_each_utterance_once(trained, hypotheses, tmp_path, damage, message):
    rows = [json.loads(line) for line in hypotheses.read_text().splitlines()]
    hypotheses.write_text("".join(json.dumps(row) + "\n" for row in damage(rows)))
    with pytest.raises(ValueError, match=r"hypotheses\.jsonl: was edited or cut since hypotheses\.seal\.json"):
        write_record(trained, hypotheses, tmp_path / "record/scores.csv.gz")
    hypotheses.with_name("hypotheses.seal.json").unlink()  # of before there were seals
    with pytest.raises(ValueError, match=message) as refusal:
        write_record(trained, hypotheses, tmp_path / "record/scores.csv.gz")
    assert "\n" not in str(refusal.value) and not (tmp_path / "record").exists()


def test_a_diverged_run_has_no_hypotheses(copy, hypotheses, tmp_path):
    outcome = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(outcome | {"status": "diverged", "diverged_at": 3}))
    hypotheses.with_name("hypotheses.seal.json").unlink()
    with pytest.raises(ValueError, match=r"hypotheses\.jsonl: has hypotheses, but its run diverged"):
        write_record(copy, hypotheses, tmp_path / "record/scores.csv.gz")


def test_losses_of_other_hypotheses_are_refused_and_none_at_all_are_taken(copy, hypotheses, tmp_path):
    losses = losses_path(hypotheses)
    content = losses.read_bytes()
    write_losses(hypotheses, [])
    with pytest.raises(ValueError, match=r"does not belong to this hypotheses\.loss\.csv\.gz: .*; decode"):
        write_record(copy, hypotheses, tmp_path / "record/scores.csv.gz")
    losses.write_bytes(content)
    write_record(copy, hypotheses, tmp_path / "record/scores.csv.gz")
    assert losses_path(tmp_path / "record/scores.csv.gz").read_bytes() == content
    losses.unlink()
    write_record(copy, hypotheses, tmp_path / "other/scores.csv.gz")
    assert load_losses(tmp_path / "other/scores.csv.gz") is None
