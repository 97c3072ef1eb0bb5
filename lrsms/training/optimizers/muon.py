"""Muon: momentum made orthogonal (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks").

For a matrix ``W (m, n)`` with gradient G, momentum M and learning rate lr, ``training.orthogonal`` makes O::

    M <- mu M + (1 - mu) G
    O  = nearly U V^T of (1 - mu) G + mu M        (Nesterov's momentum)
    W <- (1 - lr decay) W - lr rms sqrt(max(m, n)) O

The entries of an orthogonal matrix have root mean square ``1 / sqrt(max(m, n))``. So the entries of an update have root
mean square ``rms`` times the learning rate. In AdamW, it is 0.2 to 0.4 times the learning rate. With ``rms`` 0.2, one
learning rate and one decay serve both kinds of parameters (Liu et al. 2025, "Muon is scalable for LLM training", arXiv
2502.16982, section 2.2).

A factor of a low-rank matrix is treated like any other matrix: each factor is made orthogonal by itself.

AdamW trains everything else. The embedding and the two heads have a row for each token. Most tokens are rare in a step,
but an orthogonal update moves all rows equally. Biases and norms are not matrices. Convolutions, in the front ends and
depthwise, are left to AdamW too, as low rank leaves them dense.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from lrsms.methods.linear import factor_pairs
from lrsms.study.run import Train
from lrsms.training import orthogonal
from lrsms.training.groups import Cost, Group, of_role
from lrsms.training.optimizers import adamw

OPTIONS = {"momentum": (0.95, 0.0, 0.999), "iterations": (5, 1, 20), "rms": (0.2, 0.001, 10.0)}


def groups(model: nn.Module, options: Mapping[str, float]) -> list[Group]:
    """Two groups: matrices, which are made orthogonal, and everything else."""
    cost = partial(matrix_cost, iterations=int(options["iterations"]))
    return [
        Group(of_role(model, "matrix"), cost, options={"orthogonal": True}),
        _others(model),
    ]


def in_pairs(model: nn.Module, options: Mapping[str, float], factor_cost: Callable[[torch.Size], Cost]) -> list[Group]:
    """Groups in which two factors move together: factors, each U before its V^T; other matrices; everything else."""
    matrices = of_role(model, "matrix")
    inner = {id(each) for each in matrices}
    factors = [each for each in chain.from_iterable(factor_pairs(model)) if id(each) in inner]
    paired = {id(each) for each in factors}
    dense = [each for each in matrices if id(each) not in paired]
    cost = partial(matrix_cost, iterations=int(options["iterations"]))
    return [
        Group(factors, factor_cost, options={"orthogonal": True, "pairs": True}),
        Group(dense, cost, options={"orthogonal": True, "pairs": False}),
        _others(model),
    ]


def _others(model: nn.Module) -> Group:
    """The group that AdamW trains."""
    return Group(of_role(model, "vocabulary", "convolution", "vector"), adamw.cost, options={"orthogonal": False})


def build(groups: list[dict[str, Any]], train: Train, options: Mapping[str, float]) -> torch.optim.Optimizer:
    """``Muon``, whose matrix products have the precision of the run."""
    return Muon(groups, train, options)


def matrix_cost(shape: torch.Size, iterations: int) -> Cost:
    """The cost for a matrix; its momentum is the state.

    Apart from the iterations, an update reads gradient and momentum and writes the momentum. It reads both and writes
    their mean, and a copy of it. It reads and writes the direction, to scale it. It reads and writes the weights twice:
    to decay them, and to move them by the direction, which it reads.
    """
    own = (3 + 3 + 2 + 2 + 5) * shape.numel()
    return Cost(
        state=shape.numel(),
        traffic=own + orthogonal.traffic(shape, iterations),
        multiply_adds=orthogonal.multiply_adds(shape, iterations),
    )


class Muon(torch.optim.AdamW):
    """Updates groups marked ``orthogonal`` as above, and the others as AdamW does.

    ``step`` removes the gradients of matrices, so that AdamW skips them.
    """

    def __init__(self, groups: list[dict[str, Any]], train: Train, options: Mapping[str, float]) -> None:
        super().__init__(groups, train.lr, train.betas, weight_decay=train.weight_decay, fused=True)
        self.momentum, self.iterations, self.rms = options["momentum"], int(options["iterations"]), options["rms"]
        self.dtype = torch.bfloat16 if train.precision == "bfloat16" else None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves the parameters that have a gradient."""
        for group in self.param_groups:
            moved = [each for each in group["params"] if each.grad is not None]
            if group["orthogonal"] and moved:
                self.move(moved, group)
                for each in moved:
                    each.grad = None
        super().step()

    def move(self, matrices: list[nn.Parameter], group: Mapping[str, Any]) -> None:
        """Moves matrices ``(m, n)`` of one group against their orthogonal momenta."""
        sizes = self.sizes(matrices, group)
        for members in orthogonal.batches(matrices):  # all directions at once would need as much memory as the weights
            directions = orthogonal.orthogonalise(
                self.averaged([matrices[index] for index in members]), self.iterations, self.dtype
            )
            for index, direction in zip(members, directions, strict=True):
                matrices[index].mul_(1 - group["lr"] * group["weight_decay"])
                matrices[index].sub_(direction * (group["lr"] * sizes[index]))

    def sizes(self, matrices: list[nn.Parameter], group: Mapping[str, Any]) -> list[float] | list[Tensor]:
        """Largest singular value of each update over the learning rate, for a direction of spectral norm 1."""
        return [self.rms * max(matrix.shape) ** 0.5 for matrix in matrices]

    def averaged(self, matrices: list[nn.Parameter]) -> list[Tensor]:
        """Adds the gradients to the momenta; returns Nesterov's mean of both."""
        gradients = [each.grad for each in matrices if each.grad is not None]
        for each in matrices:
            if "momentum" not in self.state[each]:
                self.state[each]["momentum"] = torch.zeros_like(each)
        momenta = [self.state[each]["momentum"] for each in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        return list(torch._foreach_lerp(gradients, momenta, self.momentum))
