"""When tokens are said: the likeliest CTC path that spells them (Graves et al. 2006; the Viterbi form of its sums).

A path has a label in every frame: a token, again and again while it lasts, or the blank, which must part equal
neighbours. Its states are ``blank, token 1, blank, token 2, ..., blank``; from frame to frame a path stays in a state,
goes to the next, or skips a blank between tokens that differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Span:
    """The frames of a path that a token has: ``begin`` up to, not including, ``end``."""

    begin: int
    end: int
    log_prob: float
    """Mean over its frames."""


def align(log_probs: np.ndarray, tokens: Sequence[int]) -> list[Span] | None:
    """The frames of each token on the likeliest path; of paths that are as likely, the one that is later in its tokens.

    Args:
        log_probs: ``(T, V)`` CTC log-probabilities of one utterance; blank = 0.
        tokens: what it spells, of 1 .. V-1.

    Returns:
        A span for each token, or None where no path of T frames spells them: there are too few frames, or a token is
        impossible.
    """
    if not tokens:
        return []
    labels = np.zeros(2 * len(tokens) + 1, np.int64)
    labels[1::2] = tokens
    skips = np.zeros(len(labels), bool)  # whether a path may come from two states before
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    emitted = log_probs.astype(np.float64)[:, labels]
    score = np.full(len(labels), -np.inf)
    score[:2] = emitted[0, :2]
    steps = np.zeros(emitted.shape, np.int8)  # states that the best path into a state came by
    for frame in range(1, len(emitted)):
        came = np.full((3, len(labels)), -np.inf)
        came[0] = score
        came[1, 1:] = score[:-1]
        came[2, 2:] = np.where(skips[2:], score[:-2], -np.inf)
        steps[frame] = came.argmax(0)
        score = came.max(0) + emitted[frame]
    state = len(labels) - (1 if score[-1] >= score[-2] else 2)
    if not np.isfinite(score[state]):
        return None
    path = np.empty(len(emitted), np.int64)
    for frame in range(len(emitted) - 1, -1, -1):
        path[frame] = state
        state -= steps[frame, state]
    spans = []
    for state in range(1, len(labels), 2):
        frames = np.flatnonzero(path == state)
        spans.append(Span(int(frames[0]), int(frames[-1]) + 1, float(emitted[frames, state].mean())))
    return spans
