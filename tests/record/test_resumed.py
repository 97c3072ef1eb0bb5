"""Facts about runs that were resumed wrongly: none of what they left is believed, and nothing else is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import fabricate
import nano
import pytest
import torch
from endings import Killed, killed_after

from lrsms.decoding.decode import decode
from lrsms.record.record import write_record
from lrsms.record.resumed import STATE_VERSION, wrongly_resumed
from lrsms.report.aggregate import aggregate
from lrsms.training.loop import train
from lrsms.watch.status import Folders, study_status

CPU = torch.device("cpu")

SPECTRAL = {"ratio": 0.25}
OLD: dict[str, int] = {}
NEW = {"state_version": STATE_VERSION}


def sessions(*starts: int, marks: tuple[dict[str, int], ...] = ()) -> dict[str, Any]:
    """What ``run.json`` says of sessions that began at these steps, of 10."""
    marks = marks or tuple(OLD for _ in starts)
    told = [{"start": start, **mark} for start, mark in zip(starts, marks, strict=True)]
    return {"status": "finished", "diverged_at": None, "steps": 10, "resumed_at": starts[-1], "sessions": told}


@pytest.mark.parametrize(
    ("lowrank", "outcome", "wrong"),
    [
        (SPECTRAL, sessions(0, 3), True),
        (SPECTRAL | {"qkv": "fused"}, sessions(0, 3), True),
        (SPECTRAL, sessions(0, 3, 7), True),
        (SPECTRAL, sessions(0, 3, 7, marks=(OLD, OLD, NEW)), True),
        (SPECTRAL, sessions(0, 3, 3, marks=(OLD, OLD, NEW)), False),  # the second session moved nothing
        (SPECTRAL, sessions(0, 3, 7, marks=(OLD, NEW, NEW)), False),
        (SPECTRAL, sessions(0, 3, marks=(NEW, NEW)), False),
        (SPECTRAL, sessions(0, 10), False),  # went on after its last step
        (SPECTRAL, sessions(0, 0), False),
        (SPECTRAL, sessions(0), False),
        (SPECTRAL, {"status": "finished", "steps": 10, "resumed_at": 3}, True),
        (SPECTRAL, {"status": "finished", "steps": 10, "resumed_at": 0}, False),
        (SPECTRAL, {"status": "finished", "steps": 10}, False),
        (SPECTRAL, sessions(0, 3) | {"status": "diverged", "diverged_at": 5}, True),
        *((SPECTRAL | {"init": init}, sessions(0, 3), False) for init in ("random", "matched", "orthogonal")),
        (None, sessions(0, 3), False),
    ],
)
def test_a_run_is_wrong_where_an_old_session_went_on_with_spectral_factors(lowrank, outcome, wrong):
    reason = wrongly_resumed(fabricate.run(lowrank), outcome)
    assert bool(reason) == wrong
    if wrong:
        assert "was resumed from step 3 by a version of lrsms that mixed up the optimizer's moments" in reason


@pytest.mark.parametrize("told", [3, "x", [3], ["x"], [{}], [{"start": "x"}], [{"start": 3, "state_version": "x"}]])
def test_sessions_that_are_none_are_refused_in_one_line(told):
    assert "'sessions' was changed after training wrote it" in wrongly_resumed(
        fabricate.run(SPECTRAL), {"sessions": told}
    )


@pytest.fixture
def experiment():
    return fabricate.experiment(fabricate.run(SPECTRAL))


def test_its_record_is_refused_and_named_with_the_remedy(tmp_path, experiment):
    record = fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, 1), **sessions(0, 3))
    with pytest.raises(
        ValueError, match=r"run\.json: the run was resumed from step 3 .*'spectral' factors.* wrong; delete "
    ) as e:
        aggregate([experiment], tmp_path / "records", tmp_path, fabricate.DECODING, tmp_path / "results")
    assert "\n" not in str(e.value) and str(record) in str(e.value)
    folders = Folders(*(tmp_path / name for name in ("records", "runs", "corpora", "logs")))
    (status,) = study_status([experiment], fabricate.DECODING, folders)
    assert status.state == "failed"
    assert "mixed up" in status.note and f"delete {record}" in status.note


def test_a_record_made_since_is_believed(tmp_path, experiment):
    fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, 1), **sessions(0, 3, marks=(OLD, NEW)))
    aggregate([experiment], tmp_path / "records", tmp_path, fabricate.DECODING, tmp_path / "results")
    folders = Folders(*(tmp_path / name for name in ("records", "runs", "corpora", "logs")))
    (status,) = study_status([experiment], fabricate.DECODING, folders)
    assert status.state == "done"


def test_an_ended_run_that_is_not_recorded_is_neither_decoded_nor_scored(
    trained_lowrank, make_lowrank, prepared, decoding, tmp_path
):
    folder = shutil.copytree(trained_lowrank, tmp_path / trained_lowrank.name)
    outcome = json.loads((folder / "run.json").read_text())
    assert [session["state_version"] for session in outcome["sessions"]] == [STATE_VERSION]
    (folder / "run.json").write_text(json.dumps(outcome | {"sessions": [{"start": 0}, {"start": 3}]}))
    with pytest.raises(ValueError, match=r"was resumed from step 3 .*; delete it to train again"):
        decode(make_lowrank(), prepared, folder, tmp_path / "out.jsonl", decoding, CPU)
    with pytest.raises(ValueError, match=r"was resumed from step 3 .*; delete it to train again"):
        write_record(folder, tmp_path / "out.jsonl", tmp_path / "records/scores-1.csv.gz")
    folders = Folders(tmp_path / "records", tmp_path, tmp_path, tmp_path)
    experiment = fabricate.experiment(make_lowrank())
    folder.rename(tmp_path / experiment.name)
    (status,) = study_status([experiment], fabricate.DECODING, folders)
    assert status.state == "failed" and "mixed up" in status.note


def age(folder: Path, *starts: int) -> None:
    """Makes the newest checkpoint one of old sessions."""
    path = max(folder.glob("checkpoints/step-*.json"))
    note = json.loads(path.read_text())
    del note["extra"]["optimizer"]
    note["extra"]["sessions"] = [{"start": start, "seconds": 1.0} for start in starts]
    path.write_text(json.dumps(note))


@pytest.mark.parametrize(("init", "starts"), [("spectral", (0,)), ("spectral", (0, 1)), ("random", (0, 1))])
def test_a_checkpoint_from_before_is_sound_if_the_run_was_not_resumed_then(
    init, starts, make_run, make_folder, prepared, monkeypatch
):
    run = make_run(train__steps=4, train__snapshots=2, **nano.SPECTRAL | {"lowrank__init": init})
    folder, whole = make_folder(run), make_folder(run)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 2)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    age(folder, *starts)
    if init == "spectral" and len(starts) > 1:
        with pytest.raises(
            ValueError, match=r"checkpoints: the run was resumed from step 1 .*; delete it to start anew"
        ):
            train(run, prepared, folder, CPU)
        return
    train(run, prepared, folder, CPU)
    train(run, prepared, whole, CPU)
    assert (folder / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert not wrongly_resumed(run, json.loads((folder / "run.json").read_text()))
