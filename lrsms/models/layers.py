"""Layers of both the Conformer encoder and the Transformer decoder, as in Auto-AVSR (github.com/mpc001/auto_avsr)."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms.models.dropout import Dropout


def layer_norm(dim: int) -> nn.LayerNorm:
    """Auto-AVSR's epsilon: with PyTorch's default of 1e-5 the logits would differ."""
    return nn.LayerNorm(dim, eps=1e-12)


class Block(nn.Module):
    """A part of the network that declares the roles of its matrices, which low-rank targets name.

    A matrix of the block has the role ``<stack>.<role>``, where ``stack`` is the module that holds the block's stack;
    outside a stack it is ``<parent>.<role>``, or ``<role>`` where the block lies at the top of the network.
    """

    roles: ClassVar[Mapping[str, str]]
    """The role of each direct child that holds matrices. Several children may share one."""


class Stack(nn.ModuleList):
    """Blocks one after another. Their order is the depth over which ranks may vary.

    A stack may hold modules with stacks of their own. The depth of all their blocks is then counted in the outermost
    stack, in the order of the modules.
    """


class QKV(nn.Module):
    """The q, k and v of a self-attention, as one module so that low rank may replace all three at once.

    Args:
        dim: width D of the input and of each projection.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps ``(B, T, D)`` to queries, keys and values, each ``(B, T, D)``."""
        return self.q(x), self.k(x), self.v(x)


class FeedForward(nn.Module):
    """Position-wise ``contract(dropout(relu(expand(x))))``.

    Args:
        dim: width D of input and output.
        inner: width between the two matrices.
        dropout: dropout probability between the two matrices.
    """

    def __init__(self, dim: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, inner)
        self.contract = nn.Linear(inner, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)`` -> ``(..., D)``."""
        return self.contract(self.dropout(F.relu(self.expand(x))))


def keys_to_hide(padding_mask: Tensor) -> Tensor:
    """The keys ``(B, T)`` that attention must ignore: padding, except in an utterance that is all padding.

    Such an utterance only fills a group up to a shape (``training.graphs``). Without any key, its weights would be
    0 / 0, which would spoil the gradients of all utterances.
    """
    return padding_mask & ~padding_mask.all(1, keepdim=True)


def sinusoids(positions: Tensor, dim: int) -> Tensor:
    """Sinusoidal positions (Vaswani et al. 2017, section 3.5) ``(U, dim)`` for whole ``positions (U,)``, in float32.

    Sine at even and cosine at odd columns, wavelengths from 2 pi to 10000 * 2 pi.
    """
    rates = torch.exp(torch.arange(0, dim, 2, device=positions.device) * -(math.log(10000.0) / dim))
    angles = positions[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
