"""AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization"), PyTorch's own, all parameters alike."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lrsms.study.run import Train
from lrsms.training.groups import Cost, Group


def groups(model: nn.Module, options: Mapping[str, float]) -> list[Group]:
    """One group of all parameters: biases and norms decay too, as in Auto-AVSR."""
    return [Group(list(model.parameters()), cost)]


def build(groups: list[dict[str, Any]], train: Train, options: Mapping[str, float]) -> torch.optim.Optimizer:
    """PyTorch's AdamW, with its fused kernel on every device."""
    return torch.optim.AdamW(groups, train.lr, train.betas, weight_decay=train.weight_decay, fused=True)


def cost(shape: torch.Size) -> Cost:
    """It keeps two moments, reads weight, gradient and both moments, and writes all but the gradient."""
    return Cost(state=2 * shape.numel(), traffic=7 * shape.numel())
