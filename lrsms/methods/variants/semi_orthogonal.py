"""Semi-orthogonal factors (TDNN-F): every few steps, rows of V^T move nearer to orthogonal rows of equal length.

Povey et al. 2018, "Semi-orthogonal low-rank matrix factorization for deep neural networks", sections 2.1 and 2.2. With
``M = V^T (r, n)``, ``P = M M^T`` and ``s^2 = tr(P P) / tr(P)``::

    M <- M - 4 alpha / s^2 (P - s^2 I) M

which is a step of size ``alpha s^2`` down the gradient of ``||M M^T / s^2 - I||_F^2``, with s held. It takes a singular
value x of M to ``x - 4 alpha x (x^2 / s^2 - 1)``; at alpha = 1/8, M converges quadratically. With this choice of s, the
correction is orthogonal to M, so M keeps its length up to second order. U is not constrained.

The paper starts from random factors. The factors of a truncated SVD have rows of very different length, and a
correction at full alpha could overshoot. ``r tr(P P) / tr(P)^2`` is 1 for orthogonal rows of equal length. As in the
authors' Kaldi, alpha is halved where this ratio is above 1.02, and is a quarter where it is above 1.1.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from lrsms.methods.product import Product, factors
from lrsms.study.bounds import BelowQuarter, Steps
from lrsms.study.method import Planned

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class SemiOrthogonal(Product):
    """Plain low rank that is corrected at intervals; before the first correction it is plain low rank."""

    name: Literal["semi_orthogonal"]
    every: Steps = 4
    """Steps from one correction to the next."""
    alpha: BelowQuarter = 0.125
    """The size of a correction; at 0.25 or more it would not converge."""

    def after_step(
        self, model: "nn.Module", plan: Sequence[Planned], optimizer: "torch.optim.Optimizer", step: int, total: int
    ) -> None:
        """Corrects every V^T, if this step is one of the interval."""
        if (step + 1) % self.every == 0:
            for _, vt in factors(model, plan):
                correct(vt, self.alpha)


def correct(m: "Tensor", alpha: float) -> None:
    """One correction of ``M (r, n)`` in place; a matrix of zeros stays zero. It does not wait for the device."""
    p = m @ m.mT
    trace, squares = p.trace(), p.square().sum()
    ratio = len(p) * squares / trace.square()
    slower = 0.5 ** (ratio > 1.02).to(p.dtype) * 0.5 ** (ratio > 1.1).to(p.dtype)
    correction = (p @ m) * (trace / squares) - m
    m.sub_((4 * alpha * slower * correction).where(trace > 0, 0.0))
