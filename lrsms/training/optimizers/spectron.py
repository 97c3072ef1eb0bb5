"""Spectron: Muon with steps on two factors that bound the step of their product (arXiv 2602.12429).

If both factors of ``W = U V^T (m, n)`` move by orthogonal directions times s, the product moves by at most ``s (|U| +
|V| + s)`` in the spectral norm. So with ``s = R / (|U| + |V| + 1)`` it moves by at most R, as long as s is below 1.
This holds for factors of any size and any relative scale. The authors hope that one learning rate then serves all
ranks.

Their R is the learning rate. Here it is ``lr rms sqrt(max(m, n))``, by which Muon moves a dense matrix of the same
shape. So dense and low-rank models can be tried at the same learning rates. The power method estimates the norms. At
each step it starts where it ended at the step before. Directions are only nearly orthogonal, as in Muon, so the bound
is also only nearly exact.

Dense matrices move as in ``muon``, which has the same options, and the rest as in AdamW.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lrsms.study.run import Train
from lrsms.training import orthogonal
from lrsms.training.groups import Cost, Group
from lrsms.training.optimizers import muon

OPTIONS = {"momentum": (0.95, 0.0, 0.999), "iterations": (5, 1, 20), "rms": (0.2, 0.001, 10.0)}
POWERS = 2
"""Iterations of the power method at each step."""


def groups(model: nn.Module, options: Mapping[str, float]) -> list[Group]:
    """Three groups: factors in pairs, the other matrices, and everything else."""
    return muon.in_pairs(model, options, partial(factor_cost, iterations=int(options["iterations"])))


def build(groups: list[dict[str, Any]], train: Train, options: Mapping[str, float]) -> torch.optim.Optimizer:
    """``Spectron``, whose matrix products have the precision of the run."""
    return Spectron(groups, train, options)


def factor_cost(shape: torch.Size, iterations: int) -> Cost:
    """The cost of Muon, plus a vector of r numbers, and a factor that is copied and read for each product with one."""
    products = 2 * POWERS + 1
    norm = Cost(min(shape), (2 + products) * shape.numel(), products * shape.numel())
    return muon.matrix_cost(shape, iterations) + norm


class Spectron(muon.Muon):
    """Muon with steps of another size for factors, which come in pairs: U before V^T."""

    def sizes(self, matrices: list[nn.Parameter], group: Mapping[str, Any]) -> list[float] | list[Tensor]:
        """The step sizes for factors: R over the learning rate, over ``|U| + |V| + 1``."""
        if not group["pairs"]:
            return super().sizes(matrices, group)
        thin = [each.mT if each.shape[0] < each.shape[1] else each for each in matrices]
        for each, matrix in zip(matrices, thin, strict=True):
            if "vector" not in self.state[each]:
                self.state[each]["vector"] = torch.ones_like(matrix[0])
        norms = orthogonal.spectral_norms(thin, [self.state[each]["vector"] for each in matrices], POWERS)
        sizes: list[Tensor] = []
        for u, vt, norm_u, norm_v in zip(matrices[::2], matrices[1::2], norms[::2], norms[1::2], strict=True):
            reach = self.rms * max(u.shape[0], vt.shape[1]) ** 0.5
            sizes += [reach / (norm_u + norm_v + 1)] * 2
        return sizes
