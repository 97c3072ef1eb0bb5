"""The Transformer decoder of Auto-AVSR: pre-norm, sinusoidal positions, attending to the encoder's output (the memory).

Its parameters and logits equal those of Auto-AVSR (github.com/mpc001/auto_avsr). Every matrix is a named
``nn.Linear`` that is called as a module, so that low rank can replace it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrsms.models.dropout import Dropout
from lrsms.models.layers import QKV, Block, FeedForward, Stack, keys_to_hide, layer_norm, sinusoids

KeyValue = tuple[Tensor, Tensor]
"""Keys and values of one attention, each ``(B, heads, T, dim / heads)``."""


@dataclass(frozen=True)
class DecoderState:
    """The state of decoding one token at a time, for K hypotheses of each of B utterances, row ``b * K + k``."""

    memory: tuple[KeyValue, ...]
    """For each block, keys and values of the memory ``(B, heads, T, dim / heads)``; hypotheses share them."""
    attended: Tensor
    """``(B, 1, 1, T)``, True where the memory is not padding."""
    past: tuple[KeyValue, ...]
    """For each block, keys and values of the tokens so far ``(N, heads, U, dim / heads)``, before ``rows``."""
    rows: Tensor
    """``(B * K,)``: the row of the past that each hypothesis continues. The next token's step copies it, once."""

    def reorder(self, rows: Tensor) -> "DecoderState":
        """The hypotheses in ``rows (B * K',)``, grouped by utterance as before; K' may differ from K."""
        return replace(self, rows=self.rows[rows])

    def keep(self, utterances: Tensor) -> "DecoderState":
        """Only the ``utterances (B',)``, with all their hypotheses."""
        num_utterances = self.attended.shape[0]
        return DecoderState(
            memory=tuple((keys[utterances], values[utterances]) for keys, values in self.memory),
            attended=self.attended[utterances],
            past=self.past,
            rows=self.rows.view(num_utterances, -1)[utterances].flatten(),
        )


