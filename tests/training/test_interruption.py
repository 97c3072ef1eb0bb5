"""Facts about training that is killed, asked to stop or short of disk: nothing is lost, and its bits are the same."""

import dataclasses
import itertools
import json
import shutil

import nano
import pytest
import torch
from endings import Killed, killed_after, lines, outcome, same_result, whole_and_killed

from lrsms.study.files_as_values import INITS
from lrsms.training import loop as training
from lrsms.training import state
from lrsms.training.interrupt import Interrupted
from lrsms.training.loop import train
from lrsms.training.steplog import waited_share

CPU = torch.device("cpu")


@pytest.mark.parametrize(("steps", "checkpoints"), [(1, None), (3, None), (7, None), (5, 2), (5, 0)])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(
    trained_lowrank, make_lowrank, make_folder, prepared, monkeypatch, steps, checkpoints
):
    run = make_lowrank()
    folder = make_folder(run)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, steps, checkpoints)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    assert not (folder / "run.json").exists()
    train(run, prepared, folder, CPU)
    assert same_result(folder, trained_lowrank)
    assert outcome(folder)["resumed_at"] == (steps if checkpoints is None else checkpoints)
    assert [row["step"] for row in lines(folder / "timings.jsonl")] == list(range(1, 9))


LOWRANK = {
    "dense": {},
    "fused": nano.SPECTRAL | {"lowrank__qkv": "fused"},
    **{init: nano.SPECTRAL | {"lowrank__init": init} for init in INITS},
}


@pytest.mark.parametrize("fields", LOWRANK.values(), ids=LOWRANK)
def test_a_run_of_every_initialisation_goes_on_to_the_same_bits(fields, make_run, make_folder, prepared, monkeypatch):
    """Interrupted twice: what was put back once is written again."""
    run = make_run(train__steps=4, train__snapshots=1, train__average=1, **fields)
    whole, folder = whole_and_killed(run, prepared, make_folder, monkeypatch, 2, 3)
    assert [session["start"] for session in outcome(folder)["sessions"]] == [0, 2, 3]
    assert same_result(folder, whole)


OPTIMIZERS = {
    "SGD with momentum": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True),
    "AdamW with amsgrad": lambda groups: torch.optim.AdamW(groups, amsgrad=True),
    "RMSprop": lambda groups: torch.optim.RMSprop(groups, momentum=0.5, centered=True),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_run_with_any_optimizer_of_pytorch_goes_on_to_the_same_bits(
    make, make_lowrank, make_folder, prepared, monkeypatch
):
    """Interrupted twice, with two groups of parameters at rates of their own."""

    def two_groups(train, model, method):
        first, *others = model.parameters()
        return make([{"params": [first], "lr_share": 0.5, "lr": 1e-3}, {"params": others, "lr_share": 1.0, "lr": 1e-3}])

    monkeypatch.setattr(state, "make_optimizer", two_groups)
    run = make_lowrank(train__steps=4, train__snapshots=1, train__average=1, train__lr=1e-3)
    whole, folder = whole_and_killed(run, prepared, make_folder, monkeypatch, 2, 3)
    assert [session["start"] for session in outcome(folder)["sessions"]] == [0, 2, 3]
    assert same_result(folder, whole)


@pytest.mark.parametrize("name", ["write_weights", "macs_per_second", "end", "save_checkpoint"])
def test_a_run_that_was_killed_at_its_very_end_is_not_lost(
    trained_lowrank, make_lowrank, make_folder, prepared, monkeypatch, name
):
    run = make_lowrank()
    folder = make_folder(run)

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training, name, die)
        train(run, prepared, folder, CPU)
    train(run, prepared, folder, CPU)
    assert same_result(folder, trained_lowrank)
    assert outcome(folder)["resumed_at"] == (0 if name == "save_checkpoint" else 8)


@pytest.fixture
def finished(trained_lowrank, tmp_path):
    return shutil.copytree(trained_lowrank, tmp_path / trained_lowrank.name)


def test_a_finished_run_keeps_no_checkpoint_and_is_not_trained_again(finished, make_lowrank, prepared, monkeypatch):
    """A workflow manager that was killed before it took note of the end deletes what the job declared as its output."""
    assert [path.name for path in (finished / "checkpoints").iterdir()] == ["ended.json"]
    content = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    killed_after(monkeypatch, 0)
    (finished / "run.json").unlink()
    (finished / "checkpoints/step-00000008.json").write_text("{}")  # as if killed before it was cleared away
    train(make_lowrank(), prepared, finished, CPU)
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == content


@pytest.mark.parametrize("damage", ["weights.safetensors", "checkpoints/ended.json"])
def test_a_finished_run_whose_weights_are_lost_is_trained_anew(
    finished, trained_lowrank, make_lowrank, prepared, damage
):
    (finished / damage).write_bytes(b"torn")
    with pytest.warns(UserWarning, match="had ended, but its weights were changed since; training again"):
        train(make_lowrank(), prepared, finished, CPU)
    assert same_result(finished, trained_lowrank)
    assert [path.name for path in (finished / "checkpoints").iterdir()] == ["ended.json"]


def test_a_finished_run_is_not_taken_for_one_of_other_data(finished, make_lowrank, prepared, monkeypatch):
    other = prepared.identity | {"data_hash": "0" * 64, "source_hash": "1" * 64}
    monkeypatch.setattr(type(prepared), "identity", other)
    with pytest.raises(ValueError, match=r"was trained on other data than .* holds now; .* move the run's folder"):
        train(make_lowrank(), prepared, finished, CPU)


