"""Spectron: Muon whose step on two factors is a step of known size on their product (arXiv 2602.12429).

If both factors of ``W = U V^T (m, n)`` move by orthogonal directions times s, the product moves by at most ``s (|U| +
|V| + s)`` in the spectral norm. So with ``s = R / (|U| + |V| + 1)`` it moves by at most R, as long as s is below 1,
however large the factors are and however the one is scaled beside the other. The authors hope that one learning rate
then serves all ranks.

Their R is the learning rate. Here it is ``lr rms sqrt(max(m, n))``, which is by how much Muon moves a dense matrix in
place of the product: so dense and low-rank models are tried at the same learning rates. The norms are estimated by the
power method, which goes on at each step from where it ended at the one before. Directions are orthogonal nearly, as
those of Muon are, and the bound holds as nearly.

Dense matrices move as by ``muon``, whose options these are too, and the rest as by AdamW.
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
    """Factors in pairs, the other matrices, and all else."""
    return muon.in_pairs(model, options, partial(factor_cost, iterations=int(options["iterations"])))


def build(groups: list[dict[str, Any]], train: Train, options: Mapping[str, float]) -> torch.optim.Optimizer:
    """``Spectron``, whose products have the precision of the run's."""
    return Spectron(groups, train, options)


def factor_cost(shape: torch.Size, iterations: int) -> Cost:
    """Beside what Muon's costs: a vector of r numbers, and the factor copied and read for each product with one."""
    products = 2 * POWERS + 1
    norm = Cost(min(shape), (2 + products) * shape.numel(), products * shape.numel())
    return muon.matrix_cost(shape, iterations) + norm


class Spectron(muon.Muon):
    """Muon, with steps of another size for factors, which come in pairs: U before V^T."""

    def sizes(self, matrices: list[nn.Parameter], group: Mapping[str, Any]) -> list[float] | list[Tensor]:
        """Of factors: R over the learning rate, over ``|U| + |V| + 1``."""
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
