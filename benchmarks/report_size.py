"""What does the report of 1,000 runs take? Seconds and memory of each verb, from records to tables, figures and pages.

Once the records are aggregated, the other verbs run two at a time, as in the workflow on two cores. The records are
invented: a study over ``tiny-asr`` with two decoders, and score tables as large as those of the demo corpus.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.figure import Figure
from benchmarks.startup import FEW, command, environment, write_project
from lrsms.base.files import write_json
from lrsms.methods.build import build_structure
from lrsms.methods.operations import plan_summary
from lrsms.record.curve import write_curve
from lrsms.record.run_files import CONFIG, CURVE, OUTCOME, PLAN, SPECTRA
from lrsms.record.score import Alignment, Score, write_scores
from lrsms.report.results import folder_name
from lrsms.study.decoding import Decoding
from lrsms.study.expand import Experiment
from lrsms.study.run import Train

JOBS = 2
VOCABULARY = 30
WORDS = 6
SPEAKERS = 48
SIZES = {"valid": 96, "test": 240}
"""Utterances of a split."""
_LAUNCHER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(done.returncode)
"""
"""A program between this process and a verb; without it, the verb's peak memory would include this process's."""


@dataclass(frozen=True)
class Cost:
    """The cost of one command: wall seconds, processor seconds, and peak memory."""

    seconds: float
    processor_seconds: float
    megabytes: float


def measure(device: torch.device, small: bool) -> list[Figure]:
    """Seconds and megabytes of each verb and of all together. The small form only aggregates a few runs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sizes = dict.fromkeys(SIZES, SPEAKERS) if small else SIZES
        project, experiments = write_project(folder, small, FEW | sizes)
        write_records(folder, experiments, project.decoding, sizes)
        results = f"results/{folder_name(project)}"
        of_project = ["--project", project.model_dump_json()]
        began = time.perf_counter()
        costs = {"aggregate": cost(folder, "aggregate", *of_project, results, f"{results}/runs.txt")}
        if not small:
            verbs = {"tables": ["tables", results], "figures": ["figures", results, "figures"]}
            verbs |= {"pages": ["pages", *of_project, results, "pages"]}
            with ThreadPoolExecutor(min(JOBS, os.cpu_count() or 1)) as jobs:  # as the workflow runs them
                begun = {name: jobs.submit(cost, folder, *words) for name, words in verbs.items()}
                costs |= {name: job.result() for name, job in begun.items()}
        taken = time.perf_counter() - began
    details = {"runs": len(experiments), "utterances": sum(sizes.values()) * len(project.decoders)}
    figures = []
    for name, one in costs.items():
        more = details | {"processor_seconds": one.processor_seconds}
        figures += [Figure(name, one.seconds, "s", details=more), Figure(f"{name}: memory", one.megabytes, "MB")]
    aims = ("", "") if small else ("< 60", "< 2000")
    figures.append(Figure("all", taken, "s", aims[0], details))
    most = sum(sorted(one.megabytes for one in costs.values())[-JOBS:])
    figures.append(Figure("all: memory, at most", most, "MB", aims[1]))
    return figures


def cost(folder: Path, *words: str) -> Cost:
    """The cost of one verb in a folder.

    Raises:
        RuntimeError: it failed.
    """
    launched = [sys.executable, "-c", _LAUNCHER, *command("lrsms", *words)]
    began = time.perf_counter()
    done = subprocess.run(launched, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    taken = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"'{words[0]}' failed: {done.stderr.strip().splitlines()[-1:]}")
    processor_seconds, kilobytes = map(float, done.stdout.split())
    return Cost(taken, processor_seconds, kilobytes / 2**10)


def write_records(folder: Path, experiments: list[Experiment], decoding: Decoding, sizes: dict[str, int]) -> None:
    """Writes records and step times of these runs, as if they had finished."""
    generator = np.random.default_rng(1)
    plans: dict[str, dict[str, Any]] = {}
    for experiment in experiments:
        run = experiment.run
        if experiment.cell not in plans:
            plans[experiment.cell] = plan_summary(*build_structure(run, VOCABULARY))
        plan = plans[experiment.cell]
        record = folder / "results/records" / experiment.name
        write_json(record / CONFIG, run.model_dump(mode="json", exclude_none=True))
        write_json(record / PLAN, plan)
        outcome: dict[str, Any] = {
            "status": "finished",
            "diverged_at": None,
            "steps": run.train.steps,
            "data_hash": "made up",
        }
        outcome |= {"macs_per_second": 30.0 * plan["parameters"], "peak_memory_mb": 500.0, "device": "none"}
        write_json(record / OUTCOME, outcome | {"seconds": 600.0, "provenance": {}})
        write_json(record / SPECTRA, spectra(plan))
        write_curve(record / CURVE, curve(run.train))
        write_scores(record / decoding.scores, scores(decoding, sizes, generator))
        times = [float(time) for time in generator.normal(50, 2, size=30)]
        step: dict[str, Any] = {"baseline_ms": times, "run_ms": times[::-1], "threads": 1, "device": "none"}
        write_json(
            folder / f"results/steptime/{experiment.steptime}.json", step | {"frames": 1600, "precision": "float32"}
        )


def scores(decoding: Decoding, sizes: dict[str, int], generator: np.random.Generator) -> list[Score]:
    """Scores in which every utterance, decoder and condition has a tenth of its words substituted."""
    rows = []
    for condition, asked in decoding.conditions.items():
        letters = generator.choice(["C", "S"], p=[0.9, 0.1], size=(len(decoding.decoders), sizes[asked.split], WORDS))
        for decoder, texts in zip(decoding.decoders, letters, strict=True):
            for number, text in enumerate(texts):
                alignment = Alignment("".join(text), 5 * WORDS, int((text == "S").sum()))
                rows.append(Score(decoder, condition, f"u{number:04d}", f"s{number % SPEAKERS:02d}", alignment))
    return rows


def curve(train: Train) -> pd.DataFrame:
    """A training curve that falls as 1 / step, its learning rate from the peak to zero."""
    share = np.arange(1, train.snapshots + 1) / train.snapshots
    step = np.rint((train.steps or 1000) * share).astype(int)
    columns: dict[str, Any] = {"step": step, "epoch": step // 400, "frames": 1500 * step}
    names = ("loss", "ctc", "attention", "gradient_norm", "lr", "valid_loss", "valid_wer")
    return pd.DataFrame(columns | dict.fromkeys(names, 100 / step) | {"lr": train.lr * (1 - share)})


def spectra(plan: dict[str, Any]) -> dict[str, Any]:
    """Singular values that fall evenly, at 33 places of each matrix."""
    entries, indices = [], {}
    for planned in plan["matrices"]:
        sizes = [rank or min(planned["rows"], planned["columns"]) for rank in planned["ranks"]]
        entry = {key: planned[key] for key in ("name", "role", "rows", "columns", "layers", "ranks")}
        entry |= {key: [size / 2 for size in sizes] for key in ("largest", "stable_ranks", "effective_ranks")}
        values = []
        for size in sizes:
            places = sorted({round((size - 1) * (point / 32) ** 2) for point in range(33)})
            indices[str(size)] = places
            values.append([1 - place / size for place in places])
        entries.append(entry | {"energy_ranks": sizes, "values": values})
    return {"energy": 0.9, "indices": indices, "matrices": entries}
