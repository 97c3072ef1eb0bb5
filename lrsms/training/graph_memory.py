"""The memory that the CUDA graphs of a module share: gradients that stay where they are, and a pool for the rest."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Shared:
    """The things that all graphs of a module share.

    Attributes:
        parameters: the trained parameters, by name.
        gradients: the gradient of each, to which the graphs add. Its memory never moves, as a graph needs.
        pool: the memory pool. Only one graph of a module holds memory between the forward and the backward pass of a
            group, so all may share the pool.
    """

    parameters: dict[str, nn.Parameter]
    gradients: list[Tensor]
    pool: Any = field(default=None)

    @cached_property
    def stream(self) -> torch.cuda.Stream:
        """The stream on which all are recorded.

        A pool gives memory again only to the stream that had it: graphs of several streams have a pool's name in
        common, but no memory (see ``torch.cuda.graph``).
        """
        return torch.cuda.Stream()

    @classmethod
    def of(cls, module: nn.Module) -> "Shared":
        """Makes it for a module that has no graph yet."""
        parameters = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        pool = torch.cuda.graph_pool_handle() if torch.cuda.is_available() else None
        return cls(parameters, [torch.zeros_like(parameter) for parameter in parameters.values()], pool)

    def attach(self) -> None:
        """Makes ``gradients`` the parameters' own gradients, with their values; zero where ``zero_grad`` left none."""
        fresh = []
        for parameter, gradient in zip(self.parameters.values(), self.gradients, strict=True):
            if parameter.grad is gradient:
                continue
            if parameter.grad is None:
                fresh.append(gradient)
            else:  # the gradient of a group that ran without a graph
                gradient.copy_(parameter.grad)
            parameter.grad = gradient
        if fresh:
            torch._foreach_zero_(fresh)
