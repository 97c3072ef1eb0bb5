"""Fabricated records of a small study: dense and low-rank runs with made-up scores, for tests of what reads records."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lrsms.methods.closed_form import plan_of
from lrsms.record.curve import write_curve
from lrsms.record.losses import Loss
from lrsms.study.corpus import Manifest
from lrsms.study.decoding import Condition, Decoder, Decoding
from lrsms.study.expand import Experiment
from lrsms.study.fields import describe, difference
from lrsms.study.lowrank import LowRank
from lrsms.study.run import Model, Run, Tokenizer, Train

DECODING = Decoding(
    decoders={
        "greedy": Decoder(kind="greedy"),
        "beam": Decoder(kind="beam", beam=8, ctc_weight=0.3, length_bonus=0.0),
    },
    conditions={"valid": Condition(split="valid"), "test": Condition(split="test")},
)
SPEAKERS = tuple(f"s{number:02d}" for number in range(12))
VOCABULARY = 30
ATTENTION, FEEDFORWARD = "encoder.attention", "encoder.feedforward"
DEMO: list[tuple[float, dict[str, Any] | None]] = [
    (0.10, None),
    (0.11, {"targets": (ATTENTION,), "ratio": 0.5}),
    (0.12, {"targets": (ATTENTION,), "ratio": 0.25}),
    (0.15, {"targets": (ATTENTION,), "ratio": 0.12}),
    (0.17, {"targets": (FEEDFORWARD,), "ratio": 0.25}),
    (0.18, {"targets": (ATTENTION, FEEDFORWARD), "ratio": 0.25}),
    (0.30, {"targets": (ATTENTION, FEEDFORWARD), "ratio": 0.25, "init": "random"}),
    (0.19, {"targets": (ATTENTION, FEEDFORWARD), "ratio": 0.25, "mapping": "linear", "slope": 0.5}),
]
"""Word error rate and low rank of each cell: like the demonstration study."""


def run(lowrank: Mapping[str, Any] | None = None, seed: int = 1, **train: Any) -> Run:
    """A run; keywords change its training."""
    settings: dict[str, Any] = {"steps": 10, "group_frames": 100, "groups_per_step": 2, "lr": 0.001, "warmup": 0.1}
    settings |= {
        "betas": (0.9, 0.98),
        "weight_decay": 0.03,
        "clip": 5.0,
        "ctc_weight": 1.0,
        "label_smoothing": 0.1,
        "precision": "float32",
    }
    settings |= {"snapshots": 2, "average": 1}
    return Run(
        scale="demo",
        task="asr",
        corpus=Manifest(kind="manifest", name="speech"),
        tokenizer=Tokenizer(kind="characters"),
        model=Model(
            frontend="logmel",
            mels=80,
            channels=32,
            dim=96,
            heads=4,
            feedforward=384,
            layers=3,
            kernel=15,
            decoder_layers=0,
            dropout=0.1,
            initialiser="default",
        ),
        lowrank=None if lowrank is None else LowRank(**lowrank),
        train=Train(**(settings | train)),
        seed=seed,
    )


def experiment(run_: Run, axes: dict[str, Any] | None = None) -> Experiment:
    """The run as a study over the dense baseline sees it."""
    return Experiment(run_, run(), describe(difference(run(), run_)), axes or {})


def demo(seeds: Sequence[int] = (1,)) -> list[tuple[float, Experiment]]:
    """Word error rate and experiment for every cell of ``DEMO`` and seed."""
    return [(rate, experiment(run(lowrank, seed))) for rate, lowrank in DEMO for seed in seeds]


def scores(rate: float, seed: int, speakers: Sequence[str] = SPEAKERS) -> pd.DataFrame:
    """Ten six-word utterances a speaker; the speakers differ, the runs see the same utterances."""
    generator = np.random.default_rng(seed)
    rows = []
    for decoder in DECODING.decoders:
        for condition in DECODING.conditions:
            for number, speaker in enumerate(speakers):
                hardness = 0.5 + (number % 6) / 5
                for utterance in range(10):
                    chance = min(1.0, rate * hardness * (1.1 if decoder == "greedy" else 1))
                    edits = int(generator.binomial(6, chance))
                    counts = {"words": 6, "substitutions": edits, "deletions": 0, "insertions": 0}
                    counts |= {"characters": 25, "character_edits": 2 * edits}
                    name, start = f"{number:02d}-{utterance}", utterance % 6
                    letters = ("S" * edits + "C" * (6 - edits)) * 2
                    row = {"decoder": decoder, "condition": condition, "id": name, "speaker": speaker}
                    rows.append(row | counts | {"alignment": letters[start : start + 6]})
    return pd.DataFrame(rows)


def losses(table: pd.DataFrame, attention: bool = False) -> list[Loss]:
    """Losses of 24 tokens for each scored utterance: the more the more words are wrong; of a decoder too, or not."""
    rows = []
    for row in table.drop_duplicates(["condition", "id"]).itertuples():  # of the first decoder
        nats = 3.0 + 2.0 * int(row.substitutions) + 0.125 * len(rows) % 7
        rows.append(Loss(row.condition, row.id, 24, nats, nats / 2 if attention else None))
    return rows


def plan(experiment_: Experiment) -> dict[str, Any]:
    """The content of the run's ``plan.json``."""
    return json.loads(json.dumps(plan_of(experiment_.run, VOCABULARY)))


def parameters(experiment_: Experiment) -> tuple[int, int]:
    """Size of the model, and of the dense one."""
    planned = plan(experiment_)
    return planned["parameters"], planned["parameters_dense"]


