"""What do packed runs finish in the time of one? Runs of the demo study an hour, several at a time and one at a time.

It measures whole ``train`` jobs of the demo study's cells, with about a hundred steps each. Start-up counts, as in the
workflow. On a CPU, two jobs of one thread each compare with one job of one thread and one job of two threads. On a GPU,
one, two, four and eight jobs share a card. The small form only runs two jobs to their end.
"""

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.figure import Figure
from benchmarks.shipped import experiments_of
from lrsms.base.files import write_json
from lrsms.data.prepare import prepare
from lrsms.record.run_files import CONFIG
from lrsms.study.run import Run

ROOT = Path(__file__).parents[1]
STEPS = 150
REPETITIONS = 2


@dataclass(frozen=True)
class Packing:
    """The number of jobs that run at a time, and the processor threads of each."""

    jobs: int
    threads: int

    def __str__(self) -> str:
        return f"{self.jobs} at a time, {self.threads} thread{'s' if self.threads > 1 else ''} each"


ON_CPU = (Packing(1, 1), Packing(1, 2), Packing(2, 1))
ON_GPU = (Packing(1, 1), Packing(2, 1), Packing(4, 1), Packing(8, 1))


def measure(device: torch.device, small: bool) -> list[Figure]:
    """Runs an hour for each packing, and its ratio to one job of one thread. Packings take turns; the best counts."""
    packings = ON_CPU[-1:] if small else ON_GPU if device.type == "cuda" else ON_CPU
    seconds: dict[Packing, list[float]] = {packing: [] for packing in packings}
    num_runs = max(4, max(packing.jobs for packing in packings))  # a multiple of each packing's jobs
    runs = demo_runs(num_runs, 2 if small else STEPS, small)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = runs[0]
        prepare(run.corpus, run.tokenizer, run.model.modalities, None, folder / "corpora" / run.prepared)
        for repetition in range(1 if small else REPETITIONS):
            for packing in packings:
                count = packing.jobs if small else num_runs
                here = folder / f"{packing.jobs}-{packing.threads}-{repetition}"
                seconds[packing].append(train_all(runs[:count], here, folder / "corpora", device, packing) / count)
    figures = []
    for packing, each in seconds.items():
        details = {"seconds_a_run": each, "steps": runs[0].train.steps}
        figures.append(Figure(f"runs an hour, {packing}", 3600 / min(each), "1/h", details=details))
    alone = min(seconds[packings[0]])
    aim = "> 1" if device.type == "cpu" else ""
    for packing in packings[1:]:
        figures.append(Figure(f"{packing}, over {packings[0]}", alone / min(seconds[packing]), "x", aim))
    return figures


def demo_runs(num_runs: int, steps: int, small: bool) -> list[Run]:
    """Different runs of the demo study, with ``steps`` steps and fewer utterances."""
    experiments = experiments_of("demo", "demo", "commands")
    sizes = {"train": 24, "valid": 4, "test": 4} if small else {"train": 400, "valid": 24, "test": 4}
    sizes |= {"train_voices": 4, "valid_voices": 2, "test_voices": 2}
    changes = {"steps": steps, "snapshots": 1, "average": 1}
    runs = []
    for number in range(num_runs):
        run = experiments[number % len(experiments)].run
        corpus, train = run.corpus.model_copy(update=sizes), run.train.model_copy(update=changes)
        runs.append(run.model_copy(update={"corpus": corpus, "train": train, "seed": number + 1}))
    return runs


def train_all(runs: list[Run], folder: Path, corpora: Path, device: torch.device, packing: Packing) -> float:
    """Seconds until all are trained.

    Raises:
        RuntimeError: one of them failed.
    """

    def train(run: Run) -> None:
        place = folder / f"run-{run.digest}"
        write_json(place / CONFIG, run.model_dump(mode="json", exclude_none=True))
        options = ["--device", device.type, "--threads", str(packing.threads), "--corpora", str(corpora)]
        command = [sys.executable, "-m", "lrsms", "train", *options, str(place)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"a run failed: {done.stderr.strip().splitlines()[-1:]}")

    began = time.perf_counter()
    with ThreadPoolExecutor(packing.jobs) as pool:
        list(pool.map(train, runs))
    return time.perf_counter() - began
