"""CTC probabilities of growing prefixes, for the beams of many utterances at once.

Watanabe et al. 2017 (*Hybrid CTC/attention architecture*, algorithm 2), vectorised over utterances, hypotheses, labels
and time. With p_t(c) the CTC probability of label c at frame t (from 1), the paths over frames 1..t that spell exactly
the prefix g are split into those that end in g's last label, ``label_t(g)``, and those that end in a blank,
``blank_t(g)``::

    before_t    = blank_t(g) + (label_t(g) unless g ends in c)  from where c can follow as a new label
    label_t(gc) = p_t(c) * (label_{t-1}(gc) + before_{t-1})
    blank_t(g)  = p_t(blank) * (blank_{t-1}(g) + label_{t-1}(g))
    psi(gc)     = sum over t of p_t(c) * before_{t-1}           the probability of all sequences that begin with gc
    P(g)        = blank_T(g) + label_T(g)                       the probability of g itself

Here ``psi`` is a matrix product, so all V continuations of all hypotheses are scored without pruning, and the
recursions are cumulative sums, computed only for the prefixes that the search keeps. All in float64: the sums then lose
nothing that matters over thousands of frames, and TF32 settings do not reach them.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

IMPOSSIBLE = -1e6
"""Stands for log 0 at one frame within cumulative sums, where -inf minus -inf would be NaN."""


class CTCPrefixScorer:
    """Log-probabilities of K prefixes of each of B utterances; begins with one empty prefix each.

    Args:
        log_probs: ``(B, T, V)`` CTC log-probabilities, blank = 0. Frames beyond an utterance's length are not used.
        lengths: ``(B,)`` frames, each from 1 to T.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor) -> None:
        num_utterances, num_frames, _ = log_probs.shape
        frames = torch.arange(num_frames, device=log_probs.device)
        self._padding = frames >= lengths[:, None]  # (B, T)
        self._lengths = lengths
        self._log_probs = log_probs.masked_fill(self._padding[..., None], 0.0).clamp(min=IMPOSSIBLE)
        self._probs = self._log_probs.double().exp()
        nothing = self._log_probs.new_full((num_utterances, 1, num_frames), -torch.inf, dtype=torch.float64)
        # Time runs from 0, before any frame, to T: ``(B, K, T + 1)``. The empty prefix starts as certain, in "blank".
        self._last = lengths.new_zeros((num_utterances, 1))
        self._label = F.pad(nothing, (1, 0), value=-torch.inf)
        blank = _running_sum(self._log_probs[:, None, :, 0].double())
        self._blank = _restore_impossible(F.pad(blank, (1, 0)))

    def complete(self) -> Tensor:
        """``(B, K)``: log P(prefix), the probability that the utterance is exactly the prefix."""
        end = self._lengths[:, None, None].expand(-1, self._last.shape[1], 1)
        return torch.logaddexp(self._label, self._blank).gather(2, end).squeeze(2)

    def extensions(self) -> Tensor:
        """``(B, K, V)``: log psi(prefix + label) of every label; -inf for the blank."""
        before = torch.logaddexp(self._label, self._blank)[..., :-1].masked_fill(self._padding[:, None], -torch.inf)
        # Relative to the largest term the product is safe: a label's psi vanishes only if its probability at the frame
        # of that term is below exp(-700).
        peak = before.amax(-1, keepdim=True).clamp(min=torch.finfo(before.dtype).min)
        psi = ((before - peak).exp() @ self._probs).log() + peak
        # A label equal to the prefix's last one is new only after a blank.
        before = self._blank[..., :-1].masked_fill(self._padding[:, None], -torch.inf)
        repeated = torch.logsumexp(before + self._emissions(self._last), dim=-1, keepdim=True)
        psi = psi.scatter(2, self._last[..., None], repeated)
        psi[..., 0] = -torch.inf
        return psi

    def advance(self, parents: Tensor, labels: Tensor) -> None:
        """Replaces the prefixes by ``parents (B, K')`` (indices into K), each continued by ``labels (B, K')``."""
        index = parents[..., None].expand(-1, -1, self._label.shape[2])
        label, blank = self._label.gather(1, index), self._blank.gather(1, index)
        repeats = labels == self._last.gather(1, parents)
        before = torch.where(repeats[..., None], blank, torch.logaddexp(label, blank))
        self._last = labels
        self._label = _recursion(before, self._emissions(labels))
        self._blank = _recursion(self._label, self._log_probs[:, None, :, 0].double())

    def keep(self, utterances: Tensor) -> None:
        """Forgets all but the ``utterances (B',)`` (indices into B)."""
        self._padding, self._lengths = self._padding[utterances], self._lengths[utterances]
        self._log_probs, self._probs = self._log_probs[utterances], self._probs[utterances]
        self._last, self._label, self._blank = (x[utterances] for x in (self._last, self._label, self._blank))

    def _emissions(self, labels: Tensor) -> Tensor:
        """``(B, K, T)``: log-probability of each hypothesis's own label at every frame."""
        index = labels[:, None].expand(-1, self._log_probs.shape[1], -1)
        return self._log_probs.gather(2, index).transpose(1, 2).double()


def _recursion(inflow: Tensor, emission: Tensor) -> Tensor:
    """Solves x_t = emission_t + logaddexp(x_{t-1}, inflow_{t-1}), x_0 = -inf, by cumulative sums over time.

    Args:
        inflow: ``(B, K, T + 1)`` at times 0..T.
        emission: ``(B, K, T)`` at times 1..T.

    Returns:
        x: ``(B, K, T + 1)`` at times 0..T.
    """
    stay = _running_sum(emission)
    x = stay + torch.logcumsumexp(inflow[..., :-1] - F.pad(stay[..., :-1], (1, 0)), dim=-1)
    return F.pad(_restore_impossible(x), (1, 0), value=-torch.inf)


def _running_sum(x: Tensor) -> Tensor:
    """Cumulative sum over the last dimension, as a matrix product: ``cumsum`` has no deterministic kernel on CUDA."""
    num_frames = x.shape[-1]
    return x @ torch.ones((num_frames, num_frames), dtype=x.dtype, device=x.device).triu()


def _restore_impossible(x: Tensor) -> Tensor:
    return x.masked_fill(x <= IMPOSSIBLE / 2, -torch.inf)
