"""Semi-orthogonal factors: every few steps, rows of V^T are brought nearer to orthogonal ones of one length (TDNN-F).

Povey et al. 2018, "Semi-orthogonal low-rank matrix factorization for deep neural networks", sections 2.1 and 2.2. With
``M = V^T (r, n)``, ``P = M M^T`` and ``s^2 = tr(P P) / tr(P)``::

    M <- M - 4 alpha / s^2 (P - s^2 I) M

which is a step of size ``alpha s^2`` down the gradient of ``||M M^T / s^2 - I||_F^2``, with s held. It takes a singular
value x of M to ``x - 4 alpha x (x^2 / s^2 - 1)``; at alpha = 1/8, M converges quadratically. By this choice of s, the
correction is orthogonal to M, so that M keeps its length but for a second order. U is not constrained.

The factors of a truncated SVD have rows of very different length, as the paper's random ones have not. There a
correction at full alpha could overshoot. So, as in the authors' Kaldi, alpha is halved where ``r tr(P P) / tr(P)^2``,
which is 1 for orthogonal rows of one length, is above 1.02, and is a quarter where it is above 1.1.
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
    """Plain low rank that is corrected from time to time; until the first correction it is plain low rank."""

    name: Literal["semi_orthogonal"]
    every: Steps = 4
    """Steps from one correction to the next."""
    alpha: BelowQuarter = 0.125
    """The size of a correction; 0.25 and more would not converge."""

    def after_step(
        self, model: "nn.Module", plan: Sequence[Planned], optimizer: "torch.optim.Optimizer", step: int, total: int
    ) -> None:
        """Corrects every V^T, when it is time."""
        if (step + 1) % self.every == 0:
            for _, vt in factors(model, plan):
                correct(vt, self.alpha)


def correct(m: "Tensor", alpha: float) -> None:
    """One correction of ``M (r, n)`` in place; a matrix of zeros stays one. No device is waited for."""
    p = m @ m.mT
    trace, squares = p.trace(), p.square().sum()
    ratio = len(p) * squares / trace.square()
    slower = 0.5 ** (ratio > 1.02).to(p.dtype) * 0.5 ** (ratio > 1.1).to(p.dtype)
    correction = (p @ m) * (trace / squares) - m
    m.sub_((4 * alpha * slower * correction).where(trace > 0, 0.0))
