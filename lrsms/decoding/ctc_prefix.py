"""CTC probabilities of growing prefixes, for the beams of many utterances at once.

Watanabe et al. 2017 (*Hybrid CTC/attention architecture*, algorithm 2), vectorised over utterances, hypotheses, labels
and time. Let p_t(c) be the CTC probability of label c at frame t (from 1). Paths over frames 1..t that spell exactly
the prefix g end either in g's last label, with probability ``label_t(g)``, or in a blank, with probability
``blank_t(g)``::

    either_t(g) = blank_t(g) + label_t(g)
    before_t    = either_t(g), or blank_t(g) if g ends in c     the paths that c can follow as a new label
    label_t(gc) = p_t(c) * (label_{t-1}(gc) + before_{t-1})
    blank_t(g)  = p_t(blank) * either_{t-1}(g)
    psi(gc)     = sum over t of p_t(c) * before_{t-1}           the probability of all sequences that begin with gc
    P(g)        = either_T(g)                                   the probability of g itself

Here ``psi`` is a matrix product, so all V continuations of all hypotheses are scored without pruning. The recursions
are cumulative sums, and are computed only for the prefixes that the search keeps. Everything is in float64: the sums
are then exact enough over thousands of frames, and TF32 settings do not affect them.

Frames beyond an utterance's end are blanks with probability 1. So no label begins there, P(g) does not change, and no
mask is needed.
"""

import itertools

import torch
from torch import Tensor
from torch.nn import functional as F

IMPOSSIBLE = -1e6
"""Stands for log 0 at one frame within cumulative sums, where -inf minus -inf would be NaN."""

MANY = 128
"""With this many rows or more, a CPU computes a cumulative log-sum faster frame by frame, for all rows at once."""


class CTCPrefixScorer:
    """Log-probabilities of K prefixes of each of B utterances; each utterance begins with an empty prefix.

    Args:
        log_probs: ``(B, T, V)`` CTC log-probabilities, blank = 0. Frames beyond an utterance's length are not used.
        lengths: ``(B,)`` frames, each from 1 to T.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor) -> None:
        num_utterances, num_frames, _ = log_probs.shape
        padding = torch.arange(num_frames, device=log_probs.device) >= lengths[:, None]  # (B, T)
        log_probs = log_probs.masked_fill(padding[..., None], IMPOSSIBLE).clamp_(min=IMPOSSIBLE)
        log_probs[..., 0].masked_fill_(padding, 0.0)
        self._log_probs = log_probs.mT.contiguous()  # (B, V, T): all frames of a label side by side
        self._probs = self._log_probs.double().exp()
        # Time runs from 0, before any frame, to T: (B, K, T + 1).
        self._stay_blank = _stay(self._log_probs[:, :1])
        # The empty prefix is certain before the first frame, as if a blank had been there.
        self._last = lengths.new_zeros((num_utterances, 1))
        self._blank = self._either = _restore_impossible(self._stay_blank)

    def complete(self) -> Tensor:
        """``(B, K)``: log P(prefix), the probability that the utterance is exactly the prefix."""
        return self._either[..., -1]

    def extensions(self) -> Tensor:
        """``(B, K, V)``: log psi(prefix + label) of every label; -inf for the blank."""
        before, peak = _relative(self._either[..., :-1])
        psi = (before @ self._probs.mT).log_().add_(peak)
        # A label equal to the prefix's last one is new only after a blank.
        before, peak = _relative(self._blank[..., :-1])
        repeated = (before * _rows(self._probs, self._last)).sum(-1, keepdim=True).log() + peak
        psi.scatter_(2, self._last[..., None], repeated)
        psi[..., 0] = -torch.inf
        return psi

    def advance(self, parents: Tensor, labels: Tensor) -> None:
        """Replaces the prefixes by ``parents (B, K')`` (indices into K), each continued by ``labels (B, K')``."""
        blank, either = _rows(self._blank, parents), _rows(self._either, parents)
        repeats = labels == self._last.gather(1, parents)
        self._last = labels
        label = _recursion(torch.where(repeats[..., None], blank, either), _stay(_rows(self._log_probs, labels)))
        self._blank = _recursion(label, self._stay_blank)
        self._either = torch.logaddexp(label, self._blank)

    def keep(self, utterances: Tensor) -> None:
        """Keeps only the ``utterances (B',)`` (indices into B)."""
        self._log_probs, self._probs = self._log_probs[utterances], self._probs[utterances]
        self._stay_blank, self._last = self._stay_blank[utterances], self._last[utterances]
        self._blank, self._either = self._blank[utterances], self._either[utterances]


def _recursion(inflow: Tensor, stay: Tensor) -> Tensor:
    """Solves x_t = log p_t + logaddexp(x_{t-1}, inflow_{t-1}), x_0 = -inf, by cumulative sums over time.

    Args:
        inflow: ``(B, K, T + 1)`` at times 0..T.
        stay: the cumulative log p, ``(B, K or 1, T + 1)``, see `_stay`.

    Returns:
        x: ``(B, K, T + 1)`` at times 0..T.
    """
    x = stay[..., 1:] + _logcumsumexp(inflow[..., :-1] - stay[..., :-1])
    return F.pad(_restore_impossible(x), (1, 0), value=-torch.inf)


def _logcumsumexp(x: Tensor) -> Tensor:
    """``x.logcumsumexp(-1)`` of ``(B, K, T)``; PyTorch's own kernel on the CPU is scalar, and so is slow."""
    if x.device.type != "cpu" or x.shape[0] * x.shape[1] < MANY:
        return x.logcumsumexp(-1)
    by_time = x.permute(2, 0, 1).contiguous()
    frames = by_time.unbind()
    for previous, frame in itertools.pairwise(frames):
        torch.logaddexp(previous, frame, out=frame)
    return by_time.permute(1, 2, 0)


def _relative(x: Tensor) -> tuple[Tensor, Tensor]:
    """``exp(x - peak)`` and the peak ``(B, K, 1)`` over time of ``x (B, K, T)``.

    A sum of products with probabilities is safe relative to its largest term: it vanishes only if the probability at
    the frame of that term is below exp(-700).
    """
    peak = x.amax(-1, keepdim=True).clamp_(min=torch.finfo(x.dtype).min)
    return (x - peak).exp_(), peak


def _rows(x: Tensor, index: Tensor) -> Tensor:
    """``(B, K', T)``: the rows ``index (B, K')`` of ``x (B, K, T)``; unlike ``gather``, it copies whole rows."""
    first = torch.arange(x.shape[0], device=x.device)[:, None] * x.shape[1]
    return x.flatten(0, 1).index_select(0, (first + index).flatten()).unflatten(0, index.shape)


def _stay(log_probs: Tensor) -> Tensor:
    """``(B, K, T + 1)``: the sum of ``log_probs (B, K, T)`` over all frames up to time t, in float64."""
    x = log_probs.double()
    if x.device.type == "cpu":
        return F.pad(x.cumsum(-1), (1, 0))
    # As a matrix product: ``cumsum`` has no deterministic kernel on CUDA.
    num_frames = x.shape[-1]
    return F.pad(x @ torch.ones((num_frames, num_frames), dtype=x.dtype, device=x.device).triu(), (1, 0))


def _restore_impossible(x: Tensor) -> Tensor:
    return x.masked_fill(x <= IMPOSSIBLE / 2, -torch.inf)
