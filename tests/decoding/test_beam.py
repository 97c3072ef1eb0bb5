"""The vectorised search against a plain one, against exhaustive search, and its independence of the batch."""

import copy
import itertools
import math

import pytest
import reference_beam as reference
import torch

from lrsms.decoding import beam
from lrsms.decoding.ctc_search import greedy
from lrsms.models.decoder import Decoder
from lrsms.study import decoding


def tiny_decoder(size, generator, dim=8, sharpness=3.0):
    """A random decoder in float64 whose choices depend on its history and its memory."""
    decoder = Decoder(size, dim, heads=2, feedforward=16, layers=1, dropout=0.1).double().eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5)
        decoder.output.weight.mul_(sharpness)
    return decoder


def settings(width, ctc_weight, length_bonus, end=None):
    return decoding.Decoder(kind="beam", beam=width, ctc_weight=ctc_weight, length_bonus=length_bonus, end=end)


PLAIN = {None: reference.search, "espnet": reference.detected_search}


@pytest.mark.parametrize("end", PLAIN)
@pytest.mark.parametrize("ctc_weight", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("length_bonus", [-0.5, 0.0, 0.5, 2.0])
def test_equals_the_plain_search(ctc_weight, length_bonus, end):
    for case in range(6):
        generator = torch.Generator().manual_seed(case)
        size = 3 + case % 4
        lengths = torch.randint(1, 6, (3,), generator=generator)
        width = [1, 2, 3, 4, 10][case % 5]
        decoder = tiny_decoder(size, generator)
        log_probs = reference.random_log_probs(generator, 3, 5, size)
        memory = torch.randn(3, 5, 8, generator=generator, dtype=torch.float64)
        found = beam.search(log_probs, lengths, decoder, memory, settings(width, ctc_weight, length_bonus, end))
        for utterance, length in enumerate(lengths.tolist()):
            inputs = log_probs[utterance, :length], decoder, memory[utterance, :length]
            with torch.no_grad():
                tokens, score = PLAIN[end](*inputs, width, ctc_weight, length_bonus)
            assert found[utterance].tokens == tokens, (case, utterance)
            assert found[utterance].score == pytest.approx(score, abs=1e-9), (case, utterance)


@pytest.mark.parametrize("batches", [range(5), pytest.param(range(5, 50), marks=pytest.mark.slow)])
def test_equals_the_plain_search_at_the_width_of_the_paper(batches):
    """200 utterances, four to a batch, peaky and flat: in float64 the same; in float32 unless scores tie."""
    for batch in batches:
        generator = torch.Generator().manual_seed(100 + batch)
        size = 4 + batch % 6
        lengths = torch.randint(1, 11, (4,), generator=generator)
        num_frames = int(lengths.max())
        decoder = tiny_decoder(size, generator, sharpness=[0.5, 2.0, 5.0][batch % 3])
        log_probs = reference.random_log_probs(
            generator, 4, num_frames, size, peakiness=[0.3, 2.0, 4.0, 8.0][batch % 4]
        )
        memory = torch.randn(4, num_frames, 8, generator=generator, dtype=torch.float64)
        options = settings(40, 0.1, 0.0)
        double = beam.search(log_probs, lengths, decoder, memory, options)
        single = beam.search(log_probs.float(), lengths, copy.deepcopy(decoder).float(), memory.float(), options)
        for utterance, length in enumerate(lengths.tolist()):
            inputs = log_probs[utterance, :length], decoder, memory[utterance, :length]
            with torch.no_grad():
                tokens, score = reference.search(*inputs, 40, 0.1, 0.0)
            assert double[utterance].tokens == tokens, (batch, utterance)
            assert double[utterance].score == pytest.approx(score, abs=1e-9), (batch, utterance)
            tie = single[utterance].score == pytest.approx(score, abs=1e-4)
            assert single[utterance].tokens == tokens or tie, (batch, utterance)


@pytest.mark.parametrize("seed", range(3))
def test_pure_attention_with_a_wide_beam_finds_the_likeliest_sequence(seed):
    generator = torch.Generator().manual_seed(seed)
    decoder = tiny_decoder(4, generator)
    memory = torch.randn(1, 4, 8, generator=generator, dtype=torch.float64)
    scores = {}
    for length in range(5):
        for sequence in itertools.product([1, 2], repeat=length):
            tokens = torch.tensor([[3, *sequence]])
            with torch.no_grad():
                steps = decoder(tokens, memory, torch.zeros(1, 4, dtype=torch.bool))[0].log_softmax(-1)
            scores[sequence] = sum(steps[i, label].item() for i, label in enumerate((*sequence, 3)))
    likeliest = max(scores, key=lambda sequence: scores[sequence])
    log_probs = reference.random_log_probs(generator, 1, 4, 4)
    (found,) = beam.search(log_probs, torch.tensor([4]), decoder, memory, settings(1000, 0.0, 0.0))
    assert found.tokens == likeliest
    assert found.score == pytest.approx(scores[likeliest], abs=1e-10)


@pytest.mark.parametrize("end", PLAIN)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_does_not_depend_on_batch_or_padding(dtype, end):
    generator = torch.Generator().manual_seed(11)
    decoder = tiny_decoder(12, generator).to(dtype)
    lengths = torch.tensor([3, 20, 11, 1, 16, 8])
    log_probs = reference.random_log_probs(generator, 6, 20, 12).to(dtype)
    memory = torch.randn(6, 20, 8, generator=generator, dtype=torch.float64).to(dtype)
    options = settings(5, 0.3, 0.1, end)
    together = beam.search(log_probs, lengths, decoder, memory, options)
    garbage = 100 * torch.ones(6, 7, 12, dtype=dtype), -100 * torch.ones(6, 7, 8, dtype=dtype)
    longer = torch.cat([log_probs, garbage[0]], 1), torch.cat([memory, garbage[1]], 1)
    padded = beam.search(longer[0], lengths, decoder, longer[1], options)
    pairs, alone = [], []
    for i in (0, 2, 4):
        part = slice(i, i + 2)
        pairs += beam.search(log_probs[part], lengths[part], decoder, memory[part], options)
    for i, length in enumerate(lengths.tolist()):
        part = slice(i, i + 1)
        alone += beam.search(log_probs[part, :length], lengths[part], decoder, memory[part, :length], options)
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-4}[dtype]
    for other in (padded, pairs, alone):
        assert [h.tokens for h in other] == [h.tokens for h in together]
        assert [h.score for h in other] == pytest.approx([h.score for h in together], abs=tolerance)


