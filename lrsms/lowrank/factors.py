"""The pair of factors in place of a matrix, and how one pair is brought to the scale of another."""

from collections.abc import Callable

import torch
from torch import Tensor

from lrsms.models.initial import Scheme

Factors = tuple[Tensor, Tensor]
"""``U (m, r)`` and ``V^T (r, n)``."""
Init = Callable[[Tensor, int, Scheme, torch.Generator], Factors]
"""From the dense ``W (m, n)``, the rank r, the layer's own initialiser and a generator."""


def truncated_norm(weight: Tensor, rank: int) -> Tensor:
    """Frobenius norm of the best approximation of ``W (m, n)`` of this rank, in float64."""
    return torch.linalg.svdvals(weight.double())[:rank].norm()


def scaled(factors: Factors, norm: Tensor) -> Factors:
    """Factors whose product has Frobenius norm ``norm``, the change split evenly."""
    u, vt = (factor.double() for factor in factors)
    root = (norm / (u @ vt).norm()).sqrt()
    return (u * root).to(factors[0].dtype), (root * vt).to(factors[1].dtype)
