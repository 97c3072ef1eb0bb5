"""The workflow on a real Slurm: what its jobs ask for, and what is left of a study when they, or Snakemake, are killed.

Only with LRSMS_SYSTEM_TESTS=1, since a Slurm is started on this machine for them (``one_machine_slurm.py``).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from one_machine_slurm import Unavailable, ask, needs_a_plain_path, slurm, wait_until
from scratch import CORPUS, PRESET, ROOT

pytestmark = [
    pytest.mark.slow,
    needs_a_plain_path,
    pytest.mark.skipif(
        os.environ.get("LRSMS_SYSTEM_TESTS") != "1", reason="starts a Slurm on this machine: set LRSMS_SYSTEM_TESTS=1"
    ),
]

LONG = PRESET.replace("steps: 4,", "steps: 1200,")
STUDY = """
question: Does a run outlive its jobs?
grids:
  - lowrank.targets: [[encoder.attention, encoder.feedforward]]
    lowrank.ratio: [0.5]
    seed: [1, 2]
"""
# The machine is smaller than a cluster, and has no accounting. Its GPUs are stand-ins, which no job can compute on.
SMALLER = {
    "workflow/rules/resources.smk": {
        "return 4": "return 1",
        '"train": 32000': '"train": 500',
        ": 8000": ": 400",
        "THREADS = 8": "THREADS = 1",
        'return "cuda"': 'return "cpu"',
    },
    "slurm/config.yaml": {"latency-wait: 60": "latency-wait: 10"},
}
WITHOUT_ACCOUNTING = ["--slurm-status-command", "squeue", "--slurm-status-attempts", "40"]
SOON = ["--slurm-init-seconds-before-status-checks", "1", "--max-status-checks-per-second", "0.2"]
SECONDS = 1200.0


@dataclass(frozen=True)
class Clone:
    """A clone of the project, on a Slurm."""

    folder: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, study: str, scale: str) -> subprocess.Popen[str]:
        """Starts Snakemake as a cluster's user does."""
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm"]
        command += [*WITHOUT_ACCOUNTING, *SOON, *arguments]
        command += ["--config", f"study={study}", f"scale={scale}", "corpus=small"]
        with (self.folder / "output.log").open("w") as log:
            started = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, text=True
            )
        self.started.append(started)
        return started

    def output(self) -> str:
        """What the last Snakemake printed."""
        return (self.folder / "output.log").read_text()

    def runs(self, scale: str) -> list[Path]:
        """The folders of the runs of a scale."""
        return sorted((self.folder / "results/runs").glob(f"{scale}-*"))