def test_every_session_of_a_run_is_told(make_lowrank, make_folder, prepared, monkeypatch):
    run = make_lowrank()
    folder = make_folder(run)
    for steps in (3, 6):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_after(patch, steps)
            train(run, prepared, folder, CPU, checkpoint_seconds=0)
    train(run, prepared, folder, CPU)
    result = outcome(folder)
    assert [session["start"] for session in result["sessions"]] == [0, 3, 6]
    assert result["seconds"] == sum(session["seconds"] for session in result["sessions"])
    assert all(
        (session["device"], session["threads"]) == (result["device"], result["threads"])
        for session in result["sessions"]
    )
    assert {session["num_devices"] for session in result["sessions"]} == {1}
    assert 0 < result["waited"] == waited_share(folder / "timings.jsonl") < 1


def test_the_most_memory_of_any_session_is_that_of_the_run(make_lowrank, make_folder, prepared, monkeypatch):
    """The network may have been larger before a change, and the process that trained it is gone."""
    run = make_lowrank()
    folder, peaks = make_folder(run), iter([900.0])
    monkeypatch.setattr("lrsms.training.ending.peak_memory_mb", lambda _: next(peaks, 300.0))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 3)
        train(run, prepared, folder, CPU)
    stopped = iter(range(4))
    with pytest.raises(Interrupted):
        train(run, prepared, folder, CPU, stop=lambda: next(stopped, None) is None)
    train(run, prepared, folder, CPU)
    result = outcome(folder)
    assert [session["peak_memory_mb"] for session in result["sessions"]] == [900.0, 300.0]
    assert result["peak_memory_mb"] == 900.0


def test_a_run_that_is_asked_to_stop_ends_with_a_checkpoint_and_goes_on(
    trained_lowrank, make_lowrank, make_folder, prepared
):
    """Asked before each group and in each validation: between a step's update and its validation, too."""
    run = make_lowrank()
    folder = make_folder(run)
    unvalidated = set()
    for patience in itertools.count(1):
        asked = itertools.count()
        try:
            train(
                run, prepared, folder, CPU, stop=lambda asked=asked, patience=patience: next(asked) >= patience % 5 + 1
            )
            break
        except Interrupted as reason:
            note = json.loads(max(folder.glob("checkpoints/*.json")).read_text())
            assert str(reason) == f"{folder}: interrupted after step {note['step']} of 8; run it again to go on"
            unvalidated |= {note["step"]} if note["extra"]["row"] is not None else set()
            assert patience < 40
    assert same_result(folder, trained_lowrank)
    assert unvalidated & {2, 4, 6, 8}
    assert [row["step"] for row in lines(folder / "timings.jsonl")] == list(range(1, 9))
    starts = [session["start"] for session in outcome(folder)["sessions"]]
    assert starts == sorted(starts)
    assert len(starts) > 3


def test_asked_before_it_began_a_run_leaves_nothing_half_done(trained_lowrank, make_lowrank, make_folder, prepared):
    run = make_lowrank()
    folder = make_folder(run)
    with pytest.raises(Interrupted, match="interrupted after step 0 of 8"):
        train(run, prepared, folder, CPU, stop=lambda: True)
    assert not (folder / "checkpoints").exists()
    train(run, prepared, folder, CPU)
    assert same_result(folder, trained_lowrank)


def test_a_damaged_checkpoint_costs_steps_but_not_the_result(
    trained_lowrank, make_lowrank, make_folder, prepared, monkeypatch
):
    run = make_lowrank()
    folder = make_folder(run)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 5)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    newest = folder / "checkpoints/step-00000005.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="step-00000005"):
        train(run, prepared, folder, CPU)
    assert outcome(folder)["resumed_at"] == 4
    assert same_result(folder, trained_lowrank)


def test_a_checkpoint_of_other_code_is_refused(make_lowrank, make_folder, prepared, monkeypatch):
    run = make_lowrank()
    folder = make_folder(run)
    capture = training.capture

    def other(*arguments):
        checkpoint = capture(*arguments)
        return dataclasses.replace(checkpoint, tensors={f"{name}.x": t for name, t in checkpoint.tensors.items()})

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training, "capture", other)
        killed_after(patch, 2)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    with pytest.raises(
        ValueError, match=r"checkpoints: do not fit this version of the model.*; delete it to start anew"
    ):
        train(run, prepared, folder, CPU)


def test_a_run_is_not_continued_on_other_data(make_lowrank, make_folder, prepared, monkeypatch):
    run = make_lowrank()
    folder = make_folder(run)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 2)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    other = prepared.identity | {"data_hash": "0" * 64, "source_hash": "1" * 64}
    monkeypatch.setattr(type(prepared), "identity", other)
    with pytest.raises(
        ValueError, match=r"was begun on other data than .* holds now; .* move the run's folder"
    ) as caught:
        train(run, prepared, folder, CPU)
    assert str(folder) in str(caught.value)


def test_a_full_disk_is_an_error_that_costs_no_checkpoint(
    make_lowrank, make_folder, prepared, monkeypatch, trained_lowrank
):
    run = make_lowrank()
    folder = make_folder(run)

    def full(file, row):
        if row["step"] == 5:
            raise OSError(28, "No space left on device")
        real(file, row)

    real = training.log
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(training, "log", full)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    train(run, prepared, folder, CPU)
    assert outcome(folder)["resumed_at"] == 4
    assert same_result(folder, trained_lowrank)


def test_when_checkpoints_are_written_is_no_part_of_the_result(trained_lowrank, make_lowrank, make_folder, prepared):
    folder = make_folder(make_lowrank())
    train(make_lowrank(), prepared, folder, CPU, checkpoint_seconds=0)
    assert same_result(folder, trained_lowrank)
