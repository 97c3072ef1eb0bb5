"""Groups of parameters that an optimizer updates in the same way: their roles, and the cost of an update."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

Role = Literal["matrix", "vocabulary", "convolution", "vector"]
"""The role of a parameter in a network.

``matrix``: a matrix, or a factor of one, from one hidden vector to another: in a block, in the fusion, or the
projection behind a front end's convolutions. ``vocabulary``: the embedding and both heads, which have a row for each
token. ``convolution``: its kernel. ``vector``: a bias, a norm's scale or shift, or a bias of attention.
"""
_HEADS = ("ctc", "decoder.output")
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Cost:
    """The cost of an optimizer's updates.

    Attributes:
        state: float32 numbers that it keeps from step to step, without a parameter's count of steps.
        traffic: float32 numbers that one update reads and writes, without clipping.
        multiply_adds: multiply-adds of the matrix products of one update.
    """

    state: int = 0
    traffic: int = 0
    multiply_adds: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """The sum of both costs."""
        return Cost(self.state + other.state, self.traffic + other.traffic, self.multiply_adds + other.multiply_adds)


@dataclass(frozen=True)
class Group:
    """Parameters that are updated in the same way.

    Attributes:
        parameters: the parameters; there may be none.
        cost: the cost of updates for a parameter of a given shape.
        lr: their learning rate as a share of ``train.lr``.
        decay: their weight decay as a share of ``train.weight_decay``.
        options: other options of the group for the optimizer: numbers, text and truth values.
    """

    parameters: Sequence[nn.Parameter]
    cost: Callable[[torch.Size], Cost]
    lr: float = 1.0
    decay: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)


def roles(model: nn.Module) -> dict[str, Role]:
    """The role of every parameter, by its name, in the model's order."""
    return {
        f"{name}.{own}".removeprefix("."): _role(name, module, own, parameter)
        for name, module in model.named_modules()
        for own, parameter in module.named_parameters(recurse=False)
    }


def of_role(model: nn.Module, *wanted: Role) -> list[nn.Parameter]:
    """The parameters that have one of these roles, in the model's order."""
    return [model.get_parameter(name) for name, role in roles(model).items() if role in wanted]


def _role(name: str, module: nn.Module, own: str, parameter: nn.Parameter) -> Role:
    if parameter.ndim < 2 or own.endswith("bias"):
        return "vector"
    if isinstance(module, nn.Embedding) or name in _HEADS:
        return "vocabulary"
    return "convolution" if isinstance(module, _CONVOLUTIONS) else "matrix"
