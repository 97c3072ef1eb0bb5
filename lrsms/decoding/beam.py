"""Joint CTC/attention beam search over many utterances at once.

The search is one-pass joint decoding (Watanabe et al. 2017, algorithm 1). A hypothesis's score is::

    (1 - ctc_weight) * log p_attention + ctc_weight * log p_ctc + length_bonus * (number of tokens)

While a hypothesis grows, p_ctc is the probability of all sequences that begin with it; once it has ended, p_ctc is the
probability of the sequence itself. The p_attention of an ended hypothesis includes eos. At every length, the search
keeps the best ``beam`` of all continuations of all hypotheses. Nothing is pruned before the scores are joint. One of
two rules says when hypotheses and the search end (see `lrsms.decoding.endrule`). CTC alone is searched frame by frame
instead: see `lrsms.decoding.ctc_search`.
"""

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from lrsms.decoding import ctc_search
from lrsms.decoding.ctc_prefix import CTCPrefixScorer
from lrsms.decoding.ctc_search import checked_lengths
from lrsms.decoding.endrule import Detected, Exact
from lrsms.decoding.hypothesis import Hypothesis
from lrsms.models.decoder import Decoder
from lrsms.models.frontends import padding_mask
from lrsms.study import decoding


@torch.no_grad()
def search(
    log_probs: Tensor,
    lengths: Tensor,
    decoder: Decoder | None,
    memory: Tensor | None,
    settings: decoding.Decoder,
) -> list[Hypothesis]:
    """The best hypothesis of each utterance. It depends neither on the rest of the batch nor on the padding.

    No hypothesis has more tokens than frames.

    Args:
        log_probs: ``(B, T, V)`` CTC log-probabilities; blank = 0, sos = eos = V - 1.
        lengths: ``(B,)`` frames.
        decoder: in eval mode; may be None where ``ctc_weight`` is 1.
        memory: ``(B, T, D)`` that the decoder attends to; may be None where ``ctc_weight`` is 1.
        settings: of kind "beam", with one length bonus.

    Raises:
        ValueError: a length outside 1..T, or no decoder or memory where the attention has weight.
    """
    assert settings.beam is not None and settings.ctc_weight is not None
    assert isinstance(settings.length_bonus, float), "a list of length bonuses is decoded value by value"
    lengths = checked_lengths(log_probs, lengths)
    if settings.ctc_weight == 1:
        return ctc_search.search(log_probs, lengths, settings.beam, settings.length_bonus)
    if decoder is None or memory is None:
        raise ValueError(f"ctc_weight {settings.ctc_weight} needs an attention decoder; use 1 for a model without one")
    size = log_probs.shape[2]
    attention = _AttentionScorer(decoder, memory, padding_mask(lengths, log_probs.shape[1]))
    scorers: list[tuple[float, _Scorer]] = [(1 - settings.ctc_weight, attention)]
    if settings.ctc_weight > 0:
        scorers.append((settings.ctc_weight, CTCPrefixScorer(log_probs, lengths)))

    rule_class = Exact if settings.end is None else Detected
    rule = rule_class(lengths, log_probs.shape[1], size, settings.length_bonus)
    tokens = lengths.new_zeros((lengths.shape[0], 1, 0))  # (utterances that are not finished, hypotheses, length)
    best_before = log_probs.new_zeros((lengths.shape[0], 1))  # their scores
    while True:
        length = tokens.shape[2]
        ended = _weighted((w, s.complete()) for w, s in scorers) + settings.length_bonus * length
        scores = _weighted((w, s.extensions()) for w, s in scorers)
        scores += settings.length_bonus * (length + 1)
        scores[..., 0] = scores[..., -1] = -torch.inf  # blank and eos do not continue a hypothesis
        impossible = best_before == -torch.inf  # there were fewer hypotheses than places in the beam
        ended.masked_fill_(impossible, -torch.inf)
        scores.masked_fill_(impossible[..., None], -torch.inf)
        rule.end(tokens, ended, scores)
        top, index = scores.flatten(1).topk(min(settings.beam, tokens.shape[1] * (size - rule.not_in_beam)))
        parents, labels = index // size, index % size
        history = tokens.gather(1, parents[..., None].expand(-1, -1, length))
        alive = rule.alive(history, labels, top)
        if alive.numel() == 0:
            return rule.best.hypotheses()
        if alive.numel() < tokens.shape[0]:
            rule.keep(alive)
            for _, scorer in scorers:
                scorer.keep(alive)
            history, parents, labels, top = (x[alive] for x in (history, parents, labels, top))
        for _, scorer in scorers:
            scorer.advance(parents, labels)
        tokens, best_before = torch.cat([history, labels[..., None]], dim=2), top


def _weighted(terms: Iterable[tuple[float, Tensor]]) -> Tensor:
    """Weighted sum of tensors, which may be large; takes the memory of one tensor."""
    (weight, x), *others = terms
    total = weight * x
    for weight, x in others:
        total.add_(x, alpha=weight)
    return total


class _Scorer(Protocol):
    """Log-probabilities of K growing hypotheses of each of B utterances; each utterance begins with an empty one."""

    def complete(self) -> Tensor:
        """``(B, K)``: the score of each hypothesis if it ends here."""

    def extensions(self) -> Tensor:
        """``(B, K, V)``: the score of each hypothesis continued by each label."""

    def advance(self, parents: Tensor, labels: Tensor) -> None:
        """Replaces the hypotheses by ``parents (B, K')``, each continued by ``labels (B, K')``."""

    def keep(self, utterances: Tensor) -> None:
        """Keeps only the ``utterances (B',)``."""


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
        """``(B, K, V)``: scores of continued hypotheses with last ``tokens (B, K)`` and ``scores (B, K)``."""
        logits, self._state = self._decoder.step(tokens.flatten(), self._state)
        return logits.log_softmax(-1, dtype=torch.float64).view(*tokens.shape, -1).add_(scores[..., None])
