"""Random choices for an utterance: masks, crop, mirror, noise, an absent modality; and the effect of masks.

In training they depend on (seed, epoch, utterance) only, and in a test condition on the utterance only. They never
depend on the batch, the device or a restart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lrsms.base.random_streams import stream, stream_seed
from lrsms.data.noise import Kind
from lrsms.data.prepared import Item
from lrsms.data.video import SIZE
from lrsms.study.decoding import Condition
from lrsms.study.frames import CROP, FRAMES_PER_SECOND
from lrsms.study.run import Augment, Run

_MARGIN = SIZE - CROP

Span = tuple[float, float]
"""``[start, end)`` in seconds."""


@dataclass(frozen=True)
class Masks:
    """The parts of an utterance's audio that SpecAugment hides: times, and ``[low, high)`` mel bands."""

    times: tuple[Span, ...]
    mels: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class NoiseDraw:
    """The noise that is mixed into an utterance: its kind, its level, and the seed of its segment."""

    kind: Kind
    snr: float
    """dB."""
    seed: int


@dataclass(frozen=True)
class Draw:
    """All random choices for one utterance; the defaults leave it as it was recorded, with a crop of the middle."""

    masks: Masks | None = None
    noise: NoiseDraw | None = None
    corner: tuple[int, int] = (_MARGIN // 2, _MARGIN // 2)
    """Row and column of the crop's upper left pixel."""
    mirrored: bool = False
    hidden: tuple[Span, ...] = ()
    """When the video is black."""
    present: tuple[bool, bool] = (True, True)
    """Whether the network gets audio, and video."""


def training_draw(item: Item, run: Run, epoch: int) -> Draw:
    """The random choices for an utterance in an epoch of training. Each part has its own random stream."""

    def own(purpose: str) -> torch.Generator:
        return stream(run.seed, purpose, epoch, item.id)

    augment = run.train.augment or Augment()
    masks, corner, hidden, mirrored, present = None, Draw.corner, Draw.hidden, False, Draw.present
    if "audio" in run.model.modalities and run.train.augment is not None:
        masks = draw_masks(item.frames, augment, run.model.mels or 0, own("augment"))
    if "video" in run.model.modalities:
        row, column = torch.randint(_MARGIN + 1, (2,), generator=own("crop")).tolist()
        corner = (row, column)
        mirrored = augment.flip is not None and _chance(0.5, own("flip"))
        if augment.video_masks is not None and augment.video_width is not None:
            seconds = item.frames / FRAMES_PER_SECOND
            hidden = draw_spans(seconds, augment.video_masks, augment.video_width, own("video masks"))
    if run.train.modality_dropout is not None:
        generator = own("modality dropout")
        if _chance(run.train.modality_dropout, generator):
            present = (False, True) if _chance(0.5, generator) else (True, False)
    return Draw(masks, _training_noise(item, run, epoch), corner, mirrored, hidden, present)


def condition_draw(item: Item, condition: Condition) -> Draw:
    """The effect of a test condition on an utterance: the same noise in every run and at every ratio."""
    noise = None
    if condition.noise is not None and condition.snr is not None:
        noise = NoiseDraw(condition.noise, condition.snr, stream_seed(0, "test noise", condition.noise, item.id))
    return Draw(noise=noise, present=(condition.without != "audio", condition.without != "video"))


def _training_noise(item: Item, run: Run, epoch: int) -> NoiseDraw | None:
    if run.train.noise is None:
        return None
    snrs = run.train.noise.snrs
    snr = snrs[int(torch.randint(len(snrs), (), generator=stream(run.seed, "snr", epoch, item.id)))]
    if snr == "clean":
        return None
    return NoiseDraw(run.train.noise.kind, snr, stream_seed(run.seed, "noise", epoch, item.id))


def _chance(share: float, generator: torch.Generator) -> bool:
    return torch.rand((), generator=generator).item() < share


def draw_spans(seconds: float, per_second: float, width: float, generator: torch.Generator) -> tuple[Span, ...]:
    """Draws time masks; their number grows with the utterance's length.

    Lengths are uniform from 0 to ``width`` and never longer than the utterance; starts are uniform.

    Args:
        seconds: length of the utterance.
        per_second: masks per second.
        width: largest length in seconds.
        generator: the utterance's own stream, so that its masks depend on nothing else.
    """
    spans = []
    for share, start in torch.rand(round(per_second * seconds), 2, generator=generator).tolist():
        length = min(share * width, seconds)
        first = start * (seconds - length)
        spans.append((first, first + length))
    return tuple(spans)


def draw_masks(frames: int, augment: Augment, mels: int, generator: torch.Generator) -> Masks:
    """Draws SpecAugment's masks of audio (Park et al. 2019); the number of time masks depends on the utterance's
    length.

    Args:
        frames: length of the utterance.
        augment: how many masks, and how wide.
        mels: number of mel bands; 0 for waves, which have none to mask.
        generator: the utterance's own stream.
    """
    times = draw_spans(frames / FRAMES_PER_SECOND, augment.time_masks, augment.time_width, generator)
    bands = []
    if mels:
        for width, start in torch.rand(augment.mel_masks, 2, generator=generator).tolist():
            num_bands = min(int(width * (augment.mel_width + 1)), mels)
            lowest = int(start * (mels - num_bands + 1))
            bands.append((lowest, lowest + num_bands))
    return Masks(times, tuple(bands))


def apply_masks(inputs: Tensor, masks: Sequence[Masks], rate: int) -> Tensor:
    """Sets masked values to 0: the mean of normalised features, or silence in a wave.

    Args:
        inputs: features ``(B, F, M)`` or waves ``(B, S)``.
        masks: one for each utterance.
        rate: steps of the second axis per second: ``FEATURES_PER_SECOND`` or ``SAMPLE_RATE``.
    """
    assert len(masks) == len(inputs), f"{len(masks)} masks for {len(inputs)} utterances"
    # Built on the CPU and moved once: a kernel for each span would cost more than the whole front end.
    hidden = torch.zeros(inputs.shape[:2], dtype=torch.bool)
    for row, mask in zip(hidden, masks, strict=True):
        for start, end in mask.times:
            row[round(start * rate) : round(end * rate)] = True
    if inputs.dim() == 2:
        return inputs.masked_fill(_sent(hidden, inputs.device), 0)
    hidden_bands = torch.zeros(len(inputs), 1, inputs.shape[2], dtype=torch.bool)
    for bands, mask in zip(hidden_bands, masks, strict=True):
        for low, high in mask.mels:
            bands[:, low:high] = True
    hidden, hidden_bands = _sent(hidden, inputs.device), _sent(hidden_bands, inputs.device)
    return inputs.masked_fill(hidden[:, :, None] | hidden_bands, 0)


def _sent(x: Tensor, device: torch.device) -> Tensor:
    """``x`` on ``device``, by way of memory that a GPU reads by itself: from any other, the host waits for it."""
    return (x.pin_memory() if device.type == "cuda" else x).to(device, non_blocking=True)
