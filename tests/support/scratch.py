"""A study of seconds, ``scratch``, and the real workflow on it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.study.project import Project

ROOT = Path(__file__).parents[2]

CORPUS = """
kind: synthetic
grammar: commands
train: 24
valid: 6
test: 6
train_voices: 4
valid_voices: 2
test_voices: 3
"""
PRESET = """
tokenizer: {kind: characters}
model: {frontend: logmel, mels: 20, channels: 4, dim: 16, heads: 2, feedforward: 32, layers: 2, kernel: 3,
        decoder_layers: 1, dropout: 0.0, initialiser: default}
train: {steps: 4, group_frames: 400, groups_per_step: 1, lr: 1e-3, betas: [0.9, 0.98], weight_decay: 0.0, warmup: 0.25,
        clip: 5.0, ctc_weight: 0.5, label_smoothing: 0.1, precision: float32, snapshots: 2, average: 2}
"""
STUDY = """
question: Does the workflow work?
grids:
  - seed: [1]
  - lowrank.targets: [[encoder.attention]]
    lowrank.ratio: [0.5]
    seed: [1]
"""


def scratch_project(folder: Path, lists: str, preset: str = PRESET) -> Path:
    """Copies the workflow into ``folder`` with the study and ``lists`` for ``reference.yaml``; its config's folder."""
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("local.yaml"))
    config = folder / "workflow/config"
    (config / "reference.yaml").write_text(lists)
    (config / "corpora/small.yaml").write_text(CORPUS)
    (config / "presets/test-asr.yaml").write_text(preset)
    (config / "studies/scratch.yaml").write_text(STUDY)
    return config


def snakemake(folder: Path, *arguments: str, study: str = "scratch") -> subprocess.CompletedProcess[str]:
    settings = ["--config", f"study={study}", "scale=test", "corpus=small"]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, *settings]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def planned(folder: Path, *arguments: str, study: str = "scratch") -> dict[str, int]:
    """How many jobs of each rule a dry run plans."""
    done = snakemake(folder, "--dry-run", *arguments, study=study)
    assert done.returncode == 0, done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE))
    return {rule: int(count) for rule, count in jobs.items() if rule not in ("job", "total", "all")}


def shipped_project(folder: Path = ROOT / "workflow/config") -> Project:
    """What the ``config.yaml`` of a folder asks."""
    return parse(Project, read_yaml(folder / "config.yaml"), "config.yaml")