@pytest.mark.parametrize("end", PLAIN)
@pytest.mark.parametrize(("case", "bonus"), [(2, 2.0), (18, 5.0)])
def test_a_beam_wider_than_what_can_continue_holds_no_blank_and_no_eos(end, case, bonus):
    """Few labels can continue a hypothesis, so that places of the beam stay empty."""
    generator = torch.Generator().manual_seed(case)
    decoder = Decoder(4, 8, 2, 16, 1, 0.0).eval()
    for parameter in decoder.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5
    log_probs = (torch.randn(1, 7, 4, generator=generator) * 2).log_softmax(-1)
    memory = torch.randn(1, 7, 8, generator=generator)
    (found,) = beam.search(log_probs, torch.tensor([7]), decoder, memory, settings(8, 0.5, bonus, end))
    assert set(found.tokens) <= {1, 2}


def test_no_more_tokens_than_frames_however_large_the_bonus():
    generator = torch.Generator().manual_seed(0)
    decoder, log_probs = tiny_decoder(4, generator), reference.random_log_probs(generator, 2, 6, 4)
    memory = torch.randn(2, 6, 8, generator=generator, dtype=torch.float64)
    found = beam.search(log_probs, torch.tensor([4, 6]), decoder, memory, settings(3, 0.0, 1000.0))
    assert [len(hypothesis.tokens) for hypothesis in found] == [4, 6]


