"""What is carried to a machine without network is enough, and no more than has a pin."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from scratch import scratch_project

from lrsms.cost.stepbench import RESERVE

ROOT = Path(__file__).parents[2]
LISTS = "lease: [{study: scratch, task: asr, scale: test, corpus: small, timed: false}]"
ABSENT = ("av", "jinja2", "markupsafe", "matplotlib", "seaborn", "scipy", "snakemake")
"""Packages that training, decoding and scoring of audio do without."""


def test_each_package_that_is_carried_has_a_pin() -> None:
    names = re.findall(r"^[^#\s]+$", (ROOT / "offline/wheels.txt").read_text(), re.MULTILINE)
    pinned = re.findall(r"^([^=#\s]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert {canonicalize_name(name) for name in names} <= {canonicalize_name(name) for name in pinned}
    assert not {"av", "snakemake"} & set(names)


@pytest.mark.parametrize("script", ["make-wheels", "lease", "measure", "setup", "share"])
def test_scripts_are_shell_that_can_be_read(script: str) -> None:
    path = ROOT / "offline" / script
    subprocess.run(["bash", "-n", path], check=True)
    assert script in ("setup", "share") or os.access(path, os.X_OK)


def test_verbs_and_files_that_scripts_name_are_there() -> None:
    """Options too: a script is tried for the first time where time is short."""
    for script in ("lease", "measure"):
        text = (ROOT / "offline" / script).read_text().replace("\\\n", " ")
        for line in re.findall(r'"\$python" -m lrsms (.*)', text):
            verb, options = line.split()[0], set(re.findall(r"--[a-z-]+", line))
            help_ = subprocess.run([sys.executable, "-m", "lrsms", verb, "--help"], capture_output=True, text=True)
            assert help_.returncode == 0 and options <= set(re.findall(r"--[a-z-]+", help_.stdout)), (script, line)
        assert all((ROOT / path).exists() for path in re.findall(r"\btests/\S+\.py", text))


def test_tests_that_take_too_long_still_say_which_failed() -> None:
    """At SIGTERM, pytest ends with dots alone."""
    assert re.search(r"timeout --signal INT .* -m pytest ", (ROOT / "offline/measure").read_text())


def test_step_times_are_given_as_much_time_as_their_first_case_may_need() -> None:
    """In less time, no case is begun."""
    text = (ROOT / "offline/measure").read_text()
    (at_least,) = re.findall(r'"\$left" -gt (\d+)', text)
    given = re.findall(r"^ *bench (\S+) .*--modes (\w+)", text.replace('"$left"', at_least), re.MULTILINE)
    assert {mode for _, mode in given} == {"graphs", "compiled"}
    assert all(float(seconds) > RESERVE[mode] for seconds, mode in given)


@pytest.mark.parametrize(("change", "named"), [("", True), ("echo '# changed' >> lrsms/__init__.py", False)])
def test_records_name_the_commit_whose_files_were_carried_and_no_other(
    tmp_path: Path, change: str, named: bool
) -> None:
    """Where the history that travelled ends one commit earlier."""
    (tmp_path / "lrsms").mkdir()
    shutil.copytree(ROOT / "lrsms/base", tmp_path / "lrsms/base", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "offline", tmp_path / "offline")
    (tmp_path / ".gitignore").write_text(".wheels/\n.site/\n__pycache__/\n")
    python = tmp_path / "offline/python"
    python.write_text(f'#!/bin/sh\n[ "$2" = pip ] || exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    commit = "git add -A && git -c user.name=a -c user.email=a@b.c commit -qm"
    script = f"""
git init -q && {commit} earlier && touch lrsms/__init__.py && {commit} later
mkdir .wheels && git rev-parse HEAD > .wheels/commit && git rev-parse 'HEAD^{{tree}}' > .wheels/tree
git reset -q HEAD~1; {change or ":"}
. offline/setup
exec offline/python -c "from lrsms.base.provenance import provenance as p; print(p()['commit'], p()['dirty'])"
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"PYTHON": str(python)}
    done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and not done.stderr, done.stderr
    commit_carried = (tmp_path / ".wheels/commit").read_text().strip()
    assert (done.stdout.strip() == f"{commit_carried} None") is named
    assert named or done.stdout.strip() != commit_carried


@pytest.mark.slow
def test_a_service_that_does_not_end_does_not_keep_the_machine(tmp_path: Path) -> None:
    """It waits for all processes that use the GPU, and one may hang."""
    control = tmp_path / "nvidia-cuda-mps-control"
    control.write_text('#!/bin/sh\n[ "$1" = -d ] || exec sleep 100\n')
    control.chmod(0o755)
    script = f"cd {tmp_path} && say() {{ echo $*; }} && python=true out={tmp_path} && . {ROOT}/offline/share"
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=60)
    assert "shared by the Multi-Process Service" in done.stdout


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
    command = ["bash", "-c", f"cd {tmp_path} && sed 's#cd .*dirname.*#:#' offline/lease > here && bash here back 200 2"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "scratch-asr-test-small: 2 of 2" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "back/lease.tar.gz").is_file(), "the folder was made"
