"""Turns utterances into padded groups, which the network reads."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from lrsms.data import noise
from lrsms.data.audio import log_mel, normalise_waves
from lrsms.data.augment import Draw, Masks, apply_masks, condition_draw, training_draw
from lrsms.data.prepared import Item, Prepared
from lrsms.study.decoding import Condition
from lrsms.study.frames import CROP, FEATURES_PER_SECOND, FRAMES_PER_SECOND, SAMPLE_RATE, SAMPLES_PER_FRAME
from lrsms.study.run import Model, Run

_GREY_MEAN, _GREY_DEVIATION = 0.421, 0.165
"""Mean and standard deviation of mouths, with white as 1 (Auto-AVSR)."""


@dataclass(frozen=True)
class Batch:
    """A group of B utterances, padded to the longest of T frames.

    Attributes:
        items: the utterances.
        waves: ``(B, 640 T)`` samples, noise and all, 0 at padding; None where nothing is heard.
        video: ``(B, T, 88, 88)`` uint8, cropped, 0 (black) at padding and where it is hidden; None where nothing is
            seen.
        lengths: ``(B,)`` frames.
        tokens: ``(B, U)``, 0 at padding.
        token_lengths: ``(B,)``.
        masks: SpecAugment's of the audio, one for each utterance; None where nothing is masked.
        present: ``(B, 2)`` whether the network gets audio, and video; None: it gets all there is.
    """

    items: tuple[Item, ...]
    waves: Tensor | None
    video: Tensor | None
    lengths: Tensor
    tokens: Tensor
    token_lengths: Tensor
    masks: tuple[Masks, ...] | None = None
    present: Tensor | None = None

    def for_device(self, device: torch.device) -> Self:
        """The same in memory that a GPU reads by itself, so that nobody waits for it; on a CPU, as it is."""
        if device.type != "cuda":
            return self
        return replace(
            self,
            waves=self.waves.pin_memory() if self.waves is not None else None,
            video=self.video.pin_memory() if self.video is not None else None,
            lengths=self.lengths.pin_memory(),
            tokens=self.tokens.pin_memory(),
        )


def training_batch(prepared: Prepared, items: Sequence[Item], run: Run, epoch: int) -> Batch:
    """A group with its augmentation, noise and absent modalities of one epoch."""
    return collate(prepared, items, [training_draw(item, run, epoch) for item in items])


def condition_batch(prepared: Prepared, items: Sequence[Item], condition: Condition) -> Batch:
    """A group under a test condition."""
    return collate(prepared, items, [condition_draw(item, condition) for item in items])


def collate(prepared: Prepared, items: Sequence[Item], draws: Sequence[Draw] | None = None) -> Batch:
    """Reads and pads a group.

    Recordings in place, which are decoded anew each time, are read by as many threads as PyTorch has. Copying prepared
    streams is so fast that threads would only wait for one another.

    Args:
        prepared: the corpus.
        items: the utterances.
        draws: what is done to each; None leaves all as they were recorded.
    """
    draws = draws or [Draw()] * len(items)
    longest = max(item.frames for item in items)
    waves = np.zeros((len(items), SAMPLES_PER_FRAME * longest), np.float32) if "audio" in prepared.modalities else None
    video = np.zeros((len(items), longest, CROP, CROP), np.uint8) if "video" in prepared.modalities else None
    tokens = np.zeros((len(items), max(len(item.tokens) for item in items)), np.int64)

    def fill(row: int, item: Item, draw: Draw) -> None:
        tokens[row, : len(item.tokens)] = item.tokens
        if waves is not None:
            waves[row, : SAMPLES_PER_FRAME * item.frames] = _wave(prepared, item, draw)
        if video is not None:
            video[row, : item.frames] = _video(prepared, item, draw)
            for start, end in draw.hidden:
                video[row, round(start * FRAMES_PER_SECOND) : round(end * FRAMES_PER_SECOND)] = 0

    assert len(draws) == len(items), f"{len(draws)} draws for {len(items)} utterances"
    rows = range(len(items)), items, draws
    threads = torch.get_num_threads() if prepared.in_place else 1
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, *rows))
    else:
        list(map(fill, *rows))
    masks = tuple(draw.masks for draw in draws if draw.masks is not None)
    assert len(masks) in (0, len(items)), "some utterances of a group have masks and some have none"
    all_present = all(all(draw.present) for draw in draws)
    return Batch(
        items=tuple(items),
        waves=torch.from_numpy(waves) if waves is not None else None,
        video=torch.from_numpy(video) if video is not None else None,
        lengths=torch.tensor([item.frames for item in items]),
        tokens=torch.from_numpy(tokens),
        token_lengths=torch.tensor([len(item.tokens) for item in items]),
        masks=masks or None,
        present=None if all_present else torch.tensor([draw.present for draw in draws]),
    )


def _wave(prepared: Prepared, item: Item, draw: Draw) -> np.ndarray:
    """``(640 * item.frames,)``, with the noise that was drawn."""
    wave = prepared.wave(item)
    if draw.noise is None:
        return wave
    assert prepared.babble is not None, "what has waves has babble"
    generator = torch.Generator().manual_seed(draw.noise.seed)
    sound = noise.cut(draw.noise.kind, len(wave), prepared.babble, item.speaker, generator)
    return noise.mix(wave, sound, draw.noise.snr)


def _video(prepared: Prepared, item: Item, draw: Draw) -> np.ndarray:
    """``(item.frames, 88, 88)``, the crop that was drawn, mirrored if that was drawn."""
    row, column = draw.corner
    crop = prepared.video(item)[:, row : row + CROP, column : column + CROP]
    return crop[:, :, ::-1] if draw.mirrored else crop


def network_inputs(batch: Batch, model: Model, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
    """The inputs of the network, on ``device``.

    Returns:
        Features ``(B, 4T, F)`` or waves ``(B, 640 T)`` of unit variance, masked, and video ``(B, T, 88, 88)`` as
        ``normalise_video`` makes it; None of what the model does not have.
    """
    lengths = batch.lengths.to(device, non_blocking=True)
    audio = video = None
    if model.frontend is not None:
        assert batch.waves is not None, "the corpus was prepared without audio"
        waves = batch.waves.to(device, non_blocking=True)
        if model.mels is not None:
            audio, rate = log_mel(waves, lengths, model.mels), FEATURES_PER_SECOND
        else:
            audio, rate = normalise_waves(waves, lengths), SAMPLE_RATE
        audio = apply_masks(audio, batch.masks, rate) if batch.masks is not None else audio
    if model.video_channels is not None:
        assert batch.video is not None, "the corpus was prepared without video"
        video = normalise_video(batch.video.to(device, non_blocking=True), lengths)
    return audio, video


def normalise_video(video: Tensor, lengths: Tensor) -> Tensor:
    """Grey levels about the mean of mouths, in their standard deviations (Auto-AVSR), 0 at padding.

    Args:
        video: ``(B, T, 88, 88)`` uint8.
        lengths: ``(B,)`` frames.

    Returns:
        ``(B, T, 88, 88)`` float32.
    """
    padding = torch.arange(video.shape[1], device=video.device) >= lengths[:, None]
    grey = video.float().div_(255).sub_(_GREY_MEAN).div_(_GREY_DEVIATION)
    return grey.masked_fill_(padding[:, :, None, None], 0)


class _Long(Protocol):
    """Anything that has a length in frames."""

    @property
    def frames(self) -> int: ...


Long = TypeVar("Long", bound=_Long)


def in_batches(items: Iterable[Long], group_frames: int) -> Iterator[list[Long]]:
    """Utterances for decoding, longest first, in lists of at most ``group_frames`` frames with padding (or of one)."""
    batch: list[Long] = []
    for item in sorted(items, key=lambda item: -item.frames):
        if batch and batch[0].frames * (len(batch) + 1) > group_frames:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
