"""Several runs in one process: the files of the workflow, whatever was run before, by whom, and whatever fails."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scratch import scratch_project, shipped_project

from lrsms.__main__ import main
from lrsms.base.devices import forget_peak_memory, keep_freed_memory, peak_memory_mb
from lrsms.base.files import only_one
from lrsms.decoding.decode import decode
from lrsms.study.run import Run
from lrsms.training.interrupt import never
from lrsms.verbs.options import babble_recording
from lrsms.watch.kept_results import Goal, load
from lrsms.watch.worker import Worker, prepare_corpora, several, until

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
LISTS = """
own:
  - {study: scratch, task: asr, scale: test, corpus: small, timed: false}
"""


@pytest.fixture
def goals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Goal]:
    """Those of a list of two runs, whose corpus is prepared."""
    config = scratch_project(tmp_path, LISTS)
    monkeypatch.chdir(tmp_path)
    found = load("own", shipped_project(config), config)
    prepare_corpora(found, Path("results"), 1, babble_recording)
    return found


def weights(goal: Goal) -> dict[str, bytes]:
    folders = {e.name: Path("results/runs") / e.name for e in goal.experiments}
    return {name: (folder / "weights.safetensors").read_bytes() for name, folder in folders.items()}


def test_runs_made_in_one_process_are_those_that_are_made_alone(goals: list[Goal], tmp_path: Path) -> None:
    (goal,) = goals
    worker = Worker(CPU, never)
    worker.work_through(lambda: goals)
    assert not goal.missing and not worker.failed
    together = weights(goal)
    last = goal.experiments[-1]
    alone = Worker(CPU, never, results=tmp_path / "alone")
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/corpora").symlink_to(tmp_path / "results/corpora")
    alone.work_through(lambda: [replace(goal, experiments=(last,))])
    assert (tmp_path / "alone/runs" / last.name / "weights.safetensors").read_bytes() == together[last.name]
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    assert before == ("highest", True)  # decoding's arithmetic is not training's


def test_what_is_recorded_held_or_failing_does_not_keep_the_others_from_being_made(goals: list[Goal]) -> None:
    (goal,) = goals
    first, second = goal.experiments
    worker = Worker(CPU, never)
    with only_one(Path("results/runs") / first.name):
        worker.work_through(lambda: goals)
    assert [path.parent.name for path in goal.missing] == [first.name]
    (Path("results/runs") / first.name / "config.json").write_text("{}")
    trained = weights(replace(goal, experiments=(second,)))
    with pytest.warns(UserWarning, match=first.name):
        worker.work_through(lambda: goals)
    assert list(worker.failed) == [first.name] and "\n" not in worker.failed[first.name]
    assert weights(replace(goal, experiments=(second,))) == trained


def test_a_run_that_is_only_looked_at_is_made(goals: list[Goal], monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``status`` looks, in the moment in which the worker would begin it."""
    goal = replace(goals[0], experiments=goals[0].experiments[:1], files=goals[0].files[:1])
    folder = Path("results/runs") / goal.experiments[0].name
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    with open(folder / ".lock", "rb") as probe:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        monkeypatch.setattr("lrsms.base.files.time.sleep", lambda _: fcntl.flock(probe, fcntl.LOCK_UN))
        Worker(CPU, never).work_through(lambda: [goal])
    assert not goal.missing


def test_what_another_trains_is_waited_for_and_cut_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = scratch_project(tmp_path, LISTS)
    study = config / "studies/scratch.yaml"
    study.write_text(study.read_text().replace("    seed", "    lowrank.method.name: [truncated]\n    seed"))
    monkeypatch.chdir(tmp_path)
    goals = load("own", shipped_project(config), config)
    prepare_corpora(goals, Path("results"), 1, babble_recording)
    dense, cut = goals[0].experiments
    with ExitStack() as elsewhere:
        elsewhere.enter_context(only_one(Path("results/runs") / dense.name))
        waits = []

        def sleep(seconds: float) -> None:
            waits.append([path.parent.name for path in goals[0].missing])
            elsewhere.close()

        monkeypatch.setattr("lrsms.watch.worker.time.sleep", sleep)
        Worker(CPU, never).work_through(lambda: goals)
    assert waits == [[dense.name, cut.name]] and not goals[0].missing
    assert f"{cut.name}: takes over the training of {dense.name}" in capsys.readouterr().out


