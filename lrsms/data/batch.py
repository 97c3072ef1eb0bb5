"""From utterances to what the network reads: padded groups, loaded ahead of the step that needs them."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from lrsms.config import Augment, Model
from lrsms.data.audio import (
    FEATURES_PER_SECOND,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    Masks,
    apply_masks,
    draw_masks,
    log_mel,
)
from lrsms.data.prepared import Item, Prepared
from lrsms.streams import stream


@dataclass(frozen=True)
class Batch:
    """A group of B utterances, padded to the longest of T frames.

    Attributes:
        items: the utterances.
        waves: ``(B, 640 T)`` samples, 0 at padding.
        lengths: ``(B,)`` frames.
        tokens: ``(B, U)``, 0 at padding.
        token_lengths: ``(B,)``.
        masks: SpecAugment's, one for each utterance; None where nothing is masked.
        epoch: the pass through the corpus that it belongs to, in training.
    """

    items: tuple[Item, ...]
    waves: Tensor
    lengths: Tensor
    tokens: Tensor
    token_lengths: Tensor
    masks: tuple[Masks, ...] | None = None
    epoch: int = 0


def collate(prepared: Prepared, items: Sequence[Item], masks: Sequence[Masks] | None = None, epoch: int = 0) -> Batch:
    """Reads and pads a group."""
    waves = np.zeros((len(items), SAMPLES_PER_FRAME * max(item.frames for item in items)), np.float32)
    tokens = np.zeros((len(items), max(len(item.tokens) for item in items)), np.int64)
    for row, item in enumerate(items):
        waves[row, : SAMPLES_PER_FRAME * item.frames] = prepared.wave(item)
        tokens[row, : len(item.tokens)] = item.tokens
    return Batch(
        items=tuple(items),
        waves=torch.from_numpy(waves),
        lengths=torch.tensor([item.frames for item in items]),
        tokens=torch.from_numpy(tokens),
        token_lengths=torch.tensor([len(item.tokens) for item in items]),
        masks=tuple(masks) if masks is not None else None,
        epoch=epoch,
    )


def training_masks(item: Item, augment: Augment, mels: int, seed: int, epoch: int) -> Masks:
    """SpecAugment's masks of one utterance in one epoch, a function of (seed, epoch, utterance) alone."""
    return draw_masks(item.frames, augment, mels, stream(seed, "augment", epoch, item.id))


def network_inputs(batch: Batch, model: Model, device: torch.device) -> Tensor:
    """Features ``(B, 4T, F)`` or waves ``(B, 640 T)`` of unit variance, masked, on ``device``."""
    waves = batch.waves.to(device, non_blocking=True)
    lengths = batch.lengths.to(device)
    if model.mels is not None:
        inputs, rate = log_mel(waves, lengths, model.mels), FEATURES_PER_SECOND
    else:
        inputs, rate = normalise_waves(waves, lengths), SAMPLE_RATE
    return apply_masks(inputs, batch.masks, rate) if batch.masks is not None else inputs


def normalise_waves(waves: Tensor, lengths: Tensor) -> Tensor:
    """Each utterance to zero mean and unit variance over its own samples (Auto-AVSR), 0 at padding.

    Args:
        waves: ``(B, 640 T)``.
        lengths: ``(B,)`` frames.
    """
    counts = (SAMPLES_PER_FRAME * lengths).unsqueeze(1)
    valid = torch.arange(waves.shape[1], device=waves.device) < counts
    centred = (waves - waves.sum(1, keepdim=True) / counts) * valid
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / counts + 1e-8)


def in_batches(items: Iterable[Item], group_frames: int) -> Iterator[list[Item]]:
    """Utterances for decoding, longest first, in lists of at most ``group_frames`` frames with padding (or of one)."""
    batch: list[Item] = []
    for item in sorted(items, key=lambda item: -item.frames):
        if batch and batch[0].frames * (len(batch) + 1) > group_frames:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


Loaded = TypeVar("Loaded")
Wanted = TypeVar("Wanted")


def load_ahead(
    wanted: Iterable[Wanted], load: Callable[[Wanted], Loaded], ahead: int = 2
) -> Generator[Loaded, None, None]:
    """``map(load, wanted)`` in a thread that keeps ``ahead`` results ready; its errors are raised here."""
    # A list of one result, of none at the end, or the error that ended the work.
    ready: queue.Queue[list[Loaded] | BaseException] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(content: list[Loaded] | BaseException) -> None:
        while not stopped.is_set():
            try:
                return ready.put(content, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for want in wanted:
                put([load(want)])
                if stopped.is_set():
                    return
            put([])
        except BaseException as error:  # handed to the thread that waits for the data
            put(error)

    threading.Thread(target=work, name="load_ahead", daemon=True).start()
    try:
        while True:
            content = ready.get()
            if isinstance(content, BaseException):
                raise content
            if not content:
                return
            yield content[0]
    finally:
        stopped.set()