def jobs(comment: str) -> list[dict[str, str]]:
    """What Slurm says of the jobs whose comment, which holds rule and wildcards, begins so; the oldest first."""
    lines = ask("scontrol", "show", "job", "--oneliner").splitlines()
    known = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
    found = [job for job in known if job.get("Comment", "").startswith(comment)]
    return sorted(found, key=lambda job: int(job["JobId"]))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone with a space, a ``$`` and a ``;`` in its path, on a cluster of one machine."""
    folder = tmp_path_factory.mktemp("a $clone; of") / "lrsms"
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("local.yaml"))
    (folder / "slurm").symlink_to("workflow/profiles/slurm")
    for name, changes in SMALLER.items():
        text = (folder / name).read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        (folder / name).write_text(text)
    config = folder / "workflow/config"
    (config / "local.yaml").write_text("slurm_partition: main\n")
    (config / "corpora/small.yaml").write_text(CORPUS)
    (config / "presets/test-asr.yaml").write_text(PRESET)
    (config / "presets/long-asr.yaml").write_text(LONG)
    (config / "studies/two.yaml").write_text(STUDY)
    try:
        with slurm(tmp_path_factory.mktemp("slurm") / "slurm") as environment:
            clone = Clone(folder, environment)
            yield clone
            for snakemake in clone.started:
                snakemake.kill()  # of a test that failed
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def demonstrated(clone: Clone) -> Clone:
    """The clone after the whole demonstration, with a smaller network and fewer steps."""
    assert clone.start(study="demo", scale="test").wait(SECONDS) == 0, clone.output()
    return clone


def test_the_demonstration_runs_on_slurm(demonstrated: Clone) -> None:
    clone, results = demonstrated, demonstrated.folder / "results"
    assert len(list((results / "records").iterdir())) == len(clone.runs("test")) > 5
    assert (results / "demo-asr-test-small/table.csv").is_file()
    assert {job["JobState"] for job in jobs("rule_")} == {"COMPLETED"}


def test_jobs_ask_for_what_the_rules_say(demonstrated: Clone) -> None:
    clone = demonstrated
    trained = jobs("rule_train_wildcards_test-")
    assert len(trained) == len(clone.runs("test"))
    for job in trained:
        assert (job["Partition"], job["TimeLimit"], job["MinMemoryNode"]) == ("main", "1-00:00:00", "500M")
        assert (job["TresPerJob"], job["NumTasks"]) == ("gres:gpu:1", "1")
    (prepared,) = jobs("rule_prepare")
    assert prepared["TimeLimit"] == "04:00:00" and "TresPerJob" not in prepared
    assert not jobs("rule_tables")  # seconds of work do not queue


@pytest.mark.parametrize(("seed", "warning"), [(1, []), (2, ["--signal=USR1"])])
def test_a_job_that_is_cancelled_half_way_is_submitted_again_and_ends_the_same(
    clone: Clone, tmp_path: Path, seed: int, warning: list[str]
) -> None:
    """By ``scancel``, or by the warning that its time is nearly up, which leaves a checkpoint to go on from."""
    run = long_run(clone, seed)
    snakemake = clone.start(str(run / "run.json"), study="two", scale="long")
    half_way(clone, run, snakemake)
    (job,) = jobs(f"rule_train_wildcards_{run.name}")
    ask("scancel", *warning, job["JobId"])
    assert snakemake.wait(SECONDS) == 0, clone.output()

    first, second = jobs(f"rule_train_wildcards_{run.name}")
    assert (first["JobId"], second["JobState"]) == (job["JobId"], "COMPLETED")
    assert first["JobState"] == ("FAILED" if warning else "CANCELLED")
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("500M", "1000M")
    folder = clone.folder / run
    assert resumed(folder) or not warning
    assert (folder / "weights.safetensors").read_bytes() == uninterrupted(clone, folder, tmp_path)


def test_snakemake_killed_and_started_again_redoes_nothing_that_is_finished(clone: Clone) -> None:
    """What was at work goes on: its jobs are cancelled, since they outlive Snakemake, and the folder is unlocked."""
    shutil.rmtree(clone.folder / "results/runs", ignore_errors=True)  # as the tests before left them
    before = {seed: len(jobs(f"rule_train_wildcards_{long_run(clone, seed).name}")) for seed in (1, 2)}
    targets = [str(long_run(clone, seed) / "run.json") for seed in (1, 2)]
    snakemake = clone.start("--jobs", "1", *targets, study="two", scale="long")
    wait_until(lambda: any((clone.folder / target).is_file() for target in targets), SECONDS, "no run ends")
    done, other = sorted((clone.folder / target for target in targets), key=lambda path: not path.is_file())
    written = done.read_bytes()
    half_way(clone, other.parent, snakemake)
    snakemake.send_signal(signal.SIGKILL)
    snakemake.wait()
    ask("scancel", "--user=root")
    wait_until(lambda: not ask("squeue", "-h"), SECONDS, "jobs do not end")

    assert clone.start("--unlock", study="two", scale="long").wait(SECONDS) == 0
    again = clone.start(*targets, study="two", scale="long")
    assert again.wait(SECONDS) == 0, clone.output()
    assert done.read_bytes() == written
    after = {seed: len(jobs(f"rule_train_wildcards_{long_run(clone, seed).name}")) for seed in (1, 2)}
    assert sorted(after[seed] - before[seed] for seed in (1, 2)) == [1, 2]
    assert {json.loads((clone.folder / target).read_text())["status"] for target in targets} == {"finished"}


def long_run(clone: Clone, seed: int) -> Path:
    """The folder of a run of the study of long runs, relative to the clone's."""
    from lrsms.base.strict import parse
    from lrsms.base.yamlfile import read_yaml
    from lrsms.study import expand
    from lrsms.study.project import Project

    folder = clone.folder / "workflow/config"
    asked = {"study": "two", "scale": "long", "corpus": "small"}
    project = parse(Project, read_yaml(folder / "config.yaml") | asked, "config.yaml")
    (name,) = (e.name for e in expand.load(project, folder) if e.run.seed == seed)
    return Path("results/runs") / name


def half_way(clone: Clone, run: Path, snakemake: subprocess.Popen[str]) -> None:
    """Waits until a run has made 300 of its 1200 steps."""
    metrics = clone.folder / run / "metrics.jsonl"

    def is_half_way() -> bool:
        assert snakemake.poll() is None, clone.output()
        return metrics.is_file() and metrics.read_bytes().count(b"\n") > 300

    wait_until(is_half_way, SECONDS, "no run gets half way")


def resumed(folder: Path) -> bool:
    """Whether a run went on from a checkpoint."""
    return re.search(r'"(resumed_at|start)": [1-9]', (folder / "run.json").read_text()) is not None


def uninterrupted(clone: Clone, folder: Path, tmp_path: Path) -> bytes:
    """The weights of the same run, trained at one go without Slurm."""
    alone = tmp_path / folder.name
    alone.mkdir()
    shutil.copy(folder / "config.json", alone)
    command = [sys.executable, "-m", "lrsms", "train", "--device", "cpu", "--corpora", "results/corpora", str(alone)]
    subprocess.run(command, cwd=clone.folder, check=True, capture_output=True)
    return (alone / "weights.safetensors").read_bytes()
