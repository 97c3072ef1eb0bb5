"""Refactorisation: at intervals, the SVD of a product balances its factors, and the optimizer forgets their moments.

Glentis et al. 2025, "Scalable parameter and memory efficient pretraining for LLM" (arXiv 2505.22922): weight
refactorisation and momentum reset. With the SVD ``U V^T = A S B^T`` of rank r::

    U <- A S^1/2,   V <- B S^1/2

The product stays the same, and so does the function of the network. Afterwards ``U^T U = V^T V``, so neither factor has
larger gradients than the other. The optimizer's state belongs to the old factors, which are another basis. So it is
dropped, and the optimizer treats the factors as new parameters. A direction in which the product is zero becomes zero
in both factors.

The final weights of a run are a mean over snapshots. A mean over factors of different bases has no meaning. So the last
refactorisation must come before the first snapshot that is averaged.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from lrsms.methods.product import Product, factors
from lrsms.study.bounds import Share, Steps
from lrsms.study.method import Planned

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Refactor(Product):
    """Plain low rank whose factors are balanced at intervals; before the first time it is plain low rank."""

    name: Literal["refactor"]
    every: Steps = 200
    """Steps from one refactorisation to the next."""
    until: Share = 0.7
    """Refactorisations take place in this first share of the steps."""

    def changes_at(self, total: int, first_averaged: int) -> list[int]:
        """There are no changes of structure, but the average of snapshots is checked.

        Raises:
            ValueError: one line: the last refactorisation is after the first snapshot that is averaged.
        """
        last = int(self.until * total) // self.every * self.every
        if last > first_averaged:
            raise ValueError(
                f"'lowrank.method' is '{self}', whose last refactorisation is after step {last} of {total}, but"
                f" 'train.average' begins at the snapshot of step {first_averaged}: factors of different bases have no"
                " mean; average fewer, or set 'until' lower"
            )
        return []

    def after_step(
        self, model: "nn.Module", plan: Sequence[Planned], optimizer: "torch.optim.Optimizer", step: int, total: int
    ) -> None:
        """Balances all pairs of factors, if this step is one of the interval."""
        if (step + 1) % self.every == 0 and step + 1 <= self.until * total:
            for u, vt in factors(model, plan):
                balance(u, vt)
                for factor in (u, vt):
                    optimizer.state.pop(factor, None)


def balance(u: "Tensor", vt: "Tensor") -> None:
    """Balances ``U (m, r)`` and ``V^T (r, n)`` in place, in float64.

    The SVD is taken of ``R_U R_V^T (r, r)``, where ``U = Q_U R_U`` and ``V = Q_V R_V``. Of each pair of singular
    vectors, the largest entry of the left one is positive, as for the initial factors.
    """
    import torch

    q_u, r_u = torch.linalg.qr(u.double())
    q_v, r_v = torch.linalg.qr(vt.mT.double())
    left, s, right = torch.linalg.svd(r_u @ r_v.mT)
    a, b = q_u @ left, q_v @ right.mT
    root = s.sqrt() * torch.sign(a.gather(0, a.abs().argmax(0, keepdim=True))).squeeze(0)
    u.copy_(a * root)
    vt.copy_((b * root).mT)
