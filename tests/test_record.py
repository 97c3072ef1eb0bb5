"""Facts about records: they hold what is needed, and only of runs that are what their name says."""

import json
import shutil

import pytest
import torch

from lrsms.decode import decode
from lrsms.record import load_run, write_record
from lrsms.score import read_scores


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the trained run, to be damaged."""
    return shutil.copytree(trained, tmp_path / trained.name)


@pytest.fixture
def hypotheses(trained, make_run, prepared, decoding, tmp_path):
    path = tmp_path / "hypotheses.jsonl"
    decode(make_run(), prepared, trained, path, decoding, torch.device("cpu"))
    return path


def test_a_run_is_read_back_as_it_was_resolved(trained, make_run):
    assert load_run(trained) == make_run()


def test_a_record_holds_config_plan_outcome_and_scores(trained, hypotheses, tmp_path):
    scores = tmp_path / "records/run/scores.csv.gz"
    write_record(trained, hypotheses, scores)
    names = {path.name for path in scores.parent.iterdir()}
    assert names == {"config.json", "plan.json", "run.json", "scores.csv.gz"}
    for name in names - {"scores.csv.gz"}:
        assert (scores.parent / name).read_bytes() == (trained / name).read_bytes()
    assert len(read_scores(scores)) == 16
    assert sum(path.stat().st_size for path in scores.parent.iterdir()) < 50_000


def test_a_diverged_run_has_a_record_without_scores(copy, tmp_path):
    outcome = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(outcome | {"status": "diverged", "diverged_at": 3}))
    (tmp_path / "none.jsonl").write_bytes(b"")
    write_record(copy, tmp_path / "none.jsonl", tmp_path / "record/scores.csv.gz")
    assert read_scores(tmp_path / "record/scores.csv.gz").empty
    assert json.loads((tmp_path / "record/run.json").read_text())["diverged_at"] == 3


def test_torn_hypotheses_leave_no_scores(trained, hypotheses, tmp_path):
    hypotheses.write_bytes(hypotheses.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"hypotheses.jsonl, line 16: .*decode the run again"):
        write_record(trained, hypotheses, tmp_path / "record/scores.csv.gz")
    assert not (tmp_path / "record/scores.csv.gz").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"seed": 1\n',
            '"seed": 2\n',
            r"was edited, or is of another version of lrsms: its content hashes to \w{10}",
        ),
        ('"lr": 0.003', '"lr": 0.01', "was edited"),
        ('"lr": 0.003', '"lr": 0', r"'train.lr' is 0: input should be greater than 0"),
        ('"lr"', '"lrr"', r"unknown key 'train.lrr'; did you mean 'train.lr'\?"),
        ("{", "", r"cannot be read \(.*\); delete it and run again"),
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
    with pytest.raises(ValueError, match=r"config.json: cannot be read"):
        load_run(tmp_path)
