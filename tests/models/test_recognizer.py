"""The recogniser: utterances do not feel their batch, padding does not count, losses are what they are called."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from small import AUDIOVISUAL, SIZE, VISUAL, small_inputs, small_model, small_recognizer, small_video

from lrsms.models.norm import update_running_statistics
from lrsms.models.recognizer import Losses, build, smoothed_divergence

MODELS = {"logmel": {}, "wave": {"frontend": "wave"}, "vsr": VISUAL, "avsr": AUDIOVISUAL}
KINDS = pytest.mark.parametrize("kind", list(MODELS))
LENGTHS = torch.tensor([7, 4])
TOKENS = torch.tensor([[3, 3, 9], [5, 0, 0]])
TOKEN_LENGTHS = torch.tensor([3, 1])

Inputs = tuple[torch.Tensor | None, torch.Tensor | None]


def inputs_of(kind: str, batch: int, frames: int) -> Inputs:
    """Audio and video."""
    audio = None if kind == "vsr" else small_inputs("wave" if kind == "wave" else "logmel", batch, frames)
    return audio, None if kind in ("logmel", "wave") else small_video(batch, frames)


def each(inputs: Inputs, change) -> Inputs:
    """Both changed: ``change(x, steps per frame)``."""
    rates = ({2: 640, 3: 4}[inputs[0].ndim] if inputs[0] is not None else 0, 1)
    return tuple(None if x is None else change(x, rate) for x, rate in zip(inputs, rates, strict=True))


def second(inputs: Inputs) -> Inputs:
    """The second utterance alone, which is 4 frames long."""
    return each(inputs, lambda x, rate: x[1:, : 4 * rate])


def longer(inputs: Inputs) -> Inputs:
    """Three frames more, not silent."""
    return each(inputs, lambda x, rate: F.pad(x, (0, 0) * (x.ndim - 2) + (0, 3 * rate), value=50.0))


@KINDS
def test_in_eval_an_utterance_depends_neither_on_batch_nor_on_padding(kind):
    model, inputs = small_recognizer(**MODELS[kind]), inputs_of(kind, 2, 7)
    memory, mask = model.encode(*inputs, LENGTHS)
    assert mask.sum(1).tolist() == [0, 3]
    alone, _ = model.encode(*second(inputs), LENGTHS[1:])
    torch.testing.assert_close(memory[1:, :4], alone, rtol=0, atol=1e-10)
    torch.testing.assert_close(model.ctc_log_probs(memory)[1:, :4], model.ctc_log_probs(alone), rtol=0, atol=1e-10)
    padded, _ = model.encode(*longer(inputs), LENGTHS)
    torch.testing.assert_close(padded[0, :7], memory[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(padded[1, :4], memory[1, :4], rtol=0, atol=1e-10)


@KINDS
def test_in_training_padding_is_in_no_statistic(kind):
    """More padding: the same loss, the same gradients and the same running statistics."""
    inputs = inputs_of(kind, 2, 7)
    results = []
    for given, tokens in ((inputs, TOKENS), (longer(inputs), F.pad(TOKENS, (0, 2), value=8))):
        model = small_recognizer(**MODELS[kind]).train()
        loss = model(*given, LENGTHS, tokens, TOKEN_LENGTHS, 0.1).joint(0.3)
        loss.backward()
        update_running_statistics(model)
        results.append([loss, *(p.grad for p in model.parameters()), *model.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@KINDS
def test_losses_are_sums_over_utterances(kind):
    model, inputs = small_recognizer(**MODELS[kind]), inputs_of(kind, 2, 7)
    together = model(*inputs, LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1)
    first = model(*each(inputs, lambda x, _: x[:1]), LENGTHS[:1], TOKENS[:1], TOKEN_LENGTHS[:1], 0.1)
    other = model(*second(inputs), LENGTHS[1:], TOKENS[1:, :1], TOKEN_LENGTHS[1:], 0.1)
    torch.testing.assert_close(together.ctc, first.ctc + other.ctc, rtol=0, atol=1e-10)
    torch.testing.assert_close(together.attention, first.attention + other.attention, rtol=0, atol=1e-10)


def test_ctc_loss_equals_the_sum_over_all_alignments():
    """Every labelling of 4 frames that collapses to the transcript, one by one."""
    model, inputs = small_recognizer(), small_inputs("logmel", 1, 4)
    tokens = torch.tensor([[3, 3]])
    log_probs = model.ctc_log_probs(model.encode(inputs, None, torch.tensor([4]))[0])[0]
    assert log_probs.exp().sum(-1).tolist() == pytest.approx([1.0] * 4)
    scores = [
        sum(log_probs[frame, unit] for frame, unit in enumerate(path))
        for path in itertools.product([0, 3], repeat=4)
        if [unit for unit, _ in itertools.groupby(path) if unit] == [3, 3]
    ]
    loss = model(inputs, None, torch.tensor([4]), tokens, torch.tensor([2]), 0.1).ctc
    assert loss.item() == pytest.approx(-torch.logsumexp(torch.stack(scores), 0).item(), abs=1e-10)


def test_attention_loss_reads_sos_and_predicts_eos():
    """The decoder is fed sos, y1, y2 and pays for y1, y2, eos; sos = eos = V - 1."""
    model, inputs, end = small_recognizer(), small_inputs("logmel", 1, 7), SIZE - 1
    memory, mask = model.encode(inputs, None, torch.tensor([7]))
    log_probs = model.decoder(torch.tensor([[end, 5, 3]]), memory, mask).log_softmax(-1)[0]
    expected = -(log_probs[0, 5] + log_probs[1, 3] + log_probs[2, end])
    loss = model(inputs, None, torch.tensor([7]), torch.tensor([[5, 3]]), torch.tensor([2]), 0.0).attention
    assert loss.item() == pytest.approx(expected.item(), abs=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_divergence_equals_kl_from_the_explicit_distribution(smoothing):
    logits = torch.randn(2, 3, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.tensor([[1, 2, 3], [4, 0, 0]])
    ignored = torch.tensor([[False] * 3, [False, True, True]])
    distribution = torch.full((2, 3, SIZE), smoothing / (SIZE - 1), dtype=torch.float64)
    distribution.scatter_(2, targets.unsqueeze(-1), 1 - smoothing)
    divergence = F.kl_div(logits.log_softmax(-1), distribution, reduction="none").sum(-1)
    expected = divergence[~ignored].sum()
    torch.testing.assert_close(smoothed_divergence(logits, targets, ignored, smoothing), expected, rtol=0, atol=1e-12)


def test_smoothed_divergence_is_zero_at_the_smoothed_distribution():
    targets = torch.tensor([[4]])
    probabilities = torch.full((1, 1, SIZE), 0.1 / (SIZE - 1), dtype=torch.float64)
    probabilities[0, 0, 4] = 0.9
    ignored = torch.zeros(1, 1, dtype=torch.bool)
    assert smoothed_divergence(probabilities.log(), targets, ignored, 0.1).item() == pytest.approx(0, abs=1e-12)


def test_joint_loss_weighs_ctc_and_attention():
    ctc, attention = torch.tensor(2.0), torch.tensor(4.0)
    assert Losses(ctc, attention, torch.empty(0)).joint(0.1).item() == pytest.approx(3.8)
    assert Losses(ctc, None, torch.empty(0)).joint(1.0).item() == 2.0


def test_without_decoder_layers_there_is_only_ctc():
    model = small_recognizer(decoder_layers=0)
    losses = model(small_inputs("logmel", 2, 7), None, LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1)
    assert losses.attention is None
    assert not any(name.startswith("decoder") for name, _ in model.named_parameters())


@KINDS
def test_bfloat16_autocast_trains_and_keeps_log_probs_in_float32(kind):
    model = build(small_model(**MODELS[kind], dropout=0.1), SIZE, seed=1).train()
    inputs = each(inputs_of(kind, 2, 7), lambda x, _: x.float())
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(*inputs, LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1)
        log_probs = model.ctc_log_probs(model.encode(*inputs, LENGTHS)[0])
    losses.joint(0.3).backward()
    update_running_statistics(model)
    assert losses.ctc.dtype == losses.attention.dtype == log_probs.dtype == torch.float32
    tensors = [losses.ctc, losses.attention, *(p.grad for p in model.parameters()), *model.buffers()]
    assert all(torch.isfinite(tensor).all() for tensor in tensors)
    reference = build(small_model(**MODELS[kind], dropout=0.0), SIZE, seed=1).eval()
    exact = reference(*inputs, LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1).joint(0.3).item()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = reference(*inputs, LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1).joint(0.3).item()
    assert math.isclose(exact, rounded, rel_tol=0.02)


@KINDS
def test_every_parameter_gets_a_gradient(kind):
    """Except biases that change nothing: of keys, which add to all scores of a query, or before a batch norm."""
    model = small_recognizer(**MODELS[kind]).train()
    model(*inputs_of(kind, 2, 7), LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1).joint(0.3).backward()
    without = (".k.bias", "depthwise.bias", "fusion.hidden.bias")
    assert all(
        p.grad is not None and p.grad.abs().max() > 0
        for name, p in model.named_parameters()
        if not name.endswith(without)
    )


def test_the_seed_makes_the_weights():
    one, same, other = (build(small_model(), SIZE, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["ctc.weight"], other["ctc.weight"])


@KINDS
def test_a_new_model_has_the_buffers_of_one_made_in_memory(kind):
    model = build(small_model(**MODELS[kind]), SIZE, seed=1)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, torch.full_like(buffer, 1.0 if name.endswith("running_var") else 0.0)), name
