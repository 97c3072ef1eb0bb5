"""From probabilities to tokens: greedy CTC, and a joint CTC/attention beam search over many utterances at once.

The search is one-pass joint decoding (Watanabe et al. 2017, algorithm 1). A hypothesis's score is::

    (1 - ctc_weight) * log p_attention + ctc_weight * log p_ctc + length_bonus * (number of tokens)

where p_ctc is the probability of all sequences that begin with a hypothesis while it grows, and of the sequence itself
once it ends; p_attention of an ended one includes eos. At every length each hypothesis may end, which takes no place in
the beam, and the best ``beam`` of all continuations of all hypotheses grow on. Nothing is pruned before the scores are
joint.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lrsms import config
from lrsms.ctc_prefix import CTCPrefixScorer
from lrsms.models.decoder import Decoder
from lrsms.models.frontends import padding_mask


@dataclass(frozen=True)
class Hypothesis:
    """Token ids without sos, eos and blanks, and their score (see the module)."""

    tokens: tuple[int, ...]
    score: float


@torch.no_grad()
def greedy(log_probs: Tensor, lengths: Tensor) -> list[tuple[int, ...]]:
    """The likeliest CTC path of each utterance, repeats merged and blanks removed.

    Args:
        log_probs: ``(B, T, V)`` CTC log-probabilities; blank = 0; eos (V - 1), which CTC never emits, is passed over.
        lengths: ``(B,)`` frames.

    Raises:
        ValueError: a length outside 1..T.
    """
    lengths = _checked_lengths(log_probs, lengths)
    path = log_probs[..., :-1].argmax(-1)
    new = torch.ones_like(path, dtype=torch.bool)
    new[:, 1:] = path[:, 1:] != path[:, :-1]
    emitted = new & (path != 0) & ~padding_mask(lengths, log_probs.shape[1])
    counts = emitted.sum(1).tolist()
    tokens = iter(path[emitted].tolist())
    return [tuple(itertools.islice(tokens, count)) for count in counts]


@torch.no_grad()
def search(
    log_probs: Tensor,
    lengths: Tensor,
    decoder: Decoder | None,
    memory: Tensor | None,
    settings: config.Decoder,
) -> list[Hypothesis]:
    """The best hypothesis of each utterance, whichever utterances share the batch and however they are padded.

    An utterance is finished when no growing hypothesis can overtake its best ended one: log-probabilities only fall, so
    none can gain more than the length bonus for every token that is left. No hypothesis has more tokens than frames.

    Args:
        log_probs: ``(B, T, V)`` CTC log-probabilities; blank = 0, sos = eos = V - 1.
        lengths: ``(B,)`` frames.
        decoder: in eval mode; may be None where ``ctc_weight`` is 1.
        memory: ``(B, T, D)`` that the decoder attends to; may be None where ``ctc_weight`` is 1.
        settings: of kind "beam".

    Raises:
        ValueError: a length outside 1..T, or no decoder or memory where the attention has weight.
    """
    assert settings.beam is not None and settings.ctc_weight is not None and settings.length_bonus is not None
    lengths = _checked_lengths(log_probs, lengths)
    bonus = settings.length_bonus
    num_utterances, num_frames, size = log_probs.shape
    scorers: list[tuple[float, _Scorer]] = []
    if settings.ctc_weight < 1:
        if decoder is None or memory is None:
            raise ValueError(
                f"ctc_weight {settings.ctc_weight} needs an attention decoder; use 1 for a model without one"
            )
        attention = _AttentionScorer(decoder, memory, padding_mask(lengths, log_probs.shape[1]))
        scorers.append((1 - settings.ctc_weight, attention))
    if settings.ctc_weight > 0:
        scorers.append((settings.ctc_weight, CTCPrefixScorer(log_probs, lengths)))

    best = _Best.none(num_utterances, num_frames, log_probs.device)
    utterances = torch.arange(num_utterances, device=log_probs.device)  # those that are not finished
    tokens = lengths.new_zeros((num_utterances, 1, 0))  # (utterances, hypotheses, length)
    while True:
        length = tokens.shape[2]
        best.update(utterances, tokens, _weighted((w, s.complete()) for w, s in scorers) + bonus * length)

        scores = _weighted((w, s.extensions()) for w, s in scorers)
        scores += bonus * (length + 1)
        scores[..., 0] = scores[..., -1] = -torch.inf  # blank and eos do not continue a hypothesis
        width = min(settings.beam, tokens.shape[1] * (size - 2))
        top, index = scores.flatten(1).topk(width)
        parents, labels = index // size, index % size

        num_left = lengths[utterances] - (length + 1)
        bound = top[:, 0] + max(bonus, 0.0) * num_left
        alive = ((num_left >= 0) & (bound > best.scores[utterances])).nonzero().squeeze(1)
        if alive.numel() == 0:
            return best.hypotheses()
        if alive.numel() < utterances.numel():
            for _, scorer in scorers:
                scorer.keep(alive)
            utterances, tokens, parents, labels = (x[alive] for x in (utterances, tokens, parents, labels))
        for _, scorer in scorers:
            scorer.advance(parents, labels)
        history = tokens.gather(1, parents[..., None].expand(-1, -1, length))
        tokens = torch.cat([history, labels[..., None]], dim=2)


def _weighted(terms: Iterable[tuple[float, Tensor]]) -> Tensor:
    """Sum of weights times tensors, which may be large, with one tensor of memory."""
    (weight, x), *others = terms
    total = weight * x
    for weight, x in others:
        total.add_(x, alpha=weight)
    return total


class _Scorer(Protocol):
    """Log-probabilities of K growing hypotheses of each of B utterances; begins with one empty hypothesis each."""

    def complete(self) -> Tensor:
        """``(B, K)``: of each hypothesis if it ends here."""

    def extensions(self) -> Tensor:
        """``(B, K, V)``: of each hypothesis continued by each label."""

    def advance(self, parents: Tensor, labels: Tensor) -> None:
        """Replaces the hypotheses by ``parents (B, K')``, each continued by ``labels (B, K')``."""

    def keep(self, utterances: Tensor) -> None:
        """Forgets all but the ``utterances (B',)``."""


class _AttentionScorer:
    """The decoder's log-probabilities, as a `_Scorer`."""

    def __init__(self, decoder: Decoder, memory: Tensor, padding_mask: Tensor) -> None:
        assert not decoder.training, "the search needs the decoder in eval mode"
        self._decoder = decoder
        self._state = decoder.start(memory, padding_mask)
        sos = torch.full((memory.shape[0], 1), decoder.embedding.num_embeddings - 1, device=memory.device)
        self._scores = self._after(sos, torch.zeros(sos.shape, dtype=torch.float64, device=memory.device))

    def complete(self) -> Tensor:
        return self._scores[..., -1]

    def extensions(self) -> Tensor:
        return self._scores

    def advance(self, parents: Tensor, labels: Tensor) -> None:
        num_utterances, num_hypotheses, size = self._scores.shape
        first_rows = torch.arange(num_utterances, device=parents.device)[:, None] * num_hypotheses
        self._state = self._state.reorder((first_rows + parents).flatten())
        self._scores = self._after(labels, self._scores.flatten(1).gather(1, parents * size + labels))

    def keep(self, utterances: Tensor) -> None:
        self._state = self._state.keep(utterances)
        self._scores = self._scores[utterances]

    def _after(self, tokens: Tensor, scores: Tensor) -> Tensor:
        """``(B, K, V)``: of the continuations of hypotheses with last ``tokens (B, K)`` and ``scores (B, K)``."""
        logits, self._state = self._decoder.step(tokens.flatten(), self._state)
        return logits.log_softmax(-1, dtype=torch.float64).view(*tokens.shape, -1).add_(scores[..., None])


@dataclass(frozen=True)
class _Best:
    """The best ended hypothesis of each utterance so far, updated in place on the device."""

    scores: Tensor
    lengths: Tensor
    tokens: Tensor

    @classmethod
    def none(cls, num_utterances: int, num_frames: int, device: torch.device) -> "_Best":
        return cls(
            scores=torch.full((num_utterances,), -torch.inf, dtype=torch.float64, device=device),
            lengths=torch.zeros(num_utterances, dtype=torch.long, device=device),
            tokens=torch.zeros((num_utterances, num_frames), dtype=torch.long, device=device),
        )

    def update(self, utterances: Tensor, tokens: Tensor, scores: Tensor) -> None:
        """Ends hypotheses ``tokens (B', K, U)`` with ``scores (B', K)`` of B' utterances; a tie leaves the shorter."""
        length = tokens.shape[2]
        score, which = scores.max(1)
        better = score > self.scores[utterances]
        candidate = tokens.gather(1, which[:, None, None].expand(-1, 1, length)).squeeze(1)
        self.scores[utterances] = torch.where(better, score, self.scores[utterances])
        self.lengths[utterances] = torch.where(better, length, self.lengths[utterances])
        self.tokens[utterances, :length] = torch.where(better[:, None], candidate, self.tokens[utterances, :length])

    def hypotheses(self) -> list[Hypothesis]:
        """Brings the result to the host."""
        columns = zip(self.tokens.tolist(), self.lengths.tolist(), self.scores.tolist(), strict=True)
        return [Hypothesis(tuple(tokens[:length]), score) for tokens, length, score in columns]


def _checked_lengths(log_probs: Tensor, lengths: Tensor) -> Tensor:
    num_frames = log_probs.shape[1]
    for utterance, length in enumerate(lengths.tolist()):
        if not 1 <= length <= num_frames:
            raise ValueError(f"utterance {utterance} of the batch has {length} frames, expected 1 to {num_frames}")
    return lengths.to(log_probs.device)