def matrices(experiment_: Experiment) -> list[dict[str, Any]]:
    """The kinds of matrices of the plan, with the run's ranks."""
    return plan(experiment_)["matrices"]


def spectra(experiment_: Experiment) -> dict[str, Any]:
    """Spectra of these matrices: they fall exponentially, with depth less."""
    indices: dict[str, list[int]] = {}
    entries = []
    for planned in matrices(experiment_):
        entry: dict[str, Any] = {key: planned[key] for key in ("name", "role", "rows", "columns", "layers", "ranks")}
        entry |= {key: [] for key in ("largest", "stable_ranks", "effective_ranks", "energy_ranks", "values")}
        for layer, rank in zip(planned["layers"], planned["ranks"], strict=True):
            size = rank or min(planned["rows"], planned["columns"])
            places = sorted({round((size - 1) * (point / 32) ** 2) for point in range(33)})
            values = np.exp(-(6 - layer) * np.arange(size) / 96)
            shares, energy = values / values.sum(), np.cumsum(values**2)
            entry["largest"].append(2.0 + layer)
            entry["stable_ranks"].append(round(float(energy[-1]), 3))
            entry["effective_ranks"].append(round(float(np.exp(-(shares * np.log(shares)).sum())), 3))
            entry["energy_ranks"].append(int((energy < 0.9 * energy[-1]).sum()) + 1)
            entry["values"].append([float(f"{values[place]:.3g}") for place in places])
            indices[str(size)] = places
        entries.append(entry)
    return {"energy": 0.9, "indices": indices, "matrices": entries}


def curve(rate: float, steps: int = 10, snapshots: int = 2, attention: bool = False) -> pd.DataFrame:
    """A training curve that ends at a word error rate of ``rate`` on validation; with a loss of the decoder, or not."""
    step = np.arange(1, snapshots + 1) * steps // snapshots
    falling = np.exp(1 - step / steps)
    columns: dict[str, Any] = {"step": step, "epoch": step // 4, "frames": 150 * step, "loss": 20 * falling}
    columns |= {"ctc": 20 * falling, "attention": 20 * falling if attention else np.nan}
    columns |= {"gradient_norm": 3 * falling, "lr": 0.0005 * falling}
    columns |= {"valid_loss": 25 * falling, "valid_wer": np.minimum(1, rate * falling)}
    return pd.DataFrame(columns)


def record(folder: Path, experiment_: Experiment, table: pd.DataFrame, **run_json: Any) -> Path:
    """Writes one record, of a finished run unless keywords, which change ``run.json``, say otherwise."""
    record_folder = folder / experiment_.name
    record_folder.mkdir(parents=True)
    content: dict[str, Any] = {"status": "finished", "diverged_at": None, "steps": 10, "data_hash": "abc"}
    content |= {
        "macs_per_second": plan(experiment_)["parameters"] * 30.0,
        "peak_memory_mb": 512.0,
        "device": "processor",
        "provenance": {},
        **run_json,
    }
    parts = {"config": experiment_.run.model_dump(mode="json"), "plan": plan(experiment_), "run": content}
    if content["status"] == "finished":
        parts |= {"spectra": spectra(experiment_)}
    for name, data in parts.items():
        (record_folder / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    on_validation = table[table["condition"] == "valid"]
    rate = on_validation["substitutions"].sum() / max(on_validation["words"].sum(), 1)
    course = curve(float(rate), attention=experiment_.run.model.decoder_layers > 0)
    if content["status"] == "diverged":  # the last row is of the steps after the last snapshot
        end = content["diverged_at"]
        last = course.iloc[-1:].assign(step=end, epoch=end // 4, frames=150 * end, valid_wer=np.nan, valid_loss=np.nan)
        course = pd.concat([course[course["step"] < end], last])
    write_curve(record_folder / "curve.csv", course)
    with gzip.open(record_folder / f"scores-{DECODING.digest}.csv.gz", "wt", encoding="utf-8", newline="") as file:
        table.to_csv(file, index=False)
    return record_folder


def _kept(lowrank: LowRank | None) -> float:
    """Fraction of full rank, the mean over targets."""
    targets = lowrank.targets if lowrank else ()
    return sum(lowrank.ratio_of(target) for target in targets) / len(targets) if lowrank else 1.0


def steptime(folder: Path, experiment_: Experiment, **content: Any) -> Path:
    """Writes the measurement of a training step."""
    generator = np.random.default_rng(5)
    size, dense = parameters(experiment_)
    baseline_ms = generator.normal(50, 2, size=30)
    run_ms = baseline_ms * (1 - 0.22 * (1 - _kept(experiment_.run.lowrank))) + generator.normal(0, 1, size=30)
    data = {"baseline_ms": list(baseline_ms), "run_ms": list(run_ms), "threads": 2, "device": "CPU", "frames": 640}
    data |= {"precision": "float32", "baseline": size == dense, **content}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{experiment_.steptime}.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def demo_study(folder: Path, seeds: Sequence[int] = (1,)) -> tuple[list[Experiment], Path, Path]:
    """Records and step times of the ``DEMO`` study: its experiments, and the two folders."""
    experiments = []
    for number, (rate, experiment_) in enumerate(demo(seeds)):
        record(folder / "records", experiment_, scores(rate, number))
        steptime(folder / "steptime", experiment_)
        experiments.append(experiment_)
    return experiments, folder / "records", folder / "steptime"
