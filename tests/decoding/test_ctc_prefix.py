"""CTC prefix probabilities against the enumeration of all paths, and against the plain recursions."""

import math

import pytest
import reference_beam as reference
import torch

from lrsms.decoding import ctc_prefix
from lrsms.decoding.ctc_prefix import CTCPrefixScorer


def scorer_at(log_probs, prefix):
    """A scorer of one utterance whose only hypothesis is ``prefix``."""
    scorer = CTCPrefixScorer(log_probs[None], torch.tensor([len(log_probs)]))
    for label in prefix:
        scorer.advance(torch.tensor([[0]]), torch.tensor([[label]]))
    return scorer


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_sum_over_all_paths(seed):
    log_probs = reference.random_log_probs(torch.Generator().manual_seed(seed), 5, 3)
    by_sequence = reference.probabilities_by_enumeration(log_probs)
    assert sum(by_sequence.values()) == pytest.approx(1)
    for prefix in [(), (1,), (2,), (1, 1), (1, 2), (2, 1, 1), (1, 2, 1), (2, 2, 2)]:
        scorer = scorer_at(log_probs, prefix)
        assert scorer.complete().exp().item() == pytest.approx(by_sequence.get(prefix, 0.0), rel=1e-10)
        extensions = scorer.extensions()[0, 0].exp().tolist()
        for label in (1, 2):
            longer = (*prefix, label)
            total = sum(p for sequence, p in by_sequence.items() if sequence[: len(longer)] == longer)
            assert extensions[label] == pytest.approx(total, rel=1e-10), longer


def test_the_plain_recursions_equal_the_sum_over_all_paths():
    log_probs = reference.random_log_probs(torch.Generator().manual_seed(7), 4, 3)
    by_sequence = reference.probabilities_by_enumeration(log_probs)
    probs = log_probs.exp().tolist()
    for prefix in [(), (1,), (1, 1), (1, 2), (2, 1, 2)]:
        assert reference.sequence_probability(probs, prefix) == pytest.approx(by_sequence.get(prefix, 0.0))
        for label, probability in reference.continued_probabilities(probs, prefix).items():
            longer = (*prefix, label)
            total = sum(p for sequence, p in by_sequence.items() if sequence[: len(longer)] == longer)
            assert probability == pytest.approx(total)


def test_a_prefix_splits_into_itself_and_its_continuations():
    """P(g begins) = P(g) + sum over c of psi(gc): nothing is lost over long utterances."""
    log_probs = reference.random_log_probs(torch.Generator().manual_seed(1), 400, 6)
    scorer = CTCPrefixScorer(log_probs[None], torch.tensor([400]))
    begins = torch.zeros(1, 1, dtype=torch.float64)
    for label in (3, 3, 1, 5, 2):
        extensions = scorer.extensions()
        parts = torch.cat([scorer.complete()[..., None], extensions], dim=-1)
        assert torch.logsumexp(parts, -1).item() == pytest.approx(begins.item(), abs=1e-9)
        begins = extensions[..., label]
        scorer.advance(torch.tensor([[0]]), torch.tensor([[label]]))


@pytest.mark.parametrize("num_hypotheses", [ctc_prefix.MANY - 1, ctc_prefix.MANY])
def test_many_hypotheses_equal_each_alone(num_hypotheses):
    """From some number on the recursion goes frame by frame, with the same result."""
    log_probs = reference.random_log_probs(torch.Generator().manual_seed(5), 9, 5)
    log_probs[3, 2] = -math.inf
    scorer = CTCPrefixScorer(log_probs[None], torch.tensor([9]))
    labels = 1 + torch.arange(num_hypotheses)[None] % 4
    scorer.advance(torch.zeros_like(labels), labels)
    parents, labels = torch.arange(num_hypotheses)[None] * 7 % num_hypotheses, labels.flip(1)
    scorer.advance(parents, labels)
    for hypothesis in range(0, num_hypotheses, 9):
        prefix = (1 + parents[0, hypothesis].item() % 4, labels[0, hypothesis].item())
        alone = scorer_at(log_probs, prefix)
        torch.testing.assert_close(scorer.complete()[0, hypothesis], alone.complete()[0, 0])
        torch.testing.assert_close(scorer.extensions()[0, hypothesis], alone.extensions()[0, 0])


def test_complete_equals_the_ctc_loss():
    log_probs = reference.random_log_probs(torch.Generator().manual_seed(2), 50, 7)
    prefix = (4, 4, 1, 6, 2, 2, 3)
    target = torch.tensor([prefix])
    loss = torch.nn.functional.ctc_loss(log_probs[:, None], target, [50], [len(prefix)], reduction="sum")
    assert scorer_at(log_probs, prefix).complete().item() == pytest.approx(-loss.item(), abs=1e-9)


def test_a_sequence_that_needs_more_frames_has_probability_zero():
    log_probs = reference.random_log_probs(torch.Generator().manual_seed(3), 2, 3)
    scorer = scorer_at(log_probs, (1,))
    assert scorer.extensions()[0, 0, 1].item() == -math.inf  # "1 1" needs a blank between, so three frames
    assert scorer.extensions()[0, 0, 2].item() > -math.inf
    assert scorer_at(log_probs, (1, 1)).complete().item() == -math.inf


def test_labels_of_probability_zero():
    probs = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.25, 0.75, 0.0]], dtype=torch.float64)
    by_sequence = reference.probabilities_by_enumeration(probs.log())
    for prefix in [(), (1,), (2,), (1, 2), (2, 1), (1, 2, 1), (2, 2)]:
        expected = by_sequence.get(prefix, 0.0)
        assert scorer_at(probs.log(), prefix).complete().exp().item() == pytest.approx(expected, rel=1e-9)


def test_padding_contributes_nothing():
    generator = torch.Generator().manual_seed(4)
    short, long = reference.random_log_probs(generator, 6, 4), reference.random_log_probs(generator, 9, 4)
    padded = torch.full((2, 9, 4), math.nan, dtype=torch.float64)
    padded[0, :6], padded[1] = short, long
    batch = CTCPrefixScorer(padded, torch.tensor([6, 9]))
    batch.advance(torch.tensor([[0, 0], [0, 0]]), torch.tensor([[1, 3], [2, 3]]))
    batch.advance(torch.tensor([[1, 1], [1, 0]]), torch.tensor([[3, 2], [1, 2]]))
    for utterance, (log_probs, prefixes) in enumerate([(short, [(3, 3), (3, 2)]), (long, [(3, 1), (2, 2)])]):
        for hypothesis, prefix in enumerate(prefixes):
            alone = scorer_at(log_probs, prefix)
            torch.testing.assert_close(batch.complete()[utterance, hypothesis], alone.complete()[0, 0])
            torch.testing.assert_close(batch.extensions()[utterance, hypothesis], alone.extensions()[0, 0])
    before = batch.extensions()[1]
    batch.keep(torch.tensor([1]))
    torch.testing.assert_close(batch.extensions()[0], before)
