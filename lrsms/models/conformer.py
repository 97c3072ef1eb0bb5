"""The Conformer encoder (Gulati et al. 2020), in the variant of ESPnet and Auto-AVSR, as one plain dense network.

Every matrix is a named ``nn.Linear`` that is called as a module, pointwise convolutions included, so that
``methods.factorize`` can replace any of them. Nothing in this file depends on low rank.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms.models.dropout import Dropout
from lrsms.models.layers import QKV, Block, FeedForward, Stack, keys_to_hide, layer_norm, sinusoids
from lrsms.models.norm import MaskedBatchNorm


class ConformerEncoder(nn.Module):
    """A stack of Conformer blocks with relative positions and a final norm.

    Args:
        dim: width D of the blocks.
        heads: attention heads.
        feedforward: inner width of the feed-forward modules.
        layers: number of blocks.
        kernel: odd kernel of the depthwise convolution, in frames.
        dropout: dropout probability at every residual branch, inside the feed-forwards and on the positions.
    """

    def __init__(self, dim: int, heads: int, feedforward: int, layers: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.scale = math.sqrt(dim)
        self.dropout = Dropout(dropout)
        self.blocks = Stack(ConformerBlock(dim, heads, feedforward, kernel, dropout) for _ in range(layers))
        self.norm = layer_norm(dim)

    def forward(self, x: Tensor, padding_mask: Tensor) -> Tensor:
        """Encodes ``x (B, T, D)``; ``padding_mask (B, T)`` is True at padding. Returns ``(B, T, D)``."""
        positions = self.dropout(relative_positions(x.shape[1], x.shape[2], x.device, x.dtype))
        x = self.dropout(x * self.scale)
        hidden = keys_to_hide(padding_mask)
        for block in self.blocks:
            x = block(x, positions, padding_mask, hidden)
        return self.norm(x)


class ConformerBlock(Block):
    """Half a feed-forward, attention, convolution, half a feed-forward, each pre-norm and residual, then a norm."""

    roles: ClassVar[Mapping[str, str]] = {
        "feedforward_in": "feedforward",
        "attention": "attention",
        "convolution": "convolution",
        "feedforward_out": "feedforward",
    }

    def __init__(self, dim: int, heads: int, feedforward: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.feedforward_in = FeedForward(dim, feedforward, dropout)
        self.attention = RelativeAttention(dim, heads)
        self.convolution = ConvolutionModule(dim, kernel)
        self.feedforward_out = FeedForward(dim, feedforward, dropout)
        self.norm_feedforward_in = layer_norm(dim)
        self.norm_attention = layer_norm(dim)
        self.norm_convolution = layer_norm(dim)
        self.norm_feedforward_out = layer_norm(dim)
        self.norm = layer_norm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, positions: Tensor, padding_mask: Tensor, hidden: Tensor) -> Tensor:
        """``x (B, T, D)``, ``positions (2T-1, D)`` -> ``(B, T, D)``.

        ``padding_mask (B, T)`` is True at padding; ``hidden (B, T)`` is True at the keys that attention ignores.
        """
        x = torch.add(x, self.dropout(self.feedforward_in(self.norm_feedforward_in(x))), alpha=0.5)
        x = x + self.dropout(self.attention(self.norm_attention(x), positions, hidden))
        x = x + self.dropout(self.convolution(self.norm_convolution(x), padding_mask))
        x = torch.add(x, self.dropout(self.feedforward_out(self.norm_feedforward_out(x))), alpha=0.5)
        return self.norm(x)


class RelativeAttention(nn.Module):
    """Multi-head self-attention with relative positions (Dai et al. 2019, section 3.3)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = QKV(dim)
        self.position = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim)
        self.content_bias = nn.Parameter(torch.empty(heads, dim // heads))
        self.position_bias = nn.Parameter(torch.empty(heads, dim // heads))

    def forward(self, x: Tensor, positions: Tensor, hidden: Tensor) -> Tensor:
        """``x (B, T, D)``, ``positions (2T-1, D)``, keys that are ``hidden (B, T)`` -> ``(B, T, D)``."""
        batch, time, dim = x.shape
        query, key, value = (y.view(batch, time, self.heads, -1).transpose(1, 2) for y in self.qkv(x))
        position = self.position(positions).view(2 * time - 1, self.heads, -1).transpose(0, 1)
        by_offset = (query + self.position_bias.unsqueeze(1)) @ position.transpose(-2, -1)
        # Add -inf instead of masked_fill: addition passes the gradient through unchanged, and at weight zero it is
        # zero.
        looked_at = by_offset.new_zeros(batch, 1, 1, time).masked_fill(hidden[:, None, None, :], -math.inf)
        by_key = offsets_to_keys(by_offset) + looked_at
        # Under autocast, the position term may have another type than the queries.
        query = (query + self.content_bias.unsqueeze(1)).to(value.dtype)
        mixed = attend(query, key, value, by_key.to(value.dtype))
        return self.out(mixed.transpose(1, 2).reshape(batch, time, dim))


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """``softmax((query key^T + bias) / sqrt(d)) value``, where each head adds its own bias to the scores.

    On a CPU the fused kernel has no gradient for a bias. PyTorch's replacement also checks for queries without any key,
    which do not occur here, and makes a step slower.

    Args:
        query: ``(B, H, T, d)``.
        key: ``(B, H, T, d)``.
        value: ``(B, H, T, d)``.
        bias: ``(B, H, T, T)``, -inf at keys that a query must not attend to; at least one key of each query is finite.
    """
    scale = 1 / math.sqrt(query.shape[-1])
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias * scale)
    bias, queries, keys, values = (x.flatten(0, 1) for x in (bias, query, key, value))
    weights = torch.baddbmm(bias, queries, keys.transpose(1, 2), beta=scale, alpha=scale).softmax(-1)
    return (weights @ values).unflatten(0, query.shape[:2])


class ConvolutionModule(nn.Module):
    """Pointwise, GLU, depthwise, batch norm, SiLU, pointwise; padding affects neither outputs nor statistics."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.norm = MaskedBatchNorm(dim)
        self.contract = nn.Linear(dim, dim)

    def forward(self, x: Tensor, padding_mask: Tensor) -> Tensor:
        """``x (B, T, D)``, ``padding_mask (B, T)`` -> ``(B, T, D)``."""
        x = F.glu(self.expand(x), dim=-1).masked_fill(padding_mask.unsqueeze(-1), 0.0)
        x = self.depthwise(x.transpose(1, 2))
        x = F.silu(self.norm(x, padding_mask)).transpose(1, 2)
        return self.contract(x)


def relative_positions(time: int, dim: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Sinusoids of the offsets T-1, ..., 0, ..., -(T-1), positive where the key precedes the query: ``(2T-1, D)``."""
    return sinusoids(torch.arange(time - 1, -time, -1, device=device), dim).to(dtype)


def offsets_to_keys(by_offset: Tensor) -> Tensor:
    """Realigns scores from offsets to keys: ``out[..., i, j] = by_offset[..., i, T - 1 - i + j]``.

    Args:
        by_offset: ``(..., T, 2T-1)``; column c is the offset T-1-c of query minus key.

    Returns:
        ``(..., T, T)``, a view. Read row after row, the wanted scores of row i start at T-1 + i (2T-2): one row is
        2T-2 numbers after the other, so no index tensor is needed.
    """
    time = by_offset.shape[-2]
    by_offset = by_offset.contiguous()
    strides = (*by_offset.stride()[:-2], 2 * time - 2, 1)
    # A compiler cannot know the offset of a storage, and would break the graph here. Tensors that it makes itself,
    # such as the scores of a block, have offset 0.
    begins = 0 if torch.compiler.is_compiling() else by_offset.storage_offset()
    return by_offset.as_strided((*by_offset.shape[:-1], time), strides, begins + time - 1)
