"""Batch normalisation over the valid frames of one group of utterances."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOMENTUM = 0.1
"""Weight of the newest step in the running statistics."""


class MaskedBatchNorm(nn.Module):
    """Batch norm whose statistics ignore padding and whose running statistics move once per training step.

    In training, each group of utterances is normalised by its own valid frames. The groups' statistics are summed, and
    ``update_running_statistics`` moves the running statistics by their mean. So the result depends neither on padding
    nor on how groups are divided over devices.

    Args:
        channels: number of channels C.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.noting = True
        """Whether groups count for the running statistics."""
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.group_statistics: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        # Sums over the groups of this step: mean, unbiased variance, and the number of groups (in every channel).
        self.register_buffer("group_statistics", torch.zeros(3, channels), persistent=False)

    def forward(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        """``x (B, C, T, ...)``, ``padding_mask (B, T)`` -> ``(B, C, T, ...)``, in the type of ``x``.

        Without a mask, ``x (N, C, ...)`` has no padding. PyTorch's own kernel then computes the same, and is faster.
        """
        if not self.training:
            return normalise(x, self.running_mean, self.running_var, self.weight, self.bias, self.eps)
        if padding_mask is None:
            return self._without_padding(x)
        y, mean, var, count = NormaliseValid.apply(x, padding_mask, self.weight, self.bias, self.eps)
        self._note(mean, var * (count / (count - 1).clamp(min=1)))
        return y

    def _without_padding(self, x: Tensor) -> Tensor:
        # A momentum of 1 makes "running" statistics those of this group alone.
        mean, var = torch.empty_like(self.running_mean), torch.empty_like(self.running_var)
        x = F.batch_norm(x, mean.zero_(), var.zero_(), self.weight, self.bias, True, momentum=1.0, eps=self.eps)
        self._note(mean, var)
        return x

    @torch.no_grad()
    def _note(self, mean: Tensor, unbiased_var: Tensor) -> None:
        """Adds a group to the statistics of the step."""
        if self.noting:
            self.group_statistics += torch.stack((mean, unbiased_var, torch.ones_like(mean)))


def normalise(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """``(x - mean) / sqrt(var + eps) weight + bias`` for each channel of ``x (B, C, ...)``, in x's memory order."""
    if x.is_contiguous():
        return F.batch_norm(x, mean, var, weight, bias, eps=eps)
    # On a CPU, PyTorch's kernel copies a transposed x to another order, and the next matrix product would copy it back.
    scale = weight * torch.rsqrt(var + eps)
    shift = bias - mean * scale
    return (x * _channels(scale, x.ndim)).add_(_channels(shift, x.ndim)).to(x.dtype)


class NormaliseValid(torch.autograd.Function):
    """Batch norm by the statistics of valid frames, with its own gradient, in few passes over memory.

    With autograd, the same formula launches three times as many kernels, and reads and writes each number ten times as
    often. On a GPU, a Conformer's training step then spends most of its time outside matrix products there.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, padding_mask: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalises every frame of ``x (B, C, T, ...)``, padding too, by the statistics of valid frames.

        Args:
            ctx: autograd's context.
            x: numbers in the type of ``weight`` or a narrower type; sums are in the wider type.
            padding_mask: ``(B, T)``, True at padding; at least one frame is valid.
            weight: ``(C,)``.
            bias: ``(C,)``.
            eps: added to the variance.

        Returns:
            The normalised frames, in the type of ``x``; mean and (biased) variance over valid frames, ``(C,)``; the
            number of values of each channel. The last three carry no gradient.
        """
        hidden = padding_mask.view(x.shape[0], 1, x.shape[2], *[1] * (x.ndim - 3))
        over, exact = _all_but_channels(x), torch.promote_types(x.dtype, weight.dtype)
        count = (~padding_mask).sum(dtype=exact) * x[0, 0, 0].numel()
        valid = x.masked_fill(hidden, 0)
        mean = valid.sum(over, dtype=exact) / count
        power = torch.linalg.vector_norm(valid, 2, over, dtype=exact).square() / count
        var = (power - mean.square()).clamp(min=0)
        ctx.save_for_backward(x, hidden, weight, mean, torch.rsqrt(var + eps), count)
        ctx.mark_non_differentiable(mean, var, count)
        return normalise(x, mean, var, weight, bias, eps), mean, var, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of ``y = weight n + bias``, ``n = (x - mean) inverse`` (Ioffe and Szegedy 2015, section 3).

        Padding is normalised too. So its gradient reaches weight and bias, and through the statistics the valid frames:
        ``dx = weight inverse (dy - (sum dy + n sum(dy n)) / count)`` at valid frames, ``weight inverse dy`` at padding.
        """
        x, hidden, weight, mean, inverse, count = ctx.saved_tensors
        over, exact = _all_but_channels(x), mean.dtype
        of_bias = grad.sum(over, dtype=exact)
        of_weight = ((grad * x).sum(over, dtype=exact) - mean * of_bias) * inverse
        scale = weight * inverse
        # The gradient through the statistics is linear in x: slope x + offset.
        slope = -scale * inverse * of_weight / count
        offset = -scale * of_bias / count - slope * mean
        scale, slope, offset = (_channels(each, x.ndim).to(x.dtype) for each in (scale, slope, offset))
        by_statistics = torch.addcmul(offset, x, slope).masked_fill_(hidden, 0)
        return torch.addcmul(by_statistics, grad, scale), None, of_weight, of_bias, None


@torch.no_grad()
def update_running_statistics(model: nn.Module) -> None:
    """Ends a training step: the running statistics of every ``MaskedBatchNorm`` move by the mean of the step's groups.

    Without any group they do not move. All channels of a model move together, so a dozen launches serve any number of
    norms.
    """
    norms = _norms(model)
    if not norms:
        return
    totals = [norm.group_statistics for norm in norms]
    mean, var, groups = torch.cat(totals, 1)
    for total, kept in ((mean, [norm.running_mean for norm in norms]), (var, [norm.running_var for norm in norms])):
        running = torch.cat(kept)
        moved = running.lerp((total / groups).to(running.dtype), MOMENTUM)
        # A modality that was absent from a whole step had no groups. A branch on their number would make a GPU wait.
        moved = torch.where(groups > 0, moved, running)
        torch._foreach_copy_(kept, list(moved.split([len(each) for each in kept])))
    torch._foreach_zero_(totals)


def group_statistics(model: nn.Module) -> list[Tensor]:
    """The sums over this step's groups, ``(3, C)`` of each ``MaskedBatchNorm``.

    Where devices share a step, sum them over the devices before ``update_running_statistics``.
    """
    return [module.group_statistics for module in _norms(model)]


def discard_group_statistics(model: nn.Module) -> None:
    """Forgets the groups of a step that was not finished."""
    for total in group_statistics(model):
        total.zero_()


@contextmanager
def without_statistics(model: nn.Module) -> Iterator[None]:
    """Within the block, groups are normalised but do not count, since they pass for a second time."""
    norms = _norms(model)
    for module in norms:
        module.noting = False
    try:
        yield
    finally:
        for module in norms:
            module.noting = True


def _norms(model: nn.Module) -> list[MaskedBatchNorm]:
    return [module for module in model.modules() if isinstance(module, MaskedBatchNorm)]


def _all_but_channels(x: Tensor) -> list[int]:
    """The axes over which statistics are computed."""
    return [axis for axis in range(x.ndim) if axis != 1]


def _channels(x: Tensor, dimensions: int) -> Tensor:
    """``(C,)`` -> ``(1, C, 1, ...)``."""
    return x.view(1, -1, *[1] * (dimensions - 2))