def test_stops_as_soon_as_nothing_can_win():
    """Where CTC is sure, the search takes one decoder step per token and one that rules out more."""
    generator = torch.Generator().manual_seed(0)
    decoder = tiny_decoder(4, generator, sharpness=0.0)
    steps = []
    decoder.output.register_forward_hook(lambda *_: steps.append(1))
    path = torch.tensor([1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    log_probs = torch.full((1, 12, 4), 1e-9, dtype=torch.float64)
    log_probs[0, torch.arange(12), path] = 1 - 3e-9
    memory = torch.randn(1, 12, 8, generator=generator, dtype=torch.float64)
    (found,) = beam.search(log_probs.log(), torch.tensor([12]), decoder, memory, settings(2, 0.5, 0.0))
    assert found.tokens == (1, 2)
    assert len(steps) == 3


def constant_decoder(probs):
    """A decoder with the same probabilities of the next label whatever came before, and a list of its steps."""
    decoder = tiny_decoder(len(probs), torch.Generator().manual_seed(0))
    with torch.no_grad():
        decoder.output.weight.zero_()
        decoder.output.bias.copy_(torch.tensor(probs, dtype=torch.float64).log())
    steps = []
    decoder.output.register_forward_hook(lambda *_: steps.append(1))
    return decoder, steps


@pytest.mark.parametrize(
    ("width", "num_frames", "tokens", "probability"),
    [
        (2, 6, (1,) * 6, 0.5**6),  # to end comes third at every length: no hypothesis ends before the last frame
        (3, 3, (1,) * 3, 0.5**3),  # the empty one ends, with 0.1; three labels are likelier
        (3, 4, (), 0.1),  # and four are not
    ],
)
def test_where_eos_takes_a_place_in_the_beam_a_hypothesis_may_end_only_there(width, num_frames, tokens, probability):
    decoder, _ = constant_decoder([1e-9, 0.5, 0.4, 0.1])
    memory = torch.zeros(1, num_frames, 8, dtype=torch.float64)
    inputs = torch.zeros(1, num_frames, 4).log_softmax(-1), torch.tensor([num_frames]), decoder, memory
    (found,) = beam.search(*inputs, settings(width, 0.0, 0.0, "espnet"))
    assert found.tokens == tokens
    assert found.score == pytest.approx(math.log(probability), abs=1e-6)
    (exact,) = beam.search(*inputs, settings(width, 0.0, 0.0))
    assert exact.tokens == ()  # of all that can end, which deletes every word


def test_the_end_is_detected_where_three_lengths_are_far_behind_the_best():
    """What ends with n labels is 2.41 n nats behind; n = 5, 6, 7 are more than 10, and ended two lengths before 9."""
    decoder, steps = constant_decoder([1e-9, 0.01, 0.09, 0.9])
    memory = torch.zeros(1, 40, 8, dtype=torch.float64)
    log_probs = torch.zeros(1, 40, 4).log_softmax(-1)
    (found,) = beam.search(log_probs, torch.tensor([40]), decoder, memory, settings(10, 0.0, 0.0, "espnet"))
    assert found.tokens == ()
    assert len(steps) == 10  # after 0 to 9 labels


def test_refuses_lengths_outside_the_frames():
    log_probs = torch.zeros(2, 3, 4)
    with pytest.raises(ValueError, match="utterance 1 of the batch has 0 frames, expected 1 to 3"):
        beam.search(log_probs, torch.tensor([3, 0]), None, None, settings(2, 0.5, 0.0))
    with pytest.raises(ValueError, match="utterance 0 of the batch has 4 frames"):
        greedy(log_probs, torch.tensor([4, 1]))


def test_refuses_attention_without_a_decoder():
    with pytest.raises(ValueError, match=r"ctc_weight 0\.3 needs an attention decoder"):
        beam.search(torch.zeros(1, 3, 4), torch.tensor([3]), None, None, settings(2, 0.3, 0.0))
