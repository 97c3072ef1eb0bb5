"""Facts about runs that are killed or asked to stop, as whole processes: they go on to the same bits."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lrsms.__main__ import main
from lrsms.decoding.decode import decode
from lrsms.training.interrupt import EXIT_STATUS, stop_on_signals
from lrsms.training.loop import train

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
TRAIN = [sys.executable, "-m", "lrsms", "train", "--device", "cpu"]


@pytest.mark.parametrize("num_runs", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(
    make_lowrank, prepared, corpora, decoding, resolve_run, tmp_path, num_runs
):
    """Each is killed twice: at its start, within a step, while a checkpoint is written, in a validation, at its end."""
    run = make_lowrank(train__steps=8 if num_runs == 1 else 12)
    whole, *killed = (resolve_run(run, tmp_path / str(number)) for number in range(num_runs + 1))
    script = Path(__file__).parents[1] / "support" / "forked_runs.py"
    subprocess.run([sys.executable, script, corpora, "7", whole, *killed], env=ENVIRONMENT, check=True, timeout=900)
    decode(run, prepared, whole, tmp_path / "expected.jsonl", decoding, CPU)
    for folder in killed:
        for name in ("weights.safetensors", "metrics.jsonl", "spectra.json", "plan.json"):
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), (folder, name)
        decode(run, prepared, folder, tmp_path / "found.jsonl", decoding, CPU)
        assert (tmp_path / "found.jsonl").read_bytes() == (tmp_path / "expected.jsonl").read_bytes()
        assert not list(folder.rglob("*.tmp"))
        assert [path.name for path in (folder / "checkpoints").iterdir()] == ["ended.json"]


def wait_for_steps(folder: Path, num_steps: int) -> None:
    end = time.monotonic() + 600
    while not list(folder.glob("metrics.jsonl")) or (folder / "metrics.jsonl").read_text().count("\n") < num_steps:
        assert time.monotonic() < end
        time.sleep(0.01)


def newest(folder: Path) -> int:
    return max(json.loads(path.read_text())["step"] for path in folder.glob("checkpoints/step-*.json"))


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)])
def test_asked_to_stop_a_run_writes_a_checkpoint_and_says_so(make_lowrank, corpora, resolve_run, tmp_path, number):
    folder = resolve_run(make_lowrank(train__steps=5000), tmp_path)
    command = [*TRAIN, "--corpora", str(corpora), "--checkpoint-seconds", "999", str(folder)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    wait_for_steps(folder, 3)
    assert not list(folder.glob("checkpoints/*"))
    process.send_signal(number)
    error = process.communicate(timeout=600)[1]
    assert process.returncode == EXIT_STATUS == 75
    step = newest(folder)
    assert step < 5000
    assert (folder / "metrics.jsonl").read_text().count("\n") == step
    assert error.splitlines()[-1] == f"{folder}: interrupted after step {step} of 5000; run it again to go on"
    assert "Traceback" not in error


@pytest.mark.slow
def test_a_signal_to_the_whole_pipeline_costs_no_checkpoint(make_lowrank, prepared, corpora, resolve_run, tmp_path):
    """As the workflow's shell has it: tee, to which messages go, is ended by the same signal."""
    run = make_lowrank(train__steps=40)
    folder, whole = resolve_run(run, tmp_path / "stopped"), resolve_run(run, tmp_path / "whole")
    command = shlex.join([*TRAIN, "--corpora", str(corpora), "--checkpoint-seconds", "999", str(folder)])
    process = subprocess.Popen(
        ["bash", "-c", f"{command} 2>&1 | tee {tmp_path}/log"],
        env=ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    wait_for_steps(folder, 3)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(60)
    end = time.monotonic() + 600
    while not list(folder.glob("checkpoints/step-*.json")) and time.monotonic() < end:
        time.sleep(0.01)
    assert 3 <= newest(folder) < 40
    time.sleep(0.5)  # the lock is held until it has ended
    train(run, prepared, folder, CPU)
    train(run, prepared, whole, CPU)
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_two_signals_at_once_are_one_request_and_a_later_one_ends_at_once(monkeypatch):
    earlier = signal.getsignal(signal.SIGTERM)
    killed = []
    kill = os.kill
    try:
        with stop_on_signals() as stop:
            assert not stop()
            kill(os.getpid(), signal.SIGUSR1)
            kill(os.getpid(), signal.SIGTERM)
            assert stop()
            monkeypatch.setattr("lrsms.training.interrupt.ONE_REQUEST_SECONDS", 0.0)
            monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
            kill(os.getpid(), signal.SIGTERM)
            assert killed == [(os.getpid(), signal.SIGTERM)]
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, earlier)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_without_a_signal_earlier_handlers_come_back():
    earlier = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != earlier[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)] == earlier


def test_a_second_process_on_a_run_is_refused(make_lowrank, corpora, resolve_run, tmp_path, capsys):
    from lrsms.base.files import only_one

    folder = resolve_run(make_lowrank(), tmp_path)
    with only_one(folder):
        assert main(["train", "--device", "cpu", "--corpora", str(corpora), str(folder)]) == 1
    assert capsys.readouterr().err.count("another process is at work on this run") == 1
    assert not (folder / "run.json").exists()