def test_a_worker_whose_time_is_up_leaves_a_checkpoint_and_the_next_goes_on(goals: list[Goal]) -> None:
    (goal,) = goals
    asked = iter([False] * 4)
    Worker(CPU, lambda: next(asked, True)).work_through(lambda: goals)
    assert len(goal.missing) == 2
    assert list(Path("results/runs").glob("*/checkpoints/*"))
    Worker(CPU, never).work_through(lambda: goals)
    assert not goal.missing
    outcome = json.loads((Path("results/runs") / goal.experiments[0].name / "run.json").read_text())
    assert len(outcome["sessions"]) == 2


def test_a_run_that_would_not_end_in_time_is_not_begun(goals: list[Goal]) -> None:
    """How long a run takes is known from those that the worker made before; the first is begun whatever it takes."""
    (goal,) = goals
    hurried = Worker(CPU, never, whole_before=time.monotonic() + 1e-3)
    hurried.work_through(lambda: goals)
    assert [path.parent.name for path in goal.missing] == [one.name for one in goal.experiments[1:]] and goal.missing
    assert hurried.longest > 1e-3
    unhurried = Worker(CPU, never, whole_before=time.monotonic() + 3600.0, longest=hurried.longest)
    unhurried.work_through(lambda: goals)
    assert not goal.missing


def test_a_worker_alone_measures_step_times_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = scratch_project(tmp_path, LISTS.replace(", timed: false", ""))
    monkeypatch.chdir(tmp_path)
    (goal,) = load("own", shipped_project(config), config)
    timed = replace(goal, experiments=())
    Worker(CPU, never).work_through(lambda: [timed])
    assert goal.missing == list(goal.files), "others may use the device, so nothing was timed"
    Worker(CPU, never, seconds_a_step_time=0.0).work_through(lambda: [timed])
    paths = [path for path in goal.files if path.parent.name == "steptime"]
    assert len(paths) == 2 and not set(paths) & set(goal.missing)
    before = [path.read_bytes() for path in paths]
    Worker(CPU, never, seconds_a_step_time=0.0).work_through(lambda: [timed])
    assert [path.read_bytes() for path in paths] == before


def test_a_step_that_does_not_fit_does_not_keep_others_from_being_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = scratch_project(tmp_path, LISTS.replace(", timed: false", ""))
    monkeypatch.chdir(tmp_path)
    (goal,) = load("own", shipped_project(config), config)
    first, second = (experiment.steptime for experiment in goal.timed)

    def fails_once(run: Run, *_: object) -> dict[str, float]:
        if run == goal.timed[0].run:
            raise RuntimeError("CUDA out of memory\nmore")
        return {"median_ms": 1.0}

    monkeypatch.setattr("lrsms.watch.worker.step_time", fails_once)
    worker = Worker(CPU, never, seconds_a_step_time=0.0)
    with pytest.warns(UserWarning, match=f"{first}: CUDA out of memory more"):
        worker.work_through(lambda: [replace(goal, experiments=())])
    assert list(worker.failed) == [first] and [path.stem for path in Path("results/steptime").iterdir()] == [second]


