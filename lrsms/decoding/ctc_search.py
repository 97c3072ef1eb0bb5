"""The most probable tokens by CTC alone: prefix beam search, frame by frame, over many utterances at once.

The paths over the frames so far that spell a prefix g end either in a blank or in the last label of g (Hannun et al.
2014, *First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs*, algorithm 1,
without its language model)::

    blank(g)  = p(blank) * (blank'(g) + label'(g))
    label(g)  = p(c) * (label'(g) + blank'(h) + label'(h))      where g is h and the label c
    label(g)  = p(c) * (label'(g) + blank'(h))                  where h ends in c too

Here p is of this frame, and ' marks the values of the frame before. After each frame, the ``beam`` prefixes with the
highest scores stay, whatever their lengths. So all prefixes that compete have explained the same frames. A search label
by label, as joint decoding needs it, compares prefixes of one length by the sum over all continuations; in noise it
loses the most probable prefix.

Pruned paths are missing in these sums. At the end, each prefix is therefore scored again, by all of its paths::

    log P(g) + length_bonus * (number of tokens)

The tokens of the most probable path are scored beside them, because a narrow beam may have lost them.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lrsms.decoding.ctc_prefix import CTCPrefixScorer
from lrsms.decoding.hypothesis import Hypothesis
from lrsms.models.frontends import padding_mask

_MULTIPLIER = 6364136223846793005
"""Multiplier of the 64-bit hashes that name prefixes (Knuth's, of full period); a few thousand hashes never collide in
practice."""
_NOBODY = -1
"""Name of a prefix that no path spells."""


@dataclass(frozen=True)
class _Prefixes:
    """K prefixes of each of B utterances, all ``(B, K)``; prefixes that a path spells are all different."""

    blank: Tensor
    label: Tensor
    last: Tensor
    """The last label; 0 for the empty prefix."""
    name: Tensor
    parent: Tensor
    """Name of the prefix without its last label."""
    count: Tensor
    """Number of its labels."""

    @classmethod
    def empty(cls, like: Tensor) -> "_Prefixes":
        """The empty prefix of each utterance, certain before the first frame, as if a blank had been there."""
        zero = torch.zeros((like.shape[0], 1), dtype=torch.long, device=like.device)
        certain = torch.zeros(zero.shape, dtype=torch.float64, device=like.device)
        return cls(certain, torch.full_like(certain, -torch.inf), zero, zero, zero, zero)


@torch.no_grad()
def greedy(log_probs: Tensor, lengths: Tensor) -> list[tuple[int, ...]]:
    """The most probable CTC path of each utterance, with repeats merged and blanks removed.

    Args:
        log_probs: ``(B, T, V)`` CTC log-probabilities; blank = 0; eos (V - 1), which CTC never emits, is passed over.
        lengths: ``(B,)`` frames.

    Raises:
        ValueError: a length outside 1..T.
    """
    path = _likeliest_path(log_probs, checked_lengths(log_probs, lengths))
    counts = (path > 0).sum(1).tolist()
    tokens = iter(path[path > 0].tolist())
    return [tuple(itertools.islice(tokens, count)) for count in counts]


@torch.no_grad()
def search(log_probs: Tensor, lengths: Tensor, beam: int, length_bonus: float) -> list[Hypothesis]:
    """The best hypothesis of each utterance. It depends neither on the rest of the batch nor on the padding.

    Args:
        log_probs: ``(B, T, V)`` CTC log-probabilities; blank = 0; eos (V - 1), which CTC never emits, is passed over.
        lengths: ``(B,)`` frames.
        beam: prefixes that are kept after each frame.
        length_bonus: bonus for each token.

    Raises:
        ValueError: a length outside 1..T.
    """
    lengths = checked_lengths(log_probs, lengths)
    frames = log_probs.double()
    padding = padding_mask(lengths, log_probs.shape[1])
    frames = frames.masked_fill(padding[..., None], -torch.inf)
    frames[..., 0].masked_fill_(padding, 0.0)  # a certain blank changes nothing
    frames[..., -1] = -torch.inf
    prefixes = _Prefixes.empty(frames)
    steps = []
    for frame in frames.unbind(1):
        prefixes, slots, labels = _advance(prefixes, frame, beam, length_bonus)
        steps.append((slots, labels))
    labels = torch.cat([_backtrace(steps), _likeliest_path(log_probs, lengths)[:, None]], 1)
    counts, tokens = _packed(labels)
    spelt = F.pad(prefixes.name != _NOBODY, (0, 1), value=True)
    scores = _log_probabilities(log_probs, lengths, tokens, counts) + length_bonus * counts
    best, which = scores.masked_fill(~spelt, -torch.inf).max(1, keepdim=True)
    counts = counts.gather(1, which).squeeze(1)
    tokens = tokens.gather(1, which[..., None].expand(-1, -1, tokens.shape[2])).squeeze(1)
    columns = zip(tokens.tolist(), counts.tolist(), best.squeeze(1).tolist(), strict=True)
    return [Hypothesis(tuple(tokens[:count]), score) for tokens, count, score in columns]


def checked_lengths(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """``lengths (B,)`` on the device of ``log_probs (B, T, V)``.

    Raises:
        ValueError: one is outside 1..T.
    """
    num_frames = log_probs.shape[1]
    for utterance, length in enumerate(lengths.tolist()):
        if not 1 <= length <= num_frames:
            raise ValueError(f"utterance {utterance} of the batch has {length} frames, expected 1 to {num_frames}")
    return lengths.to(log_probs.device)


def _likeliest_path(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """``(B, T)``: the new label of the most probable path at each frame; 0 where there is none."""
    path = log_probs[..., :-1].argmax(-1)
    new = torch.ones_like(path, dtype=torch.bool)
    new[:, 1:] = path[:, 1:] != path[:, :-1]
    return path.masked_fill(~new | padding_mask(lengths, log_probs.shape[1]), 0)


def _advance(prefixes: _Prefixes, frame: Tensor, beam: int, length_bonus: float) -> tuple[_Prefixes, Tensor, Tensor]:
    """The prefixes after one more ``frame (B, V)`` of log-probabilities.

    Returns:
        The prefixes; for each, the index of the prefix that it continues; and its new label, 0 if none; both ``(B,
        K')``.
    """
    num_prefixes, size = prefixes.blank.shape[1], frame.shape[1]
    either = torch.logaddexp(prefixes.blank, prefixes.label)
    last = frame.gather(1, prefixes.last)
    grown = either[..., None] + frame[:, None]  # (B, K, V)
    grown.scatter_(2, prefixes.last[..., None], (prefixes.blank + last)[..., None])
    grown[..., 0] = -torch.inf
    grown = grown.flatten(1)

    # A prefix with a new label may equal another prefix that is kept: the two are merged.
    is_parent = (prefixes.parent[..., None] == prefixes.name[:, None]) & (prefixes.last > 0)[..., None]
    known, parent = is_parent.long().max(2)
    same = torch.where(known > 0, parent * size + prefixes.last, 0)  # 0: prefix 0 and a blank, which matches none
    blank = either + frame[:, :1]
    label = torch.logaddexp(prefixes.label + last, grown.gather(1, same))
    grown.scatter_(1, same, -torch.inf)

    longer = (prefixes.count + 1).repeat_interleave(size, 1)
    scores = torch.cat([torch.logaddexp(blank, label), grown], 1)
    scores += length_bonus * torch.cat([prefixes.count, longer], 1)
    top, index = scores.topk(min(beam, scores.shape[1]))
    stays = index < num_prefixes
    slots = torch.where(stays, index, (index - num_prefixes).div(size, rounding_mode="floor"))
    labels = torch.where(stays, 0, (index - num_prefixes) % size)
    spelt = top > -torch.inf

    def kept(x: Tensor) -> Tensor:
        return x.gather(1, slots)

    name = kept(prefixes.name)
    following = _Prefixes(
        blank=torch.where(stays, kept(blank), -torch.inf),
        label=torch.where(stays, kept(label), grown.gather(1, (index - num_prefixes).clamp(min=0))),
        last=torch.where(spelt, torch.where(stays, kept(prefixes.last), labels), 0),
        name=torch.where(spelt, torch.where(stays, name, name * _MULTIPLIER + labels), _NOBODY),
        parent=torch.where(stays, kept(prefixes.parent), name),
        count=kept(prefixes.count) + ~stays,
    )
    return following, slots, labels


def _backtrace(steps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """``(B, K, T)``: the label that each of the last prefixes got at each frame; 0 where it got none."""
    slots = torch.arange(steps[-1][0].shape[1], device=steps[-1][0].device).expand_as(steps[-1][0])
    path = []
    for before, labels in reversed(steps):
        path.append(labels.gather(1, slots))
        slots = before.gather(1, slots)
    return torch.stack(path[::-1], 2)


def _packed(labels: Tensor) -> tuple[Tensor, Tensor]:
    """How many of ``labels (B, K, T)`` are not 0, ``(B, K)``, and these labels without the zeros, ``(B, K, U)``."""
    order = (labels == 0).long().sort(dim=2, stable=True).indices
    counts = (labels > 0).sum(2)
    return counts, labels.gather(2, order)[..., : int(counts.max())]


def _log_probabilities(log_probs: Tensor, lengths: Tensor, tokens: Tensor, counts: Tensor) -> Tensor:
    """``(B, K)``: log P of the first ``counts (B, K)`` of ``tokens (B, K, U)``, by all paths."""
    scorer = CTCPrefixScorer(log_probs, lengths)
    found = scorer.complete().expand(counts.shape)
    parents = torch.zeros_like(counts)
    for position in range(tokens.shape[2]):
        scorer.advance(parents, tokens[..., position])
        found = torch.where(counts == position + 1, scorer.complete(), found)
        parents = torch.arange(counts.shape[1], device=counts.device).expand_as(counts)
    return found
