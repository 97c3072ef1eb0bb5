"""CTC alone: prefix beam search against a plain one, against all sequences, and against PyTorch's CTC loss."""

import math

import pytest
import reference_beam as reference
import torch
from torch.nn import functional as F

from lrsms.base.strict import digest, parse
from lrsms.decoding import beam, ctc_search
from lrsms.study.decoding import Decoder, Decoding


def noisy_log_probs(generator, num_frames=40, size=12, tokens=10):
    """As a trained network's in noise: mostly blank, and at some frames a label or two that it is not sure of."""
    logits = 2.0 * torch.randn(num_frames, size, generator=generator, dtype=torch.float64)
    logits[:, 0] += 3
    for frame in torch.randperm(num_frames, generator=generator)[:tokens].tolist():
        logits[frame, torch.randint(1, size - 1, (2,), generator=generator)] += 5
    logits[:, -1] -= 10
    return logits.log_softmax(-1)


def log_probability(log_probs, tokens):
    """By PyTorch, of ``log_probs (T, V)``."""
    if not tokens:
        return log_probs[:, 0].sum().item()
    lengths = [len(log_probs)], [len(tokens)]
    return -F.ctc_loss(log_probs[:, None], torch.tensor([tokens]), *lengths, reduction="sum").item()


def every_utterance_and_its_best_of(plain, log_probs, lengths, width, length_bonus):
    """What was found, and the best of what the plain search or the likeliest path has."""
    found = ctc_search.search(log_probs, lengths, width, length_bonus)
    paths = ctc_search.greedy(log_probs, lengths)
    for utterance, length in enumerate(lengths.tolist()):
        frames = log_probs[utterance, :length]
        scores = plain(frames, width, length_bonus)
        scores[paths[utterance]] = log_probability(frames, paths[utterance]) + length_bonus * len(paths[utterance])
        best = max(scores, key=lambda tokens: scores[tokens])
        yield found[utterance], best, scores[best]


@pytest.mark.parametrize("length_bonus", [-0.5, 0.0, 0.5, 2.0])
def test_equals_the_plain_search(length_bonus):
    for case in range(18):
        generator = torch.Generator().manual_seed(case)
        lengths = torch.randint(1, 10, (3,), generator=generator)
        width, peakiness = [1, 2, 3, 5, 8, 20][case % 6], [0.5, 1.0, 2.0, 5.0][case % 4]
        log_probs = reference.random_log_probs(generator, 3, 9, 3 + case % 5, peakiness=peakiness)
        plain = every_utterance_and_its_best_of(reference.frame_search, log_probs, lengths, width, length_bonus)
        for found, tokens, score in plain:
            assert found.tokens == tokens, case
            assert found.score == pytest.approx(score, abs=1e-9), case


@pytest.mark.parametrize("width", [1, 4, 8])
def test_in_noise_it_finds_what_is_as_likely_as_the_plain_search_does(width):
    generator = torch.Generator().manual_seed(width)
    log_probs = torch.stack([noisy_log_probs(generator) for _ in range(6)])
    lengths = torch.tensor([40, 40, 31, 40, 17, 40])
    plain = every_utterance_and_its_best_of(reference.frame_search, log_probs, lengths, width, 0.0)
    for utterance, (found, _, score) in enumerate(plain):
        frames = log_probs[utterance, : lengths[utterance]]
        assert found.score == pytest.approx(log_probability(frames, found.tokens), abs=1e-9)
        assert found.score >= score - 1e-9


def test_a_search_label_by_label_loses_likelier_sequences_in_noise():
    """Why there is a search frame by frame: prefixes of one length compete by all that may follow."""
    generator = torch.Generator().manual_seed(0)
    gained = []
    for _ in range(4):
        log_probs = noisy_log_probs(generator)
        (frames,) = ctc_search.search(log_probs[None], torch.tensor([40]), 4, 0.0)
        labels = label_by_label(log_probs, 4)
        gained.append(frames.score - log_probability(log_probs, labels))
    assert min(gained) > -1e-9
    assert sum(gain > 0.1 for gain in gained) >= 3


