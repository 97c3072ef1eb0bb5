"""A job that was promised a GPU and has none ends in one line that says why; it never goes on on a processor."""

import argparse
import platform
import subprocess
import sys

import pytest
import torch

from lrsms.__main__ import main
from lrsms.verbs.options import chosen_device


def options(device: str, devices: int = 1) -> argparse.Namespace:
    return argparse.Namespace(device=device, devices=devices, threads=1)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A build of PyTorch with CUDA, on a machine without a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


def refusal(device: str = "cuda", devices: int = 1) -> str:
    with pytest.raises(ValueError) as error:
        chosen_device(options(device, devices))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_no_promise_is_kept_with_what_there_is(no_gpu: pytest.MonkeyPatch) -> None:
    assert chosen_device(options("auto")) == torch.device("cpu")


def test_what_is_portable_is_of_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("lrsms.base.portable.is_portable", lambda: True)
    assert chosen_device(options("auto")) == torch.device("cpu")
    assert refusal("cuda:0") == "--device cuda:0: 'portable' is for processors; leave it out, or use --device cpu"


def test_a_build_without_cuda_is_said(no_gpu: pytest.MonkeyPatch) -> None:
    no_gpu.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert refusal() == (
        f"--device cuda: a GPU is asked for, but PyTorch {torch.__version__} was built without CUDA; install one that"
        " was, or ask for no GPU"
    )


def test_a_missing_driver_is_said(no_gpu: pytest.MonkeyPatch) -> None:
    assert "this machine has no NVIDIA driver" in refusal()


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_gpus_that_are_hidden_are_said(no_gpu: pytest.MonkeyPatch, hidden: str) -> None:
    no_gpu.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert f"CUDA_VISIBLE_DEVICES is '{hidden}', which hides them all" in refusal()


def test_cuda_that_does_not_start_says_why(no_gpu: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old\nmore")

    no_gpu.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    no_gpu.setattr(torch.cuda, "init", init)
    assert "CUDA does not start (The NVIDIA driver on your system is too old); nvidia-smi says more" in refusal()


def test_too_few_gpus_are_counted(no_gpu: pytest.MonkeyPatch) -> None:
    no_gpu.setattr(torch.cuda, "is_available", lambda: True)
    no_gpu.setattr(torch.cuda, "device_count", lambda: 2)
    no_gpu.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert refusal(devices=4) == (
        "--device cuda: 4 GPUs are asked for, but this job sees 2 (CUDA_VISIBLE_DEVICES is '0,1')"
    )
    assert chosen_device(options("cuda", 2)) == torch.device("cuda")


def test_the_device_that_is_chosen_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any other, PyTorch would record CUDA graphs that hold nothing, and training would go on with old outputs."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    chosen_device(options("cuda:1"))
    monkeypatch.setenv("LOCAL_RANK", "0")
    chosen_device(options("cuda", 2))
    assert current == [torch.device("cuda:1"), torch.device("cuda:0")]


def test_training_on_several_is_refused_before_their_processes_start(
    no_gpu: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--device", "cuda", "--devices", "2", "nowhere"]) == 1
    assert capsys.readouterr().err.startswith("error: --device cuda: 2 GPUs are asked for")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
@pytest.mark.parametrize("chosen", [True, False])
def test_on_a_processor_freed_memory_is_used_again(chosen: bool) -> None:
    """A block of 16,384 pages is written and freed again and again: in the end no page is new to the process."""
    program = f"""
import argparse, resource, torch
from lrsms.verbs.options import chosen_device
if {chosen}:
    chosen_device(argparse.Namespace(device="cpu", threads=1))
counts = []
for _ in range(20):
    torch.ones(2**24)
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(counts[-1] - counts[-2])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 100) is chosen
