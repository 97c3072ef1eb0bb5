"""The fusion of audio and video into one memory."""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms.models.layers import Block
from lrsms.models.norm import MaskedBatchNorm


class Fusion(Block):
    """Auto-AVSR's fusion: ``out(relu(norm(hidden([audio; video]))))`` at every frame, with batch norm over valid
    frames.

    Args:
        dim: width D of each modality and of the output.
        inner: width between the two matrices.
    """

    roles: ClassVar[Mapping[str, str]] = {"hidden": "fusion", "out": "fusion"}

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * dim, inner)
        self.norm = MaskedBatchNorm(inner)
        self.out = nn.Linear(inner, dim)

    def forward(self, audio: Tensor, video: Tensor, padding_mask: Tensor) -> Tensor:
        """``audio (B, T, D)``, ``video (B, T, D)``, ``padding_mask (B, T)`` -> ``(B, T, D)``."""
        x = self.hidden(torch.cat([audio, video], dim=-1)).transpose(1, 2)
        return self.out(F.relu(self.norm(x, padding_mask)).transpose(1, 2))
