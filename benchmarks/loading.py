"""Does loading hold the device back? Frames a second that are read, and on a GPU the share of steps spent waiting.

Groups are those of the ``mini`` presets, with their noise, masks, crops and absent modalities. They are read from
prepared streams, and from recordings that are decoded in place, by one thread and by several. On a GPU, runs of the
presets are trained for 100 steps, and the share of waiting is read from their logs.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks.figure import Figure
from lrsms.base.strict import parse
from lrsms.data import video
from lrsms.data.batch import training_batch
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.record.run_files import TIMINGS
from lrsms.study import config_files, expand
from lrsms.study.corpus import AutoAvsr, Corpus, Manifest
from lrsms.study.frames import SAMPLE_RATE, SAMPLES_PER_FRAME
from lrsms.study.run import Run, Task
from lrsms.training.loop import train
from lrsms.training.steplog import waited_share

FRAMES = 100
"""Frames of an utterance: 4 s."""
SPLITS = {"train": 64, "valid": 1, "test": 1}
"""Utterances of each split; those of train fill a group of a ``mini`` preset."""
SMALL_SPLITS = {"train": 4, "valid": 1, "test": 1}
TEXT = "bin blue at f two now"
STEPS = 100
REPETITIONS = 5
TASKS: tuple[Task, ...] = ("asr", "avsr")


def measure(device: torch.device, small: bool) -> list[Figure]:
    """Frames a second for each kind of group, and the share of time that training waits."""
    figures: list[Figure] = []
    threads = (1, 2) if small else tuple(number for number in (1, 2, 4, 8) if number <= (os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "recordings"
        record(root, SMALL_SPLITS if small else SPLITS)
        for task in TASKS:
            for kind in (Manifest(kind="manifest", name="mine"), in_place_corpus()):
                run = mini(task, kind)
                prepared = Path(folder) / run.prepared
                prepare(run.corpus, run.tokenizer, run.model.modalities, root, prepared)
                name = f"{task}, {'in place' if run.corpus.in_place else 'prepared'}"
                figures += speed(name, Prepared(prepared), run, threads, 2 if small else REPETITIONS)
                share = None
                if device.type == "cuda":
                    runs = Path(folder) / f"run-{run.digest}"
                    train(run, Prepared(prepared), runs, device)
                    share = waited_share(runs / TIMINGS)
                figures.append(
                    Figure(f"{name}: share of steps spent waiting", share, "of time", "< 0.05", {"steps": STEPS})
                )
    return figures


def speed(name: str, prepared: Prepared, run: Run, threads: Sequence[int], repetitions: int) -> list[Figure]:
    """Frames a second, and the speed-up by several threads. They take turns; the best of each counts."""
    items = prepared.items("train")
    num_frames = sum(item.frames for item in items)
    seconds: dict[int, list[float]] = {number: [] for number in threads}
    before = torch.get_num_threads()
    try:
        for epoch in range(repetitions):
            for number in threads:
                torch.set_num_threads(number)
                began = time.perf_counter()
                training_batch(prepared, items, run, epoch)
                seconds[number].append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    rates = {number: num_frames / min(times) for number, times in seconds.items()}
    details = {"frames": num_frames, "seconds_by_threads": seconds}
    return [
        Figure(f"{name}: one thread", rates[1], "frames/s", details=details),
        Figure(f"{name}: {max(threads)} threads over one", rates[max(threads)] / rates[1], "x"),
    ]


def mini(task: Task, corpus: Corpus) -> Run:
    """A run of the ``mini`` preset for ``STEPS`` steps. There are so few texts that they are spelt in characters."""
    path, preset = config_files.load_preset(f"mini-{task}", Path(__file__).parents[1] / expand.CONFIG_FOLDER)
    preset["train"] |= {"steps": STEPS, "snapshots": 1, "average": 1}
    content = preset | {
        "scale": "mini",
        "task": task,
        "corpus": corpus.model_dump(mode="json", exclude_none=True),
        "tokenizer": {"kind": "characters"},
    }
    return parse(Run, content, str(path))


def in_place_corpus() -> AutoAvsr:
    """The recordings as Auto-AVSR lists them; they are decoded in place."""
    return AutoAvsr(
        kind="auto_avsr",
        name="there",
        units="units.txt",
        train=("train.csv",),
        valid=("valid.csv",),
        test=("test.csv",),
    )


def record(root: Path, splits: dict[str, int]) -> None:
    """Writes noise as sound, and a moving pattern with the grain of a camera as video, and lists them in both ways."""
    (root / "labels").mkdir(parents=True)
    (root / "clips").mkdir()
    words = TEXT.split()
    (root / "units.txt").write_text(
        "".join(f"\u2581{word} {number}\n" for number, word in enumerate(words, start=1)), encoding="utf-8"
    )
    tokens = " ".join(str(number) for number in range(1, len(words) + 1))
    lines = ["id\tsplit\taudio\tvideo\tspeaker\ttext\n"]
    generator = np.random.default_rng(0)
    rows, columns, times = np.arange(96)[:, None], np.arange(96), np.arange(FRAMES)[:, None, None]
    for split, count in splits.items():
        names = [f"{split}{number}" for number in range(count)]
        for number, name in enumerate(names):
            samples = 0.1 * generator.standard_normal(FRAMES * SAMPLES_PER_FRAME)
            soundfile.write(root / "clips" / f"{name}.wav", samples, SAMPLE_RATE)
            pattern = 128 + 60 * np.sin(columns / 15 + 0.3 * times + number) + 40 * np.cos(rows / 20 - 0.2 * times)
            grain = generator.integers(-10, 11, pattern.shape)
            video.write(root / "clips" / f"{name}.mp4", np.clip(pattern + grain, 0, 255).astype(np.uint8))
            lines.append(f"{name}\t{split}\tclips/{name}.wav\tclips/{name}.mp4\ts{number % 4}\t{TEXT}\n")
        clips = "".join(f"clips,{name}.mp4,{FRAMES},{tokens}\n" for name in names)
        (root / "labels" / f"{split}.csv").write_text(clips)
    (root / "manifest.tsv").write_text("".join(lines), encoding="utf-8")
