"""Plain searches to hold `lrsms.decoding.beam` and `lrsms.decoding.ctc_search` against.

One utterance, Python loops, textbook recursions, no shared code.
"""

import itertools
import math

import torch
from torch import Tensor

from lrsms.models.decoder import Decoder
from lrsms.study import decoding

Prefix = tuple[int, ...]


def random_log_probs(generator: torch.Generator, *shape: int, peakiness: float = 2.0) -> Tensor:
    """Log-probabilities over the last axis, float64; with more ``peakiness``, one of them is larger than the others."""
    return (peakiness * torch.randn(*shape, generator=generator, dtype=torch.float64)).log_softmax(-1)


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


def forward(probs: list[list[float]], sequence: Prefix) -> list[tuple[float, float]]:
    """After 0, 1, ..., T frames: probability of all paths that spell ``sequence``, ending in a blank and in its label.

    By the forward recursion over its labels with blanks between (Graves et al. 2006, equations 5-8).
    """
    extended = [0]
    for label in sequence:
        extended += [label, 0]
    alpha = [0.0] * len(extended)
    alpha[0] = 1.0  # before the first frame, as if a blank had been emitted
    ends = [(alpha[-1], 0.0)]
    for frame in probs:
        previous, alpha = alpha, [0.0] * len(extended)
        for s, label in enumerate(extended):
            arriving = previous[s] + (previous[s - 1] if s >= 1 else 0.0)
            if s >= 2 and label != 0 and label != extended[s - 2]:
                arriving += previous[s - 2]
            alpha[s] = arriving * frame[label]
        ends.append((alpha[-1], alpha[-2] if sequence else 0.0))
    return ends


def sequence_probability(probs: list[list[float]], sequence: Prefix) -> float:
    """P(sequence)."""
    return sum(forward(probs, sequence)[-1])


def continued_probabilities(probs: list[list[float]], sequence: Prefix) -> dict[int, float]:
    """Of every label: probability of all that begins with ``sequence`` and it, which starts at any frame."""
    ends = forward(probs, sequence)
    total = {}
    for label in range(1, len(probs[0])):
        # Only after a blank does the same label once more count as a new one.
        before = [blank + (0.0 if sequence[-1:] == (label,) else last) for blank, last in ends[:-1]]
        total[label] = sum(arriving * frame[label] for arriving, frame in zip(before, probs, strict=True))
    return total


def joint_score(attention: float, ctc_probability: float, num_tokens: int, settings: decoding.Decoder) -> float:
    """The weighted sum that a joint search maximises."""
    score = settings.length_bonus * num_tokens
    if settings.ctc_weight < 1:
        score += (1 - settings.ctc_weight) * attention
    if settings.ctc_weight > 0:
        score += settings.ctc_weight * math.log(ctc_probability) if ctc_probability > 0 else -math.inf
    return score


def search(
    log_probs: Tensor, decoder: Decoder, memory: Tensor, beam: int, ctc_weight: float, length_bonus: float
) -> tuple[Prefix, float]:
    """Best hypothesis and score for ``log_probs (T, V)``, ``memory (T, D)``, both unpadded; never stops early.

    Each hypothesis goes through the whole decoder at every length, and through all frames for its CTC probability.
    """
    num_frames, size = log_probs.shape
    eos = size - 1
    probs = log_probs.exp().tolist()
    settings = decoding.Decoder(kind="beam", beam=beam, ctc_weight=ctc_weight, length_bonus=length_bonus)
    growing: dict[Prefix, float] = {(): 0.0}  # log-probability of the attention
    ended: dict[Prefix, float] = {}
    for length in range(num_frames + 1):
        steps = next_log_probs(decoder, memory, list(growing))
        continued: dict[Prefix, tuple[float, float]] = {}
        for (prefix, attention), step in zip(growing.items(), steps, strict=True):
            ended[prefix] = joint_score(attention + step[eos], sequence_probability(probs, prefix), length, settings)
            ctc = continued_probabilities(probs, prefix)
            for label in range(1, eos):
                score = joint_score(attention + step[label], ctc[label], length + 1, settings)
                if score > -math.inf:
                    continued[(*prefix, label)] = (score, attention + step[label])
        kept = sorted(continued, key=lambda prefix: continued[prefix][0], reverse=True)[:beam]
        growing = {prefix: continued[prefix][1] for prefix in kept}
    best = max(ended, key=lambda prefix: ended[prefix])
    return best, ended[best]


