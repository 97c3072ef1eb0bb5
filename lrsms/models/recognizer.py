"""The speech recogniser: front end and Conformer encoder of each modality, their fusion, CTC head and Transformer
decoder, with its joint loss."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms.models.conformer import ConformerEncoder
from lrsms.models.decoder import Decoder
from lrsms.models.dropout import Dropout
from lrsms.models.frontends import LogMelFrontend, WaveFrontend, padding_mask
from lrsms.models.fusion import Fusion
from lrsms.models.initial import initialise
from lrsms.models.video_frontend import VideoFrontend
from lrsms.study.run import Modality, Model

BLANK = 0


@dataclass(frozen=True)
class Losses:
    """Losses summed over the utterances of a group.

    Attributes:
        ctc: loss of the CTC head.
        attention: loss of the decoder; None without a decoder.
        log_probs: the CTC log-probabilities, ``(B, T, V)``.
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
    """A dense recogniser; ``methods.factorize`` replaces its matrices.

    With one modality, it has a ``frontend`` and an ``encoder``. With both, it has an ``audio_frontend``,
    ``audio_encoder``, ``video_frontend``, ``video_encoder`` and their ``fusion``.

    Args:
        model: dimensions.
        size: vocabulary size V; 0 is the blank and V-1 both start and end of a sentence.
    """

    def __init__(self, model: Model, size: int) -> None:
        super().__init__()
        self.size = size
        self.modalities = model.modalities
        for modality in model.modalities:
            prefix = self._prefix(modality)
            self.add_module(f"{prefix}frontend", _frontend(model, modality))
            encoder = ConformerEncoder(
                model.dim, model.heads, model.feedforward, model.layers, model.kernel, model.dropout
            )
            self.add_module(f"{prefix}encoder", encoder)
        self.fusion: Fusion | None = None
        if model.fusion is not None:
            self.fusion = Fusion(model.dim, model.fusion)
        self.dropout = Dropout(model.dropout)
        self.ctc = nn.Linear(model.dim, size)
        self.decoder: Decoder | None = None
        if model.decoder_layers:
            self.decoder = Decoder(size, model.dim, model.heads, model.feedforward, model.decoder_layers, model.dropout)

    def encode(
        self, audio: Tensor | None, video: Tensor | None, lengths: Tensor, present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Encodes utterances. For an absent modality, zeros replace its encoder's output, and no statistic counts it.

        Args:
            audio: features ``(B, 4T, F)`` or waves ``(B, 640 T)``; None: there is none, or the model has no audio.
            video: pictures ``(B, T, 88, 88)``; None: there is none, or the model has no video.
            lengths: frames, ``(B,)``; best on the CPU, so that nothing waits for a GPU.
            present: for a model of both modalities, whether each utterance's audio and video are present, ``(B, 2)``;
                None: all given data are present. Best on the CPU too.

        Returns:
            The memory ``(B, T, D)`` and its padding mask ``(B, T)``.
        """
        if self.fusion is None:
            (modality,) = self.modalities
            inputs = audio if modality == "audio" else video
            assert inputs is not None and present is None, f"a model of {modality} alone needs it"
            memory = self._encode_modality(modality, inputs, lengths)
            return memory, _padding(lengths, memory)
        heard_rows, seen_rows = (None, None) if present is None else present.unbind(1)
        heard = self._encode_present("audio", audio, lengths, heard_rows)
        seen = self._encode_present("video", video, lengths, seen_rows)
        either = heard if heard is not None else seen
        assert either is not None, "neither modality is present"
        heard, seen = (torch.zeros_like(either) if memory is None else memory for memory in (heard, seen))
        mask = _padding(lengths, either)
        return self.fusion(heard, seen, mask), mask

    def _encode_present(
        self, modality: Modality, inputs: Tensor | None, lengths: Tensor, present: Tensor | None
    ) -> Tensor | None:
        """Encodes the utterances that are ``present (B,)``, and gives zeros for the others; None if none is present."""
        if inputs is None or (present is not None and not present.any()):
            return None
        if present is None or present.all():
            return self._encode_modality(modality, inputs, lengths)
        # Absent utterances do not pass through the encoder: they would count in the statistics of batch norm.
        rows = present.nonzero().squeeze(1)
        lengths_of_rows = lengths[rows.to(lengths.device)]
        rows = rows.to(inputs.device, non_blocking=True)
        memory = self._encode_modality(modality, inputs[rows], lengths_of_rows)
        return memory.new_zeros(len(lengths), *memory.shape[1:]).index_copy(0, rows, memory)

    def _encode_modality(self, modality: Modality, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Front end and encoder: ``(B, T, D)``."""
        prefix = self._prefix(modality)
        x = self.get_submodule(f"{prefix}frontend")(inputs, lengths)
        return self.get_submodule(f"{prefix}encoder")(x, _padding(lengths, x))

    def _prefix(self, modality: Modality) -> str:
        return f"{modality}_" if len(self.modalities) > 1 else ""

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """CTC log-probabilities ``(B, T, V)``, at least in float32, also under autocast."""
        logits = self.ctc(self.dropout(memory))
        return F.log_softmax(logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))

    def forward(
        self,
        audio: Tensor | None,
        video: Tensor | None,
        lengths: Tensor,
        tokens: Tensor,
        token_lengths: Tensor,
        label_smoothing: float,
        present: Tensor | None = None,
    ) -> Losses:
        """Losses of a group.

        Args:
            audio: as for ``encode``.
            video: as for ``encode``.
            lengths: as for ``encode``.
            tokens: transcripts ``(B, U)``; tokens beyond their lengths are ignored.
            token_lengths: ``(B,)``; best on the CPU too.
            label_smoothing: probability spread evenly over the other classes.
            present: as for ``encode``.
        """
        memory, mask = self.encode(audio, video, lengths, present)
        log_probs = self.ctc_log_probs(memory)
        with torch.autocast(memory.device.type, enabled=False):
            ctc = ctc_loss(log_probs, lengths, tokens, token_lengths)
        if self.decoder is None:
            return Losses(ctc, None, log_probs)
        logits, ends, ignored = self._teacher_forced(self.decoder, memory, mask, tokens, token_lengths)
        attention = smoothed_divergence(logits, ends, ignored, label_smoothing)
        return Losses(ctc, attention, log_probs)

    def utterance_losses(
        self, memory: Tensor, log_probs: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """-ln of the probability of each transcript, in nats, by the CTC head and by the decoder if there is one.

        Args:
            memory: ``(B, T, D)`` from ``encode``.
            log_probs: ``(B, T, V)`` from ``ctc_log_probs``.
            lengths: frames, ``(B,)``.
            tokens: as for ``forward``; each transcript must fit its frames.
            token_lengths: as for ``forward``.

        Returns:
            ``(B,)`` each, in float64. The decoder predicts each token, and the end of the sentence, after the true
            ones.
        """
        ctc = ctc_loss(log_probs.double(), lengths, tokens, token_lengths, reduction="none")
        if self.decoder is None:
            return ctc, None
        mask = _padding(lengths, memory)
        logits, ends, ignored = self._teacher_forced(self.decoder, memory, mask, tokens, token_lengths)
        by_token = F.cross_entropy(logits.double().transpose(1, 2), ends, reduction="none")
        return ctc, by_token.masked_fill(ignored, 0.0).sum(1)

    def _teacher_forced(
        self, decoder: Decoder, memory: Tensor, mask: Tensor, tokens: Tensor, token_lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits ``(B, U + 1, V)`` of each token and the end, these targets ``(B, U + 1)``, and where there is none."""
        end = self.size - 1
        token_lengths = token_lengths.to(memory.device, non_blocking=True)
        token_mask = padding_mask(token_lengths, tokens.shape[1])
        starts = F.pad(tokens.masked_fill(token_mask, end), (1, 0), value=end)
        ends = F.pad(tokens, (0, 1), value=end).scatter(1, token_lengths.unsqueeze(1), end)
        logits = decoder(starts, memory, mask)
        ignored = padding_mask(token_lengths + 1, ends.shape[1])
        return logits, ends.masked_fill(ignored, 0), ignored


def _padding(lengths: Tensor, x: Tensor) -> Tensor:
    """The padding mask ``(B, T)`` of ``x (B, T, D)``, on its device."""
    return padding_mask(lengths.to(x.device, non_blocking=True), x.shape[1])


def _frontend(model: Model, modality: Modality) -> nn.Module:
    if modality == "video":
        assert model.video_channels is not None
        return VideoFrontend(model.video_channels, model.video_shrink, model.dim)
    assert model.channels is not None
    if model.mels is not None:
        return LogMelFrontend(model.mels, model.channels, model.dim)
    return WaveFrontend(model.channels, model.dim)


def ctc_loss(
    log_probs: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, reduction: str = "sum"
) -> Tensor:
    """The CTC loss. If only deterministic kernels are allowed, it is computed on the CPU, since a GPU has none.

    Args:
        log_probs: ``(B, T, V)``.
        lengths: frames, ``(B,)``. PyTorch needs both lengths on the CPU; it waits if they are elsewhere.
        tokens: transcripts ``(B, U)``.
        token_lengths: ``(B,)``.
        reduction: "sum" over utterances, or "none", which gives ``(B,)``.
    """
    device = log_probs.device
    by_frame = log_probs.transpose(0, 1)
    if torch.are_deterministic_algorithms_enabled():
        by_frame, tokens, lengths, token_lengths = (x.cpu() for x in (by_frame, tokens, lengths, token_lengths))
    return F.ctc_loss(by_frame, tokens, lengths, token_lengths, blank=BLANK, reduction=reduction).to(device)


def smoothed_divergence(logits: Tensor, targets: Tensor, ignored: Tensor, smoothing: float) -> Tensor:
    """Kullback-Leibler divergence from smoothed targets, as in ESPnet and Auto-AVSR; zero at a perfect match.

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


def build(model: Model, size: int, seed: int) -> Recognizer:
    """The dense model with its initial weights, in float32 on the CPU."""
    with torch.device("meta"):
        recognizer = Recognizer(model, size)
    recognizer.to_empty(device="cpu")
    initialise(recognizer, seed, model.initialiser)
    reset_buffers(recognizer)
    return recognizer


def reset_buffers(recognizer: Recognizer) -> None:
    """Sets the running statistics of a model that was on the meta device to their initial values."""
    for name, buffer in recognizer.named_buffers():
        buffer.fill_(1.0 if name.endswith("running_var") else 0.0)
