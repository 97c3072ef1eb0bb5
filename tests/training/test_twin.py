"""Facts about a run that only cuts what a dense run trains: it takes that training over, or takes the same steps."""

import json

import nano
import pytest
import torch
from endings import lines, outcome, same_result

from lrsms.training import loop
from lrsms.training.loop import train

CPU = torch.device("cpu")
FIELDS = nano.SPECTRAL | {"lowrank__method__name": "truncated"}


@pytest.fixture
def beside(make_run, prepared, resolve_run, tmp_path):
    """The folder of a dense run that has ended, and the folder of a run that cuts what it trains, beside it."""
    dense, cut = (resolve_run(run, tmp_path) for run in (make_run(), make_run(**FIELDS)))
    train(make_run(), prepared, dense, CPU)
    return dense, cut


def no_step(*_):
    raise AssertionError("a step was taken")


@pytest.mark.parametrize("by", [None, "outputs"], ids=["by_matrix", "by_outputs"])
def test_it_is_what_its_own_training_would_have_made_without_a_step(
    beside, make_run, make_folder, resolve_run, prepared, monkeypatch, by
):
    run, (dense, _) = make_run(**FIELDS, lowrank__cut_by=by), beside
    folder, alone = resolve_run(run, dense.parent), make_folder(run)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", no_step)
        train(run, prepared, folder, CPU)
    train(run, prepared, alone, CPU)
    assert same_result(folder, alone)
    for name in ("plan.json", "spectra.json"):
        assert (folder / name).read_bytes() == (alone / name).read_bytes()
    assert len(lines(folder / "timings.jsonl")) == run.train.steps
    ours, theirs, own = (outcome(each) for each in (folder, dense, alone))
    assert ours["sessions"] == theirs["sessions"] and ours["seconds"] == theirs["seconds"]
    assert ours["macs_per_second"] == own["macs_per_second"] < theirs["macs_per_second"]
    assert set(ours) == set(own)


def test_begun_by_itself_it_goes_on_with_what_has_ended_meanwhile(beside, make_run, prepared, monkeypatch):
    run, (_, folder) = make_run(**FIELDS), beside
    calls = iter(range(3))
    with monkeypatch.context() as patch, pytest.raises(loop.Interrupted):
        patch.setattr(loop, "dense_twin", lambda *_: None)
        train(run, prepared, folder, CPU, stop=lambda: next(calls, None) is None)
    monkeypatch.setattr(loop, "train_step", no_step)
    train(run, prepared, folder, CPU)
    assert [row["step"] for row in lines(folder / "metrics.jsonl")] == list(range(1, run.train.steps + 1))
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["ended.json"]


@pytest.mark.parametrize("what", ["weights", "logs", "data", "unfinished"])
def test_of_what_is_not_whole_or_not_its_own_nothing_is_taken(beside, make_run, prepared, monkeypatch, what):
    run, (dense, folder) = make_run(**FIELDS), beside
    note = dense / "checkpoints/ended.json"
    if what == "weights":
        (dense / "weights.safetensors").write_bytes((dense / "weights.safetensors").read_bytes() + b"x")
    elif what == "logs":
        (dense / "timings.jsonl").unlink()
    elif what == "data":
        content = json.loads(note.read_text())
        content["outcome"] |= dict.fromkeys(prepared.identity, "0" * 64)
        note.write_text(json.dumps(content))
    else:
        note.unlink()
    monkeypatch.setattr(loop, "train_step", no_step)
    with pytest.raises(AssertionError, match="a step was taken"):
        train(run, prepared, folder, CPU)


def test_a_run_that_trains_its_factors_has_no_twin(beside, make_lowrank, resolve_run, prepared, monkeypatch):
    run, (dense, _) = make_lowrank(), beside
    assert run.trains_as is run
    monkeypatch.setattr(loop, "train_step", no_step)
    with pytest.raises(AssertionError, match="a step was taken"):
        train(run, prepared, resolve_run(run, dense.parent), CPU)
