"""A lock that a killed Snakemake left is taken away where that is safe, and named with what to do where it is not."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lrsms.execution import holders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is locked, as Snakemake locks it."""
    folder = tmp_path / ".snakemake"
    (folder / "locks").mkdir(parents=True)
    for name in ("0.input.lock", "0.output.lock"):
        (folder / "locks" / name).write_text("results/runs.csv\n")
    return folder


def is_locked(folder: Path) -> bool:
    return any((folder / "locks").iterdir())


def note(folder: Path, **changed: object) -> None:
    """A note of a Snakemake that is no more."""
    content = {"host": socket.gethostname(), "pid": 999_999_999, "began": 1.8e9, "cluster": False} | changed
    path = folder / "holders" / f"{content['host']}-{content['pid']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def test_a_folder_that_is_not_locked_needs_no_word(tmp_path: Path) -> None:
    assert holders.look(tmp_path / ".snakemake") is None


def test_a_dead_holders_lock_is_taken_away(folder: Path) -> None:
    note(folder)
    said = holders.look(folder)
    assert said is not None and said.startswith("note: Snakemake, process 999999999 since ")
    assert said.endswith("was ended before it had finished; the folder is unlocked, and unfinished files are made")
    assert not is_locked(folder) and holders.look(folder) is None


def test_a_number_that_another_process_has_now_is_no_holder(folder: Path) -> None:
    note(folder, pid=os.getpid(), began=psutil.Process().create_time() - 100)
    assert "the folder is unlocked" in (holders.look(folder) or "")


def test_a_live_holder_keeps_its_lock(folder: Path) -> None:
    holders.hold(False, folder)
    said = holders.look(folder)
    assert said is not None and f"process {os.getpid()} " in said and "is at work in this folder" in said
    assert is_locked(folder)
    holders.release(folder)
    assert not list((folder / "holders").iterdir())


@pytest.mark.parametrize("kept", [{"host": "elsewhere"}, None, {"cluster": True}])
def test_what_cannot_be_known_is_left_and_the_command_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kept: dict[str, object] | None
) -> None:
    """A holder on another machine, an unknown one, and one whose jobs may be in a queue."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    if kept is not None:
        note(folder, **kept)
    said = holders.look(folder)
    assert said is not None and said.endswith(holders.UNLOCK) and "\n" not in said
    assert is_locked(folder)


def test_jobs_in_a_clusters_queue_are_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note(folder, cluster=True)
    tools = tmp_path / "bin"
    tools.mkdir()
    squeue = tools / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '17 {tmp_path}'\necho '18 /elsewhere'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    assert "scancel 17; then start again" in (holders.look(folder) or "") and is_locked(folder)
    squeue.write_text("#!/bin/sh\n")
    assert "the folder is unlocked" in (holders.look(folder) or "")


def test_a_job_that_outlived_its_snakemake_is_named(folder: Path, tmp_path: Path) -> None:
    note(folder)
    code = "import time; print(flush=True); time.sleep(60)"
    job = subprocess.Popen([sys.executable, "-c", code, "lrsms"], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert job.stdout is not None
        job.stdout.readline()
        assert f"end them with: kill {job.pid}" in (holders.look(folder) or "") and is_locked(folder)
    finally:
        job.kill()
        job.wait()
    assert "the folder is unlocked" in (holders.look(folder) or "")
