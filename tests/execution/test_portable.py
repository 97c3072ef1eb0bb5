"""Portable kernels: the same recordings and weights on every x86-64 processor, whoever made it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scratch import ROOT

from lrsms.base.portable import SETTINGS, is_possible

SUPPORT = ROOT / "tests/support"
EXPECTED = json.loads((Path(__file__).parent / "portable.json").read_text())
"""What came out on the processor where these digests were made, by task, and the releases it was made with."""

pytestmark = pytest.mark.skipif(not is_possible(), reason="portable kernels are for x86-64 processors")


def made(task: str, steps: int, *emulator: str) -> dict[str, Any]:
    """The digests of one run in a process of its own, with portable kernels."""
    path = os.pathsep.join([str(ROOT), str(SUPPORT)])
    environment = os.environ | SETTINGS | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [*emulator, sys.executable, str(SUPPORT / "portable_run.py"), task, str(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["portable"]
    return found


@pytest.mark.parametrize("task", ["asr", pytest.param("avsr", marks=pytest.mark.slow)])
def test_this_processor_gives_the_numbers_that_another_gave(task: str) -> None:
    found = made(task, steps=8)
    if found["versions"] != EXPECTED["versions"]:
        pytest.skip(f"the digests are of other releases: {EXPECTED['versions']}")
    assert {name: found[name] for name in ("recordings", "weights")} == EXPECTED[task]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="qemu-x86_64 is not installed")
def test_an_emulated_processor_of_another_maker_gives_the_same_numbers() -> None:
    """AMD's without AVX-512: other kernels would be chosen by MKL, oneDNN, OpenBLAS, NumPy and PyTorch alike."""
    assert made("asr", 2, "qemu-x86_64", "-cpu", "EPYC") == made("asr", 2)