class Decoder(nn.Module):
    """Predicts each token from those before it and from the memory.

    Args:
        size: vocabulary size V, including blank and sos/eos (V - 1).
        dim: width D.
        heads: number of attention heads.
        feedforward: inner width of the feed-forward layers.
        layers: number of blocks.
        dropout: dropout probability after every layer, for attention weights and for embeddings.
    """

    def __init__(self, size: int, dim: int, heads: int, feedforward: int, layers: int, dropout: float) -> None:
        super().__init__()
        # `initialise` fills it. On the meta device, PyTorch's own normal initialisation would load its compiler, which
        # takes seconds.
        self.embedding = nn.Embedding.from_pretrained(torch.empty(size, dim).uniform_(-1, 1), freeze=False)
        self.dropout = Dropout(dropout)
        self.blocks = Stack(DecoderBlock(dim, heads, feedforward, dropout) for _ in range(layers))
        self.norm = layer_norm(dim)
        self.output = nn.Linear(dim, size)

    def forward(self, tokens: Tensor, memory: Tensor, padding_mask: Tensor) -> Tensor:
        """Logits of every next token; each position sees only the tokens up to itself.

        Args:
            tokens: ``(B, U)``, beginning with sos. Padding after an utterance's tokens does not change earlier logits.
            memory: ``(B, T, D)``.
            padding_mask: ``(B, T)``, True = padding; at least one frame of each utterance is not.

        Returns:
            Logits ``(B, U, V)``.
        """
        x = self._embed(tokens, first_position=0)
        attended = _attended(padding_mask)
        for block in self.blocks:
            x = block(x, memory, attended)
        return self.output(self.norm(x))

    def start(self, memory: Tensor, padding_mask: Tensor) -> DecoderState:
        """State before any token, one hypothesis per utterance.

        Args:
            memory: ``(B, T, D)``.
            padding_mask: ``(B, T)``, True = padding.
        """
        projected = tuple(block.cross_attention.project(memory) for block in self._stack())
        past = tuple((keys[:, :, :0], values[:, :, :0]) for keys, values in projected)
        return DecoderState(projected, _attended(padding_mask), past, torch.arange(len(memory), device=memory.device))

    @torch.no_grad()
    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Appends one token to every hypothesis, without gradients.

        Args:
            tokens: ``(N,)`` with N = B * K, grouped by utterance.
            state: the state of the same N hypotheses.

        Returns:
            Logits ``(N, V)`` of the next tokens, equal to those of ``forward`` in eval mode, and the state after
            ``tokens``.
        """
        num_utterances = state.attended.shape[0]
        num_past = state.past[0][0].shape[2]
        # The hypotheses of an utterance are queries side by side on its memory, so that none needs a copy.
        x = self._embed(tokens[:, None], first_position=num_past).view(num_utterances, -1, self.embedding.embedding_dim)
        past = []
        for block, projected, block_past in zip(self._stack(), state.memory, state.past, strict=True):
            x, block_past = block.step(x, projected, state.attended, block_past, state.rows)
            past.append(block_past)
        after = replace(state, past=tuple(past), rows=torch.arange(len(tokens), device=tokens.device))
        return self.output(self.norm(x)).flatten(0, 1), after

    def _stack(self) -> Iterator["DecoderBlock"]:
        return iter(cast("Iterable[DecoderBlock]", self.blocks))

    def _embed(self, tokens: Tensor, first_position: int) -> Tensor:
        x = self.embedding(tokens)
        positions = torch.arange(first_position, first_position + tokens.shape[1], device=tokens.device)
        x = x * math.sqrt(x.shape[-1]) + sinusoids(positions, x.shape[-1]).to(x.dtype)
        return self.dropout(x)


class DecoderBlock(Block):
    """Self-attention, attention to the memory and feed-forward, each with a norm before it and a residual around it."""

    roles: ClassVar[Mapping[str, str]] = {
        "self_attention": "self_attention",
        "cross_attention": "cross_attention",
        "feedforward": "feedforward",
    }

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.norm_self = layer_norm(dim)
        self.self_attention = SelfAttention(dim, heads, dropout)
        self.norm_cross = layer_norm(dim)
        self.cross_attention = CrossAttention(dim, heads, dropout)
        self.norm_feedforward = layer_norm(dim)
        self.feedforward = FeedForward(dim, feedforward, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, attended: Tensor) -> Tensor:
        """Maps ``(B, U, D)`` to ``(B, U, D)``, causally in U, given the memory ``(B, T, D)``."""
        x = x + self.dropout(self.self_attention(self.norm_self(x)))
        return self._after_self_attention(x, self.cross_attention.project(memory), attended)

    def step(
        self, x: Tensor, memory: KeyValue, attended: Tensor, past: KeyValue, rows: Tensor
    ) -> tuple[Tensor, KeyValue]:
        """Maps the newest tokens of K hypotheses, ``(B, K, D)``, to ``(B, K, D)`` and the past that includes them."""
        y, past = self.self_attention.step(self.norm_self(x).flatten(0, 1)[:, None], past, rows)
        return self._after_self_attention(x + self.dropout(y.view_as(x)), memory, attended), past

    def _after_self_attention(self, x: Tensor, memory: KeyValue, attended: Tensor) -> Tensor:
        x = x + self.dropout(self.cross_attention(self.norm_cross(x), memory, attended))
        return x + self.dropout(self.feedforward(self.norm_feedforward(x)))


class SelfAttention(nn.Module):
    """Each token attends to itself and to those before it."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = QKV(dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, U, D)`` to ``(B, U, D)``."""
        queries, keys, values = (_split(part, self.heads) for part in self.qkv(x))
        dropout = self.dropout if self.training else 0.0
        return self.out(
            _merge(F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, is_causal=True))
        )

    def step(self, x: Tensor, past: KeyValue, rows: Tensor) -> tuple[Tensor, KeyValue]:
        """Maps one token per row, ``(N, 1, D)``, given keys and values of the U tokens before it in ``rows (N,)``."""
        queries, keys, values = (_split(part, self.heads) for part in self.qkv(x))
        keys, values = _append(past[0], rows, keys), _append(past[1], rows, values)
        return self.out(_merge(F.scaled_dot_product_attention(queries, keys, values))), (keys, values)


class CrossAttention(nn.Module):
    """Each token attends to all frames of the memory that are not padding."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def project(self, memory: Tensor) -> KeyValue:
        """Keys and values of the memory ``(B, T, D)``."""
        return _split(self.k(memory), self.heads), _split(self.v(memory), self.heads)

    def forward(self, x: Tensor, memory: KeyValue, attended: Tensor) -> Tensor:
        """Maps ``(B, U, D)`` to ``(B, U, D)``, given the projected memory and ``attended (B, 1, 1, T)``."""
        queries = _split(self.q(x), self.heads)
        dropout = self.dropout if self.training else 0.0
        return self.out(_merge(F.scaled_dot_product_attention(queries, *memory, attn_mask=attended, dropout_p=dropout)))


def _split(x: Tensor, heads: int) -> Tensor:
    """``(B, T, D)`` to ``(B, heads, T, D / heads)``."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _append(past: Tensor, rows: Tensor, newest: Tensor) -> Tensor:
    """``(N, heads, U + 1, d)``: ``rows (N,)`` of the past ``(N', heads, U, d)``, each plus its newest; one copy."""
    out = past.new_empty((*newest.shape[:2], past.shape[2] + 1, past.shape[3]))
    torch.index_select(past, 0, rows, out=out[:, :, :-1])
    out[:, :, -1:] = newest
    return out


def _merge(x: Tensor) -> Tensor:
    """``(B, heads, T, D / heads)`` to ``(B, T, D)``."""
    return x.transpose(1, 2).flatten(2)


def _attended(padding_mask: Tensor) -> Tensor:
    return ~keys_to_hide(padding_mask)[:, None, None, :]
