"""Front ends: from log-mel features or waves to one vector per frame of 40 ms.

Each masks its padding before every convolution, so that an utterance's output does not depend on its batch.
"""

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms.models.norm import MaskedBatchNorm


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
        """``features (B, 4T, F)``, ``lengths (B,)`` in frames of 40 ms -> ``(B, T, D)``."""
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
        widths = [channels * 2**stage for stage in range(4) for _ in range(2)]
        inputs = [channels, *widths[:-1]]
        self.blocks = nn.ModuleList(ResidualBlock(i, o) for i, o in zip(inputs, widths, strict=True))
        self.projection = nn.Linear(8 * channels, dim)

    def forward(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """``waves (B, 640 T)``, ``lengths (B,)`` in frames of 640 samples -> ``(B, T, D)``."""
        waves = waves.masked_fill(padding_mask(640 * lengths, waves.shape[1]), 0.0)
        rate = 160  # positions per frame after the stem
        mask = padding_mask(rate * lengths, waves.shape[1] // 4)
        x = F.silu(self.norm(self.stem(waves.unsqueeze(1)), mask))
        for block in cast("Iterable[ResidualBlock]", self.blocks):
            rate //= block.stride
            input_mask, mask = mask, padding_mask(rate * lengths, x.shape[2] // block.stride)
            x = block(x, input_mask, mask)
        return self.projection(F.avg_pool1d(x, rate).transpose(1, 2))


class ResidualBlock(nn.Module):
    """Two convolutions of kernel 3 around a residual; stride 2 where the number of channels changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv1d(inputs, outputs, 3, stride=self.stride, padding=1, bias=False)
        self.norm1 = MaskedBatchNorm(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = MaskedBatchNorm(outputs)
        if self.stride == 2:
            self.shortcut = nn.Conv1d(inputs, outputs, 1, stride=2, bias=False)
            self.shortcut_norm = MaskedBatchNorm(outputs)

    def forward(self, x: Tensor, input_mask: Tensor, output_mask: Tensor) -> Tensor:
        """``x (B, C, S)`` -> ``(B, C', S')``, S' = S / stride, with their padding masks ``(B, S)`` and ``(B, S')``."""
        x = x.masked_fill(input_mask.unsqueeze(1), 0.0)
        y = F.silu(self.norm1(self.conv1(x), output_mask)).masked_fill(output_mask.unsqueeze(1), 0.0)
        y = self.norm2(self.conv2(y), output_mask)
        if self.stride == 2:
            x = self.shortcut_norm(self.shortcut(x), output_mask)
        return F.silu(y + x)
