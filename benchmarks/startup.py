"""How long does a command take before it does anything? Help, a plan and a dry run of 1,000 runs, and a first step.

Each command is a process of its own, as a user starts it. Its figure is the least of a few repetitions.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.figure import Figure
from lrsms.base.files import write_json
from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.data.prepare import prepare
from lrsms.record.run_files import CONFIG, TIMINGS
from lrsms.study import expand
from lrsms.study.expand import Experiment
from lrsms.study.project import Project

ROOT = Path(__file__).parents[1]
NAME = "many"
REPETITIONS = 3
_TARGETS = ["encoder.attention", "encoder.feedforward", "encoder.convolution", "decoder.feedforward"]
FEW = {"train": 40, "valid": 4, "test": 4, "train_voices": 4, "valid_voices": 2, "test_voices": 2}

BIN = "bin"
"""Folder for programs of the benchmark itself."""


def measure(device: torch.device, small: bool) -> list[Figure]:
    """Seconds from the start of each command to its end, or to the end of the first step for training.

    The small form has fewer runs and neither a dry run nor training.
    """
    repetitions = 1 if small else REPETITIONS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        project, experiments = write_project(folder, small, FEW)
        asked = ["--scale", project.scale, "--task", project.task, "--corpus", project.corpus]
        plan = ["lrsms", "plan", NAME, *asked, "--no-measure", "--device", device.type]
        times = {"--help": [seconds(folder, "lrsms", "--help") for _ in range(repetitions)]}
        times["plan"] = [seconds(folder, *plan) for _ in range(repetitions)]
        if not small:
            settings = [f"{name}={getattr(project, name)}" for name in ("study", "scale", "task", "corpus")]
            dry = ["snakemake", "--cores", "all", "--dry-run", "--config", *settings]
            without_slurm(folder)
            times["dry run"] = [seconds(folder, *dry) for _ in range(repetitions)]
            times["train, to the first step"] = first_steps(folder, experiments[-1], device, repetitions)
    aims = {"--help": "< 0.3", "plan": "< 2", "dry run": "< 10", "train, to the first step": "< 5"}
    details: dict[str, Any] = {"runs": len(experiments), "preset": f"{project.scale}-{project.task}"}
    return [Figure(name, min(each), "s", aims[name], details | {"seconds": each}) for name, each in times.items()]


def write_project(folder: Path, small: bool, sizes: dict[str, int]) -> tuple[Project, list[Experiment]]:
    """A folder with the workflow and a study over ``tiny-asr``, of 1,040 runs or five, on a corpus of these sizes."""
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    settings = folder / expand.CONFIG_FOLDER
    seed = list(range(1, 2 if small else 17))
    targets, ratios = [[target] for target in _TARGETS], [0.5, 0.25, 0.12, 0.06]
    axes: dict[str, Any] = {"lowrank.targets": targets, "lowrank.ratio": ratios}
    if small:
        axes = {"lowrank.targets": targets[:1], "lowrank.ratio": ratios[:1]}
    axes |= {"lowrank.init": ["spectral", "random", "matched", "orthogonal"], "seed": seed}
    content = {"question": "How long does it take to begin?", "grids": [{"seed": seed}, axes]}
    (settings / f"studies/{NAME}.yaml").write_text(yaml.safe_dump(content))
    corpus = read_yaml(settings / "corpora/commands.yaml") | sizes
    (settings / "corpora/commands.yaml").write_text(yaml.safe_dump(corpus))
    asked = {"study": NAME, "task": "asr", "scale": "tiny", "corpus": "commands"}
    path = settings / "config.yaml"
    project = parse(Project, read_yaml(path) | asked, str(path))
    return project, expand.load(project, settings)


def command(*words: str) -> list[str]:
    """A module of Python as a command."""
    return [sys.executable, "-m", *words]


def without_slurm(folder: Path) -> None:
    """Hides Slurm's own ``scontrol``, for which Snakemake waits 10 s where Slurm is installed and does not run."""
    path = folder / BIN / "scontrol"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)


def environment(folder: Path) -> dict[str, str]:
    """Environment in which a command finds this package from any folder and keeps compiled files, as by default."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(ROOT), "PATH": f"{folder / BIN}{os.pathsep}{os.environ['PATH']}"}


def seconds(folder: Path, *words: str) -> float:
    """Seconds of one command in a folder.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    done = subprocess.run(
        command(*words), cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    taken = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"'{' '.join(words[:2])}' failed: {done.stderr.strip().splitlines()[-1:]}")
    return taken


def first_steps(folder: Path, experiment: Experiment, device: torch.device, repetitions: int) -> list[float]:
    """Seconds from the start of a training job to the end of its first step, several times; its corpus is prepared."""
    run = experiment.run
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, folder / "results/corpora" / run.prepared)
    found = []
    for repetition in range(repetitions):
        place = folder / f"{repetition}" / experiment.name
        write_json(place / CONFIG, run.model_dump(mode="json", exclude_none=True))
        words = command("lrsms", "train", "--device", device.type, str(place))
        log = place / TIMINGS
        began = time.perf_counter()
        with subprocess.Popen(words, cwd=folder, env=environment(folder), stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (log.is_file() and log.stat().st_size):
                time.sleep(0.01)
            found.append(time.perf_counter() - began)
            process.terminate()
        if not log.is_file():
            raise RuntimeError("training ended before its first step")
    return found
