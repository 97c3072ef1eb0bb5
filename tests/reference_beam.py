"""Plain searches to hold `lrsms.beam` against: one utterance, Python loops, textbook recursions, no shared code."""

import itertools
import math

import torch
from torch import Tensor

from lrsms.models.decoder import Decoder

Prefix = tuple[int, ...]


def collapse(path: Prefix) -> Prefix:
    """What a CTC path spells: repeats merged, then blanks removed."""
    return tuple(label for label, _ in itertools.groupby(path) if label != 0)


def probabilities_by_enumeration(log_probs: Tensor) -> dict[Prefix, float]:
    """Probability of every label sequence, from every path of ``log_probs (T, V)``."""
    num_frames, size = log_probs.shape
    probs = log_probs.exp().tolist()
    total: dict[Prefix, float] = {}
    for path in itertools.product(range(size), repeat=num_frames):
        spelt = collapse(path)
        total[spelt] = total.get(spelt, 0.0) + math.prod(probs[t][label] for t, label in enumerate(path))
    return total


def sequence_probability(probs: list[list[float]], sequence: Prefix) -> float:
    """P(sequence) by the forward recursion over its labels with blanks between (Graves et al. 2006, equations 5-8)."""
    extended = [0]
    for label in sequence:
        extended += [label, 0]
    alpha = [0.0] * len(extended)
    alpha[0] = 1.0  # before the first frame, as if a blank had been emitted
    for frame in probs:
        previous, alpha = alpha, [0.0] * len(extended)
        for s, label in enumerate(extended):
            arriving = previous[s] + (previous[s - 1] if s >= 1 else 0.0)
            if s >= 2 and label != 0 and label != extended[s - 2]:
                arriving += previous[s - 2]
            alpha[s] = arriving * frame[label]
    return alpha[-1] + (alpha[-2] if sequence else 0.0)


def prefix_probability(probs: list[list[float]], prefix: Prefix) -> float:
    """Probability of all sequences that begin with ``prefix``: its last label starts somewhere, anything follows."""
    if not prefix:
        return 1.0
    total = 0.0
    for t, frame in enumerate(probs):
        before = probs[:t]
        arriving = sequence_probability(before, prefix[:-1])
        if len(prefix) >= 2 and prefix[-1] == prefix[-2]:  # only after a blank does it count as a new label
            arriving = ending_in_blank(before, prefix[:-1])
        total += arriving * frame[prefix[-1]]
    return total


def ending_in_blank(probs: list[list[float]], sequence: Prefix) -> float:
    """Probability of the paths that spell ``sequence`` and whose last frame is a blank."""
    return sequence_probability(probs[:-1], sequence) * probs[-1][0] if probs else float(not sequence)


def search(
    log_probs: Tensor, decoder: Decoder, memory: Tensor, beam: int, ctc_weight: float, length_bonus: float
) -> tuple[Prefix, float]:
    """Best hypothesis and score for ``log_probs (T, V)``, ``memory (T, D)``, both unpadded; never stops early."""
    num_frames, size = log_probs.shape
    eos = size - 1
    probs = log_probs.exp().tolist()
    padding_mask = torch.zeros(1, num_frames, dtype=torch.bool)

    def joint(attention: float, ctc_probability: float, num_tokens: int) -> float:
        score = length_bonus * num_tokens
        if ctc_weight < 1:
            score += (1 - ctc_weight) * attention
        if ctc_weight > 0:
            score += ctc_weight * math.log(ctc_probability) if ctc_probability > 0 else -math.inf
        return score

    growing: dict[Prefix, float] = {(): 0.0}  # log-probability of the attention
    ended: dict[Prefix, float] = {}
    for length in range(num_frames + 1):
        continued: dict[Prefix, tuple[float, float]] = {}
        for prefix, attention in growing.items():
            logits = decoder(torch.tensor([[eos, *prefix]]), memory[None], padding_mask)[0, -1]
            step = logits.log_softmax(-1).tolist()
            ended[prefix] = joint(attention + step[eos], sequence_probability(probs, prefix), length)
            for label in range(1, eos):
                longer = (*prefix, label)
                score = joint(attention + step[label], prefix_probability(probs, longer), length + 1)
                if score > -math.inf:
                    continued[longer] = (score, attention + step[label])
        kept = sorted(continued, key=lambda prefix: continued[prefix][0], reverse=True)[:beam]
        growing = {prefix: continued[prefix][1] for prefix in kept}
    best = max(ended, key=lambda prefix: ended[prefix])
    return best, ended[best]
