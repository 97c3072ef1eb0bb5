"""Step time: dense and low rank interleaved in one process on one device, so that the machine's drift hits both."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from lrsms.build import build_model
from lrsms.config import Run
from lrsms.data.audio import SAMPLES_PER_FRAME
from lrsms.data.augment import CROP
from lrsms.data.batch import Batch
from lrsms.data.prepared import Item
from lrsms.models.norm import update_running_statistics
from lrsms.progress import progress
from lrsms.provenance import provenance
from lrsms.study import step_shape
from lrsms.train import accumulate, device_name

FRAMES = 100
"""Frames of every random utterance: 4 s."""
CHARACTERS_PER_UTTERANCE, PIECES_PER_UTTERANCE = 50, 16
NUM_CHARACTERS = 30
"""Vocabulary of a character tokenizer, whose true size depends on a corpus."""
WARMUP_STEPS = 3
MIN_PAIRS = 8


def step_time(run: Run, baseline: Run, device: torch.device, seconds: float) -> dict[str, Any]:
    """Times whole training steps (inputs, forward, backward, clipping, optimizer) of a run and of its baseline.

    Random utterances fill each group to ``train.group_frames``. Steps alternate; after warm-up they are timed one by
    one, the device synchronised, for about ``seconds``.

    Returns:
        The content of the measurement's file: milliseconds of every step of both, in pairs; the baseline itself has no
        other to be paired with.
    """
    same = step_shape(run) == step_shape(baseline)
    steps = [training_step(baseline, device)] if same else [training_step(baseline, device), training_step(run, device)]
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(WARMUP_STEPS):
        for step in steps:
            timed(step, device)
    began = time.monotonic()
    with progress("step time") as show:
        while len(times[0]) < MIN_PAIRS or time.monotonic() - began < seconds:
            order = range(len(steps)) if len(times[0]) % 2 == 0 else reversed(range(len(steps)))
            for index in order:  # taking turns at going first
                times[index].append(timed(steps[index], device))
            show(min(round(time.monotonic() - began), round(seconds)), round(seconds))
    return {
        "baseline": same,
        "baseline_ms": times[0],
        "run_ms": [] if same else times[1],
        "median_ms": statistics.median(times[-1]),
        "shape": step_shape(run),
        "frames": run.train.group_frames * run.train.groups_per_step,
        "precision": run.train.precision,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "provenance": provenance(),
    }


def training_step(run: Run, device: torch.device) -> Callable[[], None]:
    """A function that takes one training step on random data."""
    size = (run.tokenizer.pieces or NUM_CHARACTERS) + 2
    model, _ = build_model(run, size)
    model.to(device).train()
    train = run.train
    optimizer = torch.optim.AdamW(
        model.parameters(), train.lr, train.betas, weight_decay=train.weight_decay, fused=True
    )
    batches = [random_batch(run, size) for _ in range(run.train.groups_per_step)]

    def step() -> None:
        accumulate(model, run, batches, 0, device)
        torch.nn.utils.clip_grad_norm_(model.parameters(), run.train.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        update_running_statistics(model)

    return step


def random_batch(run: Run, size: int) -> Batch:
    """A full group of noise with random transcripts."""
    num_tokens = PIECES_PER_UTTERANCE if run.tokenizer.pieces else CHARACTERS_PER_UTTERANCE
    frames = min(FRAMES, run.train.group_frames)
    num_utterances = run.train.group_frames // frames
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, size - 1, (num_utterances, num_tokens), generator=generator)
    waves = video = None
    if "audio" in run.model.modalities:
        waves = 0.1 * torch.randn(num_utterances, SAMPLES_PER_FRAME * frames, generator=generator)
    if "video" in run.model.modalities:
        shape = (num_utterances, frames, CROP, CROP)
        video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Batch(
        items=tuple(Item(str(i), "train", "", "", frames, 0, ()) for i in range(num_utterances)),
        waves=waves,
        video=video,
        lengths=torch.full((num_utterances,), frames),
        tokens=tokens,
        token_lengths=torch.full((num_utterances,), num_tokens),
    )


def timed(step: Callable[[], None], device: torch.device) -> float:
    """Milliseconds of one call, the device idle before and after."""
    synchronise(device)
    began = time.perf_counter()
    step()
    synchronise(device)
    return (time.perf_counter() - began) * 1e3


def synchronise(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
