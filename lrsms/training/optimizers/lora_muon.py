"""LoRA-Muon: the factors take Muon's step on their product (Cesista et al. 2026, arXiv 2606.12921).

Muon moves a dense W by R times an orthogonal matrix, ``R = lr rms sqrt(max(m, n))``. For ``W = U V^T``, each factor
takes half of this step. U moves the product by ``dU V^T``. Under a bound of R/2 on its spectral norm, the steepest step
is::

    dU = - R/2 orthogonal(M_U S^-1/2) S^-1/2,   S = V^T V

M_U is the momentum of U; V moves in the same way. The step of the product depends neither on the scale of U relative to
V, nor on the basis between them. The product decays, and each factor takes the square root of the decay: with ``q =
sqrt(1 - lr decay)``, ``U <- q U + dU / q``, and V in the same way.

The root of S (r, r) is computed from its eigenvalues, in float64. An eigenvalue below 1e-7 of the largest is raised to
that value, so that a direction which V has lost does not move U without bound. Other matrices move as in ``muon``, the
rest as in AdamW.
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
_LEAST = 1e-7
"""Smaller eigenvalues of a Gram matrix are raised to this share of the largest."""


def groups(model: nn.Module, options: Mapping[str, float]) -> list[Group]:
    """Three groups: factors in pairs, the other matrices, and everything else."""
    return muon.in_pairs(model, options, partial(factor_cost, iterations=int(options["iterations"])))


def build(groups: list[dict[str, Any]], train: Train, options: Mapping[str, float]) -> torch.optim.Optimizer:
    """``LoraMuon``, whose matrix products have the precision of the run."""
    return LoraMuon(groups, train, options)


def factor_cost(shape: torch.Size, iterations: int) -> Cost:
    """The cost of Muon, plus the Gram matrix and two products with the other factor's root, ``3 m r^2``.

    Eigenvalues are counted as 10 r^3 multiply-adds, as for the usual methods.
    """
    rank, long = sorted(shape)
    own = Cost(traffic=6 * shape.numel() + 8 * rank**2, multiply_adds=3 * long * rank**2 + 10 * rank**3)
    return muon.matrix_cost(shape, iterations) + own


class LoraMuon(muon.Muon):
    """Muon, with another step for factors, which come in pairs: U before V^T."""

    def move(self, matrices: list[nn.Parameter], group: Mapping[str, Any]) -> None:
        """Moves the matrices of a group; factors move in pairs."""
        if not group["pairs"]:
            super().move(matrices, group)
            return
        thin = [each.mT if index % 2 else each for index, each in enumerate(matrices)]  # U (m, r), V (n, r)
        own = inverse_roots(thin)
        others = [own[index ^ 1] for index in range(len(own))]
        momenta = [each.mT if index % 2 else each for index, each in enumerate(self.averaged(matrices))]
        whitened = [momentum @ root for momentum, root in zip(momenta, others, strict=True)]
        directions = orthogonal.orthogonalise(whitened, self.iterations, self.dtype)
        q = (1 - group["lr"] * group["weight_decay"]) ** 0.5
        for index, (each, root) in enumerate(zip(thin, others, strict=True)):
            u, v = thin[index & ~1], thin[index | 1]
            reach = group["lr"] * self.rms * max(len(u), len(v)) ** 0.5
            each.mul_(q).sub_(directions[index] @ root, alpha=reach / 2 / q)


def inverse_roots(thin: list[Tensor]) -> list[Tensor]:
    """``(X^T X)^-1/2 (r, r)`` for each ``X (m, r)``, in its type; zeros if X is zero: nothing moves beside it."""
    found: dict[int, Tensor] = {}
    grams = [(each.mT.double() @ each.double()) for each in thin]
    for members in orthogonal.batches(grams):
        values, vectors = torch.linalg.eigh(torch.stack([grams[index] for index in members]))
        values = values.maximum(_LEAST * values[:, -1:])
        roots = torch.where(values > 0, values.rsqrt(), 0.0)
        found |= dict(zip(members, (vectors * roots.unsqueeze(1)) @ vectors.mT, strict=True))
    return [found[index].to(each.dtype) for index, each in enumerate(thin)]
