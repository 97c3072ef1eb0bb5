"""Batch normalisation over the valid frames of one group of utterances."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """Batch norm whose statistics ignore padding and whose running statistics move once per training step.

    In training each group of utterances is normalised by its own valid frames. The groups' statistics are summed, and
    ``update_running_statistics`` moves the running ones by their mean: so neither padding nor the way in which groups
    are spread over devices is part of the result.

    Args:
        channels: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest step in the running statistics.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.noting = True
        """Whether groups are noted for the running statistics."""
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

        Without a mask, ``x (N, C, ...)`` holds no padding, and PyTorch's own kernel, which is faster, does the same.
        """
        if padding_mask is None:
            return self._without_padding(x)
        full = x.to(torch.promote_types(x.dtype, self.weight.dtype))
        mean, var = self._statistics(full, padding_mask) if self.training else (self.running_mean, self.running_var)
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return (full * _channels(scale, x.ndim) + _channels(shift, x.ndim)).to(x.dtype)

    def _statistics(self, x: Tensor, padding_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance over the valid frames; they are also noted for the running statistics."""
        valid = (~padding_mask).view(x.shape[0], 1, x.shape[2], *[1] * (x.ndim - 3))
        over = [axis for axis in range(x.ndim) if axis != 1]
        count = (~padding_mask).sum(dtype=x.dtype) * x[0, 0, 0].numel()
        mean = (x * valid).sum(over) / count
        var = ((x - _channels(mean, x.ndim)) * valid).square().sum(over) / count
        self._note(mean, var * (count / (count - 1).clamp(min=1)))
        return mean, var

    def _without_padding(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
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

    @torch.no_grad()
    def update_running_statistics(self) -> None:
        """Moves the running statistics by the mean of the groups seen since the last call; without any, they stay."""
        mean, var, groups = self.group_statistics
        for running, total in ((self.running_mean, mean), (self.running_var, var)):
            moved = running.lerp((total / groups).to(running.dtype), self.momentum)
            # A modality that was absent from a whole step had no groups. To branch on their number would stall a GPU.
            running.copy_(torch.where(groups > 0, moved, running))
        self.group_statistics.zero_()


def update_running_statistics(model: nn.Module) -> None:
    """Ends a training step: every ``MaskedBatchNorm`` of the model takes in the step's groups."""
    for module in _norms(model):
        module.update_running_statistics()


def group_statistics(model: nn.Module) -> list[Tensor]:
    """The sums over this step's groups, ``(3, C)`` of each ``MaskedBatchNorm``.

    Where devices share a step, they are to be summed over these before ``update_running_statistics``.
    """
    return [module.group_statistics for module in _norms(model)]


def discard_group_statistics(model: nn.Module) -> None:
    """Forgets the groups of a step that was not finished."""
    for total in group_statistics(model):
        total.zero_()


@contextmanager
def without_statistics(model: nn.Module) -> Iterator[None]:
    """Until the block ends, groups are normalised as ever but not noted: where one passes a second time."""
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


def _channels(x: Tensor, dimensions: int) -> Tensor:
    """``(C,)`` -> ``(1, C, 1, ...)``."""
    return x.view(1, -1, *[1] * (dimensions - 2))