def detected_search(
    log_probs: Tensor, decoder: Decoder, memory: Tensor, beam: int, ctc_weight: float, length_bonus: float
) -> tuple[Prefix, float]:
    """The same, ended as ESPnet does: eos takes a place in the beam, and three lengths that are far behind end it."""
    num_frames, size = log_probs.shape
    eos = size - 1
    probs = log_probs.exp().tolist()
    settings = decoding.Decoder(kind="beam", beam=beam, ctc_weight=ctc_weight, length_bonus=length_bonus)
    growing: dict[Prefix, float] = {(): 0.0}
    ended: dict[Prefix, float] = {}  # by labels and eos; eos counts as a token
    for length in range(num_frames):
        steps = next_log_probs(decoder, memory, list(growing))
        continued: dict[Prefix, tuple[float, float]] = {}
        for (prefix, attention), step in zip(growing.items(), steps, strict=True):
            ctc = continued_probabilities(probs, prefix) | {eos: sequence_probability(probs, prefix)}
            for label in range(1, size):
                score = joint_score(attention + step[label], ctc[label], length + 1, settings)
                if score > -math.inf:
                    continued[(*prefix, label)] = (score, attention + step[label])
        kept = sorted(continued, key=lambda prefix: continued[prefix][0], reverse=True)[:beam]
        ended |= {prefix: continued[prefix][0] for prefix in kept if prefix[-1] == eos}
        growing = {prefix: continued[prefix][1] for prefix in kept if prefix[-1] != eos}
        if length == num_frames - 1:
            ended |= {(*prefix, eos): continued[prefix][0] for prefix in growing}
        # Lengths with sos and eos, against the number of labels that have grown before.
        lately = [[score for prefix, score in ended.items() if len(prefix) + 1 == length - m] for m in range(3)]
        if not growing or all(scores and max(scores) - max(ended.values()) < -10 for scores in lately):
            break
    best = max(ended, key=lambda prefix: ended[prefix])
    return best[:-1], ended[best]


def frame_search(log_probs: Tensor, beam: int, length_bonus: float) -> dict[Prefix, float]:
    """Prefixes that a CTC prefix beam search of ``log_probs (T, V)`` has in the end, and their scores by all paths."""
    eos = log_probs.shape[1] - 1
    probs = log_probs.exp().tolist()
    beams: dict[Prefix, tuple[float, float]] = {(): (1.0, 0.0)}  # of paths that end in a blank, and in the last label
    for frame in probs:
        following: dict[Prefix, tuple[float, float]] = {}

        def add(prefix: Prefix, blank: float, label: float, following=following) -> None:
            before = following.get(prefix, (0.0, 0.0))
            following[prefix] = before[0] + blank, before[1] + label

        for prefix, (blank, label) in beams.items():
            add(prefix, (blank + label) * frame[0], label * frame[prefix[-1]] if prefix else 0.0)
            for new in range(1, eos):
                add((*prefix, new), 0.0, (blank if prefix[-1:] == (new,) else blank + label) * frame[new])
        spelt = {p: math.log(sum(parts)) + length_bonus * len(p) for p, parts in following.items() if sum(parts) > 0}
        beams = {p: following[p] for p in sorted(spelt, key=lambda p: spelt[p], reverse=True)[:beam]}
    return {prefix: math.log(sequence_probability(probs, prefix)) + length_bonus * len(prefix) for prefix in beams}


def next_log_probs(decoder: Decoder, memory: Tensor, prefixes: list[Prefix]) -> list[list[float]]:
    """The decoder's log-probabilities of each next label after each of ``prefixes``, all of one length."""
    if not prefixes:
        return []
    sos = decoder.embedding.num_embeddings - 1
    tokens = torch.tensor([[sos, *prefix] for prefix in prefixes])
    memories = memory.expand(len(prefixes), -1, -1)
    logits = decoder(tokens, memories, torch.zeros(memories.shape[:2], dtype=torch.bool))[:, -1]
    return logits.log_softmax(-1).tolist()
