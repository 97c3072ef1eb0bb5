"""What is carried to a machine without network is enough, and no more than has a pin."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from scratch import scratch_project

ROOT = Path(__file__).parents[2]
LISTS = "lease: [{study: scratch, task: asr, scale: test, corpus: small, timed: false}]"
ABSENT = ("av", "jinja2", "markupsafe", "matplotlib", "seaborn", "scipy", "snakemake")
"""Packages that training, decoding and scoring of audio do without."""


def test_each_package_that_is_carried_has_a_pin() -> None:
    names = re.findall(r"^[^#\s]+$", (ROOT / "offline/wheels.txt").read_text(), re.MULTILINE)
    pinned = re.findall(r"^([^=#\s]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert {canonicalize_name(name) for name in names} <= {canonicalize_name(name) for name in pinned}
    assert not {"av", "snakemake"} & set(names)


@pytest.mark.parametrize("script", ["make-wheels", "lease", "measure", "setup"])
def test_scripts_are_shell_that_can_be_read(script: str) -> None:
    path = ROOT / "offline" / script
    subprocess.run(["bash", "-n", path], check=True)
    assert script == "setup" or os.access(path, os.X_OK)


def test_verbs_and_files_that_scripts_name_are_there() -> None:
    """Options too: a script is tried for the first time where time is short."""
    for script in ("lease", "measure"):
        text = (ROOT / "offline" / script).read_text().replace("\\\n", " ")
        for line in re.findall(r'"\$python" -m lrsms (.*)', text):
            verb, options = line.split()[0], set(re.findall(r"--[a-z-]+", line))
            help_ = subprocess.run([sys.executable, "-m", "lrsms", verb, "--help"], capture_output=True, text=True)
            assert help_.returncode == 0 and options <= set(re.findall(r"--[a-z-]+", help_.stdout)), (script, line)
        assert all((ROOT / path).exists() for path in re.findall(r"\btests/\S+\.py", text))


@pytest.mark.slow
def test_a_lease_needs_nothing_that_is_not_carried_and_brings_records_back(tmp_path: Path) -> None:
    scratch_project(tmp_path, LISTS)
    for name in ("lrsms", "offline"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".wheels").mkdir()
    (tmp_path / ".wheels/commit").write_text("0" * 40 + "\n")
    absent = tmp_path / "absent"
    absent.mkdir()
    for name in ABSENT:
        (absent / f"{name}.py").write_text("raise ImportError('is not on this machine')")
    # Packages are here already: pip is not called.
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$2" = pip ] && exit 0\nPYTHONPATH="{absent}:{tmp_path}" exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    environment = os.environ | {"PYTHON": str(python), "DEVICE": "cpu"}
    command = ["bash", "-c", f"cd {tmp_path} && sed 's#cd .*dirname.*#:#' offline/lease > here && bash here . 200 2"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "scratch-asr-test-small: 2 of 2" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "lease.tar.gz").is_file()
