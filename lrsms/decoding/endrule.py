"""Two rules for when the hypotheses of the joint search, and the search itself, end.

`Exact`: each hypothesis may end at every length, without taking a place in the beam, and the best ended one wins.
Where the decoder is weak, this deletes words, because a short hypothesis has lost little log-probability.

`Detected`, as in ESPnet and therefore in Auto-AVSR: eos is a label like the others, so a hypothesis ends only where its
end is among the ``beam`` best continuations. The search ends when no hypothesis grows, when hypotheses have as many
tokens as there are frames (they end without eos in their scores), or by the detection of Watanabe et al. 2017
(*Hybrid CTC/attention architecture for end-to-end speech recognition*, equation 50): at length n, where for each of
m = 0, 1, 2 the best hypothesis that ended at length n - m is worse than the best of all by more than ``-D_END``. ESPnet
counts sos and eos in the length of an ended hypothesis, but not in n, so it looks two tokens further back. In ESPnet,
eos gets the length bonus too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lrsms.decoding.hypothesis import Hypothesis

LENGTHS, D_END = 3, -10.0
"""M and D_end of the detection."""


class Exact:
    """Ends an utterance when no growing hypothesis can overtake its best ended one.

    Log-probabilities only fall, so none can gain more than the length bonus for every token that is left.

    Args:
        lengths: ``(B,)`` frames, the most tokens that a hypothesis may have.
        num_frames: T, the longest of the batch.
        size: labels V; eos is the last.
        length_bonus: bonus for each token.
    """

    not_in_beam = 2
    """Labels that never take a place in the beam: blank, and eos, by which every hypothesis may end."""

    def __init__(self, lengths: Tensor, num_frames: int, size: int, length_bonus: float) -> None:
        self.best = Best.none(len(lengths), num_frames, lengths.device)
        self._utterances = torch.arange(len(lengths), device=lengths.device)  # utterances that are not finished
        self._lengths, self._size, self._bonus = lengths, size, length_bonus

    def end(self, tokens: Tensor, ended: Tensor, scores: Tensor) -> None:
        """Takes the hypotheses of one length.

        Args:
            tokens: ``(B', K, U)``.
            ended: ``(B', K)``, their scores if they end here.
            scores: ``(B', K, V)``, the scores of their continuations; blank and eos are impossible. They may be changed
                in place.
        """
        self.best.update(self._utterances, tokens, ended)

    def alive(self, history: Tensor, labels: Tensor, top: Tensor) -> Tensor:
        """Indices into B' of utterances whose search continues.

        Args:
            history: ``(B', K', U)``, the tokens that the best continuations continue, best first.
            labels: ``(B', K')``, the labels that continue them.
            top: ``(B', K')``, their scores.
        """
        num_left = self._lengths - (history.shape[2] + 1)
        bound = top[:, 0] + max(self._bonus, 0.0) * num_left
        return ((num_left >= 0) & (bound > self.best.scores[self._utterances])).nonzero().squeeze(1)

    def keep(self, utterances: Tensor) -> None:
        """Keeps only the ``utterances (B'',)`` (indices into B')."""
        self._utterances, self._lengths = self._utterances[utterances], self._lengths[utterances]


class Detected(Exact):
    """Ends an utterance as ESPnet does."""

    not_in_beam = 1

    def __init__(self, lengths: Tensor, num_frames: int, size: int, length_bonus: float) -> None:
        super().__init__(lengths, num_frames, size, length_bonus)
        self._growing = torch.ones((len(lengths), 1), dtype=torch.bool, device=lengths.device)
        shape = (len(lengths), num_frames)
        self._by_length = torch.full(shape, -torch.inf, dtype=torch.float64, device=lengths.device)

    def end(self, tokens: Tensor, ended: Tensor, scores: Tensor) -> None:
        """Lets eos compete with the labels."""
        scores[..., -1] = ended + self._bonus
        scores.masked_fill_(~self._growing[..., None], -torch.inf)

    def alive(self, history: Tensor, labels: Tensor, top: Tensor) -> Tensor:
        """Ends the hypotheses that eos continues."""
        length = history.shape[2]
        ends = labels == self._size - 1
        ended = top.masked_fill(~ends, -torch.inf)
        self.best.update(self._utterances, history, ended)
        self._by_length[self._utterances, length] = ended.amax(1)
        self._growing = ~ends & (top > -torch.inf)
        num_left = self._lengths - (length + 1)
        last = self._growing & (num_left == 0)[:, None]
        grown = torch.cat([history, labels[..., None]], 2)
        self.best.update(self._utterances, grown, top.masked_fill(~last, -torch.inf))
        goes_on = (num_left > 0) & self._growing.any(1) & ~self._detected(length)
        return goes_on.nonzero().squeeze(1)

    def keep(self, utterances: Tensor) -> None:
        """Keeps only the ``utterances (B'',)`` (indices into B')."""
        super().keep(utterances)
        self._growing = self._growing[utterances]

    def _detected(self, length: int) -> Tensor:
        newest = length - 2
        if newest < LENGTHS - 1:
            return torch.zeros_like(self._utterances, dtype=torch.bool)
        recent = self._by_length[self._utterances, newest - LENGTHS + 1 : newest + 1]
        behind = recent - self.best.scores[self._utterances, None]
        return ((recent > -torch.inf) & (behind < D_END)).all(1)


@dataclass(frozen=True)
class Best:
    """The best ended hypothesis of each utterance so far, updated in place on the device."""

    scores: Tensor
    lengths: Tensor
    tokens: Tensor

    @classmethod
    def none(cls, num_utterances: int, num_frames: int, device: torch.device) -> "Best":
        """Nothing has ended yet."""
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
