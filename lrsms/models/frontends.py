"""Audio front ends: they map log-mel features or waves to one vector per frame of 40 ms.

Each front end masks the padding before every convolution, so that an utterance's output does not depend on its batch.
"""

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms.models.norm import MaskedBatchNorm
from lrsms.study.frames import SAMPLES_PER_FRAME


def padding_mask(lengths: Tensor, time: int) -> Tensor:
    """``lengths (B,)`` -> ``(B, time)``, True at padding."""
    return torch.arange(time, device=lengths.device) >= lengths.unsqueeze(1)


class LogMelFrontend(nn.Module):
    """Two 3x3 convolutions of stride 2 and ReLU over 100 Hz log-mel features, then one matrix: 25 frames a second.

    Args:
        mels: mel bands F of the features.
        channels: channels of both convolutions.
        dim: width D of the output.
    """

    def __init__(self, mels: int, channels: int, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.projection = nn.Linear(channels * ((mels + 3) // 4), dim)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """``features (B, 4T, F)``, ``lengths (B,)`` in frames of 40 ms, on any device -> ``(B, T, D)``."""
        lengths = lengths.to(features.device, non_blocking=True)
        x = features.unsqueeze(1)
        for convolution, rate in ((self.conv1, 4), (self.conv2, 2)):
            x = x.masked_fill(padding_mask(rate * lengths, x.shape[2])[:, None, :, None], 0.0)
            x = F.relu(convolution(x))
        return self.projection(x.transpose(1, 2).flatten(2))


class WaveFrontend(nn.Module):
    """Auto-AVSR's audio front end: a 1-D ResNet-18 with SiLU on 16 kHz samples, then one matrix.

    Args:
        channels: channels of the first stage, doubled at each of the next three (64 in Auto-AVSR).
        dim: width D of the output.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, channels, 80, stride=4, padding=38, bias=False)
        self.norm = MaskedBatchNorm(channels)
        self.blocks = residual_blocks(channels, nn.Conv1d)
        self.projection = nn.Linear(8 * channels, dim)

    def forward(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """``waves (B, 640 T)``, ``lengths (B,)`` in frames of 640 samples, on any device -> ``(B, T, D)``."""
        lengths = lengths.to(waves.device, non_blocking=True)
        waves = waves.masked_fill(padding_mask(SAMPLES_PER_FRAME * lengths, waves.shape[1]), 0.0)
        rate = SAMPLES_PER_FRAME // 4  # positions per frame after the stem
        mask = padding_mask(rate * lengths, waves.shape[1] // 4)
        x = F.silu(self.norm(self.stem(waves.unsqueeze(1)), mask))
        for block in cast("Iterable[ResidualBlock]", self.blocks):
            rate //= block.stride
            input_mask, mask = mask, padding_mask(rate * lengths, x.shape[2] // block.stride)
            x = block(x, input_mask, mask)
        return self.projection(F.avg_pool1d(x, rate).transpose(1, 2))


def residual_blocks(channels: int, convolution: type[nn.Conv1d] | type[nn.Conv2d]) -> nn.ModuleList:
    """The eight blocks of a ResNet-18 (He et al. 2016): four stages of ``channels``, doubled from stage to stage."""
    widths = [channels * 2**stage for stage in range(4) for _ in range(2)]
    inputs = [channels, *widths[:-1]]
    return nn.ModuleList(ResidualBlock(i, o, convolution) for i, o in zip(inputs, widths, strict=True))


class ResidualBlock(nn.Module):
    """Two convolutions of kernel 3 around a residual; stride 2 where the number of channels changes."""

    def __init__(self, inputs: int, outputs: int, convolution: type[nn.Conv1d] | type[nn.Conv2d]) -> None:
        super().__init__()
        self.stride = 1 if inputs == outputs else 2
        self.conv1 = convolution(inputs, outputs, 3, stride=self.stride, padding=1, bias=False)
        self.norm1 = MaskedBatchNorm(outputs)
        self.conv2 = convolution(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = MaskedBatchNorm(outputs)
        if self.stride == 2:
            self.shortcut = convolution(inputs, outputs, 1, stride=2, bias=False)
            self.shortcut_norm = MaskedBatchNorm(outputs)

    def forward(self, x: Tensor, input_mask: Tensor | None = None, output_mask: Tensor | None = None) -> Tensor:
        """``x (B, C, S)`` -> ``(B, C', S')``, S' = S / stride, with their padding masks ``(B, S)`` and ``(B, S')``.

        Pictures ``(N, C, H, W)`` have no padding, and so no masks.
        """
        x = silence(x, input_mask)
        y = silence(F.silu(self.norm1(self.conv1(x), output_mask)), output_mask)
        y = self.norm2(self.conv2(y), output_mask)
        if self.stride == 2:
            x = self.shortcut_norm(self.shortcut(x), output_mask)
        return F.silu(y + x)


def silence(x: Tensor, mask: Tensor | None) -> Tensor:
    """``x (B, C, S)`` with zeros where ``mask (B, S)`` is True; without a mask, ``x``."""
    return x if mask is None else x.masked_fill(mask.unsqueeze(1), 0.0)
