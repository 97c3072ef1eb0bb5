"""Masked batch norm: PyTorch's on what is valid, and one move of the running statistics per step."""

from copy import deepcopy

import pytest
import torch
from small import lived_in
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lrsms.models.norm import MaskedBatchNorm, NormaliseValid, update_running_statistics

CHANNELS = 3
NO_PADDING = torch.zeros(2, 5, dtype=torch.bool)
PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])


@pytest.fixture
def norm():
    norm = lived_in(MaskedBatchNorm(CHANNELS))
    return norm.train()


@pytest.fixture
def theirs(norm):
    """PyTorch's, with the same weights and statistics."""
    theirs = nn.BatchNorm1d(CHANNELS).double()
    theirs.load_state_dict(norm.state_dict(), strict=False)
    return theirs.train()


def x_of(seed: int) -> torch.Tensor:
    return 2 + torch.randn(2, CHANNELS, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equals_pytorch_without_padding(norm, theirs):
    x, y = x_of(0).requires_grad_(), x_of(0).requires_grad_()
    ours, expected = norm(x, NO_PADDING), theirs(y)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    ours.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=0, atol=1e-10)
    update_running_statistics(norm)
    torch.testing.assert_close(norm.running_mean, theirs.running_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(norm.running_var, theirs.running_var, rtol=0, atol=1e-12)
    torch.testing.assert_close(norm.eval()(x_of(1), NO_PADDING), theirs.eval()(x_of(1)), rtol=0, atol=1e-12)


def test_equals_pytorch_on_the_valid_frames_alone(norm, theirs):
    x = x_of(0).masked_fill(PADDING.unsqueeze(1), 1e3)
    valid = ~PADDING
    expected = theirs(x.transpose(1, 2)[valid])  # (8 valid frames, channels)
    torch.testing.assert_close(norm(x, PADDING).transpose(1, 2)[valid], expected, rtol=0, atol=1e-12)
    update_running_statistics(norm)
    torch.testing.assert_close(norm.running_mean, theirs.running_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(norm.running_var, theirs.running_var, rtol=0, atol=1e-12)


def plainly(norm: MaskedBatchNorm, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The definition, whose gradient is left to autograd: output, mean and variance over the valid frames."""
    shape = (1, -1, *[1] * (x.ndim - 2))
    valid = x.transpose(1, 2)[~mask].transpose(0, 1).flatten(1)  # (channels, values)
    mean, var = valid.mean(1), valid.var(1, correction=0)
    y = (x - mean.view(shape)) / (var + norm.eps).sqrt().view(shape)
    return y * norm.weight.view(shape) + norm.bias.view(shape), mean, var


@pytest.mark.parametrize("transposed", [False, True], ids=["contiguous", "transposed"])
@pytest.mark.parametrize("rest", [(), (4, 3)], ids=["frames", "images"])
@pytest.mark.parametrize("mask", [PADDING, NO_PADDING], ids=["padded", "whole"])
def test_the_written_gradient_is_that_of_the_definition(norm, rest, mask, transposed):
    """At padding too, which is normalised like the rest."""
    generator = torch.Generator().manual_seed(1)
    x, weights = (torch.randn(2, CHANNELS, 5, *rest, generator=generator, dtype=torch.float64) + 2 for _ in range(2))
    if transposed:
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    results = []
    for forward in (lambda x: norm(x, mask), lambda x: plainly(norm, x, mask)[0]):
        norm.zero_grad()
        leaf = x.clone().requires_grad_()
        y = forward(leaf)
        assert y.stride() == leaf.stride()
        (y.pow(3) * weights).sum().backward()
        results.append((y.detach(), leaf.grad, norm.weight.grad.clone(), norm.bias.grad.clone()))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-11)
    _, mean, var = plainly(norm, x, mask)
    count = (~mask).sum() * torch.Size(rest).numel()
    torch.testing.assert_close(norm.group_statistics[0], mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(norm.group_statistics[1], var * count / (count - 1), rtol=0, atol=1e-12)


def test_the_written_gradient_passes_finite_differences(norm):
    inputs = (x_of(1).requires_grad_(), PADDING, norm.weight, norm.bias, norm.eps)
    assert torch.autograd.gradcheck(lambda *given: NormaliseValid.apply(*given)[0], inputs)


def test_bfloat16_has_the_gradient_of_its_own_precision():
    """Against that in double precision, at a mean of four standard deviations, as far as eight bits can tell."""
    generator = torch.Generator().manual_seed(0)
    x = (4 + torch.randn(4, CHANNELS, 50, generator=generator)).bfloat16()
    mask = torch.zeros(4, 50, dtype=torch.bool)
    mask[1:, 30:] = True
    pull = torch.randn(4, CHANNELS, 50, generator=generator).bfloat16()
    gradients = []
    for norm, given in ((MaskedBatchNorm(CHANNELS), x), (MaskedBatchNorm(CHANNELS).double(), x.double())):
        leaf = given.clone().requires_grad_()
        norm(leaf, mask).backward(pull.to(leaf.dtype))
        gradients.append((leaf.grad, norm.weight.grad, norm.bias.grad))
    for ours, exact in zip(*gradients, strict=True):
        assert (ours.double() - exact).abs().max() <= exact.abs().max() * 2**-6


def test_works_over_images_too(norm):
    x = torch.randn(2, CHANNELS, 5, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = nn.BatchNorm3d(CHANNELS).double()
    theirs.load_state_dict(norm.state_dict(), strict=False)
    torch.testing.assert_close(norm(x, NO_PADDING), theirs(x), rtol=0, atol=1e-12)
    update_running_statistics(norm)
    torch.testing.assert_close(norm.running_var, theirs.running_var, rtol=0, atol=1e-12)


def test_what_has_no_padding_needs_no_mask(norm):
    """Pictures: output, gradients and statistics of a mask that hides nothing."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(6, CHANNELS, 4, 5, generator=generator, dtype=torch.float64)
    results = []
    for x, mask in ((pictures, None), (pictures, torch.zeros(6, 4, dtype=torch.bool))):
        x = x.clone().requires_grad_()
        copy = deepcopy(norm)
        y = copy(x, mask)
        y.pow(3).sum().backward()
        update_running_statistics(copy)
        results.append([y, x.grad, copy.weight.grad, copy.bias.grad, *copy.buffers(), copy.eval()(pictures, mask)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_a_step_without_groups_moves_nothing(norm):
    """As when every utterance of a step lacks the modality."""
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    update_running_statistics(norm)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_running_statistics_move_once_per_step_by_the_mean_of_the_groups(norm):
    before = norm.running_mean.clone()
    groups = [x_of(1), x_of(2), x_of(3)]
    for group in groups:
        norm(group, NO_PADDING)
    assert torch.equal(norm.running_mean, before)
    update_running_statistics(nn.Sequential(norm))
    means = torch.stack([group.mean((0, 2)) for group in groups])
    torch.testing.assert_close(norm.running_mean, 0.9 * before + 0.1 * means.mean(0), rtol=0, atol=1e-12)
    # The next step begins from nothing.
    before = norm.running_var.clone()
    norm(groups[0], NO_PADDING)
    update_running_statistics(norm)
    expected = 0.9 * before + 0.1 * groups[0].transpose(0, 1).flatten(1).var(1)
    torch.testing.assert_close(norm.running_var, expected, rtol=0, atol=1e-12)


def test_in_training_groups_do_not_see_one_another(norm):
    alone = norm(x_of(1), NO_PADDING)
    norm(x_of(2), NO_PADDING)
    assert torch.equal(norm(x_of(1), NO_PADDING), alone)


def test_in_eval_each_utterance_is_alone_and_nothing_moves(norm):
    norm.eval()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = x_of(0)
    torch.testing.assert_close(norm(x, PADDING)[:1], norm(x[:1], PADDING[:1]), rtol=0, atol=1e-14)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_bfloat16_is_normalised_in_float32():
    """A mean of 30 standard deviations: scaled and shifted in bfloat16, only two bits of signal would be left."""
    norm = MaskedBatchNorm(1)
    x = (30 + torch.randn(4, 1, 500, generator=torch.Generator().manual_seed(0))).bfloat16()
    mask = torch.zeros(4, 500, dtype=torch.bool)
    y = norm(x, mask)
    assert y.dtype == torch.bfloat16
    exact = norm.double()(x.double(), mask)
    assert (y.double() - exact).abs().max() <= exact.abs().max() * 2**-8


def test_the_sums_of_a_step_are_no_part_of_the_weights(norm):
    assert set(norm.state_dict()) == {"weight", "bias", "running_mean", "running_var"}


class _Counter(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, function, types, inputs=(), named=None):
        self.count += not any(each.alias_info and not each.alias_info.is_write for each in function._schema.returns)
        return function(*inputs, **(named or {}))


def test_norms_of_a_model_move_together_and_as_each_would_alone():
    """To the bit, in as many operations for three norms as for one; one of them had no groups."""
    sizes, operations, generator = (4, 7, 2), [], torch.Generator().manual_seed(0)
    norms = nn.ModuleList(MaskedBatchNorm(size) for size in sizes)
    expected = []
    for number, norm in enumerate(norms):
        for running in (norm.running_mean, norm.running_var):
            running.copy_(torch.rand(running.shape, generator=generator))
        norm.group_statistics[:2] = torch.rand(2, len(norm.weight), generator=generator)
        norm.group_statistics[2] = groups = float(number)
        for running, total in zip((norm.running_mean, norm.running_var), norm.group_statistics[:2], strict=True):
            expected.append(running.lerp(total / groups, 0.1) if groups else running.clone())
    for model in (deepcopy(norms[0]), norms):
        with _Counter() as counter:
            update_running_statistics(model)
        operations.append(counter.count)
    found = [running for norm in norms for running in (norm.running_mean, norm.running_var)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert not any(norm.group_statistics.any() for norm in norms)
    assert operations[0] == operations[1] <= 15