def label_by_label(log_probs, width):
    """The likeliest sequence that a search over prefixes of one length, by the mass of all that begins so, finds."""
    probs = log_probs.exp().tolist()
    growing, ended = {()}, {}
    for _ in range(15):
        ended |= {prefix: reference.sequence_probability(probs, prefix) for prefix in growing}
        continued = {
            (*prefix, label): mass
            for prefix in growing
            for label, mass in reference.continued_probabilities(probs, prefix).items()
            if label < len(probs[0]) - 1
        }
        growing = set(sorted(continued, key=lambda prefix: continued[prefix], reverse=True)[:width])
    return max(ended, key=lambda prefix: ended[prefix])


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_the_likeliest_sequence(seed):
    log_probs = reference.random_log_probs(torch.Generator().manual_seed(seed), 5, 4)
    by_sequence = reference.probabilities_by_enumeration(log_probs)
    spellable = {sequence: p for sequence, p in by_sequence.items() if 3 not in sequence}  # 3 is eos
    likeliest = max(spellable, key=lambda sequence: spellable[sequence])
    options = Decoder(kind="beam", beam=1000, ctc_weight=1.0, length_bonus=0.0)
    (found,) = beam.search(log_probs[None], torch.tensor([5]), None, None, options)
    assert found.tokens == likeliest
    assert found.score == pytest.approx(math.log(spellable[likeliest]), abs=1e-10)


def test_it_does_not_depend_on_batch_or_padding():
    generator = torch.Generator().manual_seed(11)
    log_probs, lengths = reference.random_log_probs(generator, 5, 20, 9), torch.tensor([3, 20, 11, 1, 16])
    together = ctc_search.search(log_probs, lengths, 5, 0.1)
    padded = ctc_search.search(torch.cat([log_probs, torch.full((5, 7, 9), 100.0)], 1), lengths, 5, 0.1)
    alone = [
        ctc_search.search(log_probs[i : i + 1, :length], torch.tensor([length]), 5, 0.1)[0]
        for i, length in enumerate(lengths.tolist())
    ]
    for other in (padded, alone):
        assert [h.tokens for h in other] == [h.tokens for h in together]
        assert [h.score for h in other] == pytest.approx([h.score for h in together], abs=1e-10)


def test_labels_of_probability_zero_are_never_found():
    probs = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.25, 0.75, 0.0, 0.0]], dtype=torch.float64)
    by_sequence = reference.probabilities_by_enumeration(probs.log())
    (found,) = ctc_search.search(probs.log()[None], torch.tensor([3]), 50, 0.0)
    assert math.exp(found.score) == pytest.approx(max(by_sequence.values()))


def test_silence_gives_the_empty_hypothesis():
    log_probs = torch.tensor([0.98, 0.01, 0.005, 0.005], dtype=torch.float64).log().expand(1, 10, 4)
    (found,) = ctc_search.search(log_probs, torch.tensor([10]), 4, 0.0)
    assert found.tokens == ()
    assert found.score == pytest.approx(10 * math.log(0.98))
    assert ctc_search.greedy(log_probs, torch.tensor([10])) == [()]


def test_greedy_merges_repeats_and_removes_blanks():
    paths = torch.tensor([[1, 1, 0, 1, 2, 2], [0, 2, 0, 0, 1, 1]])
    log_probs = torch.nn.functional.one_hot(paths, 4).float().log_softmax(-1)
    assert ctc_search.greedy(log_probs, torch.tensor([6, 4])) == [(1, 1, 2), (2,)]


def test_greedy_never_gives_eos():
    log_probs = torch.tensor([[[0.0, 1.0, 9.0]]]).log_softmax(-1)
    assert ctc_search.greedy(log_probs, torch.tensor([1])) == [(1,)]


def test_what_the_search_label_by_label_found_is_not_taken_for_what_this_one_finds():
    conditions = {"clean": {"split": "test"}}
    beam = {"kind": "beam", "beam": 8, "length_bonus": 0.0}
    alone, joint = (
        parse(Decoding, {"decoders": {"beam": beam | {"ctc_weight": weight}}, "conditions": conditions}, "")
        for weight in (1.0, 0.5)
    )
    assert joint.digest == digest(joint, 8)
    assert alone.digest not in (digest(alone, 8), joint.digest)
