"""The speech recogniser: front end, Conformer encoder, CTC head and Transformer decoder, with its joint loss."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms import config
from lrsms.models.conformer import ConformerEncoder
from lrsms.models.decoder import Decoder
from lrsms.models.frontends import LogMelFrontend, WaveFrontend, padding_mask
from lrsms.models.initial import initialise

BLANK = 0


@dataclass(frozen=True)
class Losses:
    """Losses summed over the utterances of a group.

    Attributes:
        ctc: of the CTC head.
        attention: of the decoder; None without one.
        log_probs: the CTC log-probabilities behind them, ``(B, T, V)``.
    """

    ctc: Tensor
    attention: Tensor | None
    log_probs: Tensor

    def joint(self, ctc_weight: float) -> Tensor:
        """``ctc_weight`` * CTC + (1 - ``ctc_weight``) * attention."""
        if self.attention is None:
            return self.ctc
        return ctc_weight * self.ctc + (1 - ctc_weight) * self.attention


class Recognizer(nn.Module):
    """A dense recogniser; ``lowrank.factorize`` replaces its matrices.

    Args:
        model: dimensions.
        size: vocabulary size V; 0 is the blank and V-1 both start and end of a sentence.
    """

    def __init__(self, model: config.Model, size: int) -> None:
        super().__init__()
        self.size = size
        self.frontend: LogMelFrontend | WaveFrontend
        if model.mels is not None:
            self.frontend = LogMelFrontend(model.mels, model.channels, model.dim)
        else:
            self.frontend = WaveFrontend(model.channels, model.dim)
        self.encoder = ConformerEncoder(
            model.dim, model.heads, model.feedforward, model.layers, model.kernel, model.dropout
        )
        self.dropout = nn.Dropout(model.dropout)
        self.ctc = nn.Linear(model.dim, size)
        self.decoder: Decoder | None = None
        if model.decoder_layers:
            self.decoder = Decoder(size, model.dim, model.heads, model.feedforward, model.decoder_layers, model.dropout)

    def encode(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes features ``(B, 4T, F)`` or waves ``(B, 640 T)`` of ``lengths (B,)`` frames.

        Returns:
            The memory ``(B, T, D)`` and its padding mask ``(B, T)``.
        """
        x = self.frontend(inputs, lengths)
        mask = padding_mask(lengths, x.shape[1])
        return self.encoder(x, mask), mask

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """CTC log-probabilities ``(B, T, V)``, at least in float32 whatever the autocast."""
        logits = self.ctc(self.dropout(memory))
        return F.log_softmax(logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))

    def forward(
        self, inputs: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, label_smoothing: float
    ) -> Losses:
        """Losses of a group.

        Args:
            inputs: features ``(B, 4T, F)`` or waves ``(B, 640 T)``.
            lengths: frames, ``(B,)``.
            tokens: transcripts ``(B, U)``; what lies beyond their lengths is ignored.
            token_lengths: ``(B,)``.
            label_smoothing: probability spread evenly over the other classes.
        """
        memory, mask = self.encode(inputs, lengths)
        log_probs = self.ctc_log_probs(memory)
        with torch.autocast(inputs.device.type, enabled=False):
            by_frame = log_probs.transpose(0, 1)
            ctc = F.ctc_loss(by_frame, tokens, lengths, token_lengths, blank=BLANK, reduction="sum")
        if self.decoder is None:
            return Losses(ctc, None, log_probs)
        end = self.size - 1
        token_mask = padding_mask(token_lengths, tokens.shape[1])
        starts = F.pad(tokens.masked_fill(token_mask, end), (1, 0), value=end)
        ends = F.pad(tokens, (0, 1), value=end).scatter(1, token_lengths.unsqueeze(1), end)
        logits = self.decoder(starts, memory, mask)
        ignored = padding_mask(token_lengths + 1, ends.shape[1])
        attention = smoothed_divergence(logits, ends.masked_fill(ignored, 0), ignored, label_smoothing)
        return Losses(ctc, attention, log_probs)


def smoothed_divergence(logits: Tensor, targets: Tensor, ignored: Tensor, smoothing: float) -> Tensor:
    """Kullback-Leibler divergence from smoothed targets, as ESPnet and Auto-AVSR train on: zero at a perfect match.

    Args:
        logits: ``(B, U, V)``.
        targets: ``(B, U)``.
        ignored: ``(B, U)``, True where a position does not count.
        smoothing: eps; the target gets 1 - eps, each of the other V-1 classes eps / (V-1).

    Returns:
        The sum over the positions that count.
    """
    log_probs = F.log_softmax(logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    target = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    other = smoothing / (logits.shape[-1] - 1)
    cross_entropy = -(1 - smoothing) * target - other * (log_probs.sum(-1) - target)
    entropy = -(1 - smoothing) * math.log(1 - smoothing) - (smoothing * math.log(other) if smoothing else 0.0)
    return (cross_entropy - entropy).masked_fill(ignored, 0.0).sum()


def build(model: config.Model, size: int, seed: int) -> Recognizer:
    """The dense model with its initial weights, in float32 on the CPU."""
    with torch.device("meta"):
        recognizer = Recognizer(model, size)
    recognizer.to_empty(device="cpu")
    initialise(recognizer, seed, model.initialiser)
    reset_buffers(recognizer)
    return recognizer


def reset_buffers(recognizer: Recognizer) -> None:
    """Gives the running statistics of a model that was made without memory their initial values."""
    for name, buffer in recognizer.named_buffers():
        buffer.fill_(1.0 if name.endswith("running_var") else 0.0)