def test_a_run_for_which_memory_is_short_does_not_keep_others_from_being_made(
    goals: list[Goal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it is decoded; every worker of a list would end at it, one after another."""
    (goal,) = goals
    first, second = goal.experiments

    def fails_once(run: Run, *arguments: object) -> None:
        if run == first.run:
            raise torch.OutOfMemoryError("CUDA out of memory\nmore")
        decode(run, *arguments)

    monkeypatch.setattr("lrsms.watch.worker.decode", fails_once)
    made = []
    worker = Worker(CPU, never, meanwhile=lambda: made.append(len(goal.missing)))
    with pytest.warns(UserWarning, match=f"{first.name}: CUDA out of memory more"):
        worker.work_through(lambda: goals)
    assert list(worker.failed) == [first.name] and len(goal.missing) == 1 and made == [1]
    assert (Path("results/records") / second.name).is_dir()


def test_a_worker_whose_device_has_failed_ends(goals: list[Goal], monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would fail each run that is left, in no time."""

    def lost(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("lrsms.watch.worker.decode", lost)
    monkeypatch.setattr("lrsms.watch.worker.synchronise", lost)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        Worker(CPU, never).work_through(lambda: goals)


def test_when_time_is_up_no_corpus_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = scratch_project(tmp_path, LISTS)
    monkeypatch.chdir(tmp_path)
    found = load("own", shipped_project(config), config)
    prepare_corpora(found, Path("results"), 1, babble_recording, lambda: True)
    assert not Path("results/corpora").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--workers 2 --timed 1", "--timed needs the device for itself, but --workers is 2; make it 1"),
        ("--workers 0", "--workers 0: must be at least 1"),
        ("--whole", "--whole begins no run that would not end in time: give --seconds too"),
        ("--seconds -1", "--seconds -1: must be at least 0"),
        ("--seconds nan", "--seconds nan: must be at least 0"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # nothing is there: what is not refused by its options fails otherwise
    assert main(["work", "lease", "--device", "cpu", *options.split()]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_time_is_up_a_little_before_the_end() -> None:
    assert until(1.0, never)() and not until(60.0, never)() and until(60.0, lambda: True)()


def test_workers_that_do_not_end_are_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lrsms.watch.worker._GRACE", 0.5)
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    began = time.monotonic()
    assert several(2, ["work"], 0.5)
    assert time.monotonic() - began < 10


def test_workers_end_when_the_process_that_began_them_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And until then it is not idle: what is finished is packed."""
    monkeypatch.setattr("lrsms.watch.worker._MEANWHILE", 0.1)
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ntrap 'touch {tmp_path}/asked-$$; exit 0' TERM\nsleep 60 & wait\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    calls: list[float] = []
    assert several(2, ["work"], 60.0, lambda: len(calls) > 1, lambda: calls.append(time.monotonic()))
    assert len(list(tmp_path.glob("asked-*"))) == 2
    program.write_text("#!/bin/sh\nexec sleep 60\n")  # still starts, and does not listen yet
    assert several(1, ["work"], 60.0, lambda: True)


def test_on_a_gpu_nothing_that_an_earlier_run_left_counts_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with graphs is garbage in cycles, and graphs hold the workspaces of cuBLAS."""

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    left = weakref.ref(Cycle())
    done: list[tuple[str, bool]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_: done.append((name, left() is None))

    for owner, name in (
        (torch._C, "_cuda_clearCublasWorkspaces"),
        (torch.cuda, "empty_cache"),
        (torch.cuda, "reset_peak_memory_stats"),
    ):
        monkeypatch.setattr(owner, name, note(name), raising=False)
    forget_peak_memory(torch.device("cuda"))
    assert done == [("_cuda_clearCublasWorkspaces", True), ("empty_cache", True), ("reset_peak_memory_stats", True)]


def test_the_peak_of_one_run_is_not_that_of_the_next() -> None:
    """Though the process keeps what it frees, to use it again."""
    keep_freed_memory()
    held = torch.ones(2**26)
    high = peak_memory_mb(CPU)
    del held
    forget_peak_memory(CPU)
    assert peak_memory_mb(CPU) < high - 100


@pytest.mark.slow
def test_several_workers_share_a_list_and_pack_what_they_made(tmp_path: Path) -> None:
    scratch_project(tmp_path, LISTS)
    command = [sys.executable, "-m", "lrsms", "work", "own", "--workers", "2", "--device", "cpu", "--pack", "a.tar.gz"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if "scratch-asr-test-small" in line]
    assert said == ["scratch-asr-test-small: 2 of 2"], "one process keeps what all have made"
    assert (tmp_path / "a.tar.gz").is_file()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "trained in" not in again.stdout


@pytest.mark.slow
def test_what_workers_made_is_packed_when_the_process_that_began_them_is_ended(tmp_path: Path) -> None:
    scratch_project(tmp_path, LISTS.replace("own:", "own:\n  - {study: long, task: asr, scale: test, corpus: small}"))
    study = (tmp_path / "workflow/config/studies/scratch.yaml").read_text()
    long = study.replace("seed: [1]", "seed: [1]\n    train.steps: [100000]")
    (tmp_path / "workflow/config/studies/long.yaml").write_text(long)
    command = [sys.executable, "-m", "lrsms", "work", "own", "--workers", "3", "--device", "cpu", "--pack", "new/a.gz"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    while len(list(tmp_path.glob("results/records/*/scores-????????.csv.gz"))) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert "interrupted after step" in said and "scratch-asr-test-small: 2 of 2" in said
    with tarfile.open(tmp_path / "new/a.gz") as archive:
        assert sum(re.search(r"scores-\w+\.csv\.gz$", name) is not None for name in archive.getnames()) == 2
