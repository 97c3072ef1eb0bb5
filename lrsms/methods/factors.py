"""Pairs of factors that replace a matrix, their scaling to a given norm, and the truncated SVD."""

from collections.abc import Callable

import torch
from torch import Tensor

from lrsms.models.initial import Scheme

Factors = tuple[Tensor, Tensor]
"""``U (m, r)`` and ``V^T (r, n)``."""
Init = Callable[[Tensor, int, Scheme, torch.Generator], Factors]
"""Makes factors from the dense ``W (m, n)``, the rank r, the layer's own initialiser and a generator."""
SMALL = 512
"""If min(m, n) is below this, a plain SVD takes a fraction of a second and is used."""
_CONDITION = 1e-4
"""Least ``s_r / s_1`` for the Gram matrix, which squares it: there, singular vectors have float32's seven digits."""


def truncated_svd(weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The r largest singular values of ``W (m, n)`` and their vectors, in float64.

    For a large matrix, they come from the eigenvectors of the smaller of ``W^T W`` and ``W W^T``, which is two to
    twenty times as fast. Their product is equal to about 1e-14 of its norm, each vector within ``1e-14 (s_1 / s_r)^2``.
    Where ``s_r / s_1`` is tiny, the plain SVD is used. Either way the factors lie in memory column by column, as LAPACK
    leaves them: products of another order are rounded otherwise, and a run that is resumed may have come the other way.

    Returns:
        ``U (m, r)``, ``s (r,)`` and ``V^T (r, n)``.
    """
    exact = weight.double()
    if min(exact.shape) >= SMALL:
        is_tall = exact.shape[0] >= exact.shape[1]
        tall = exact if is_tall else exact.mT
        _, vectors = torch.linalg.eigh(tall.mT @ tall)
        right = vectors[:, -rank:].flip(1)  # eigenvalues come in rising order, singular values in falling order
        left = tall @ right
        s = left.norm(dim=0)
        if s[-1] > _CONDITION * s[0]:
            left = left / s
            u, v = (left, right) if is_tall else (right, left)
            return _by_columns(u), s, _by_columns(v.mT)
    u, s, vt = torch.linalg.svd(exact, full_matrices=False)
    return u[:, :rank], s[:rank], vt[:rank]


def _by_columns(x: Tensor) -> Tensor:
    return x.mT.contiguous().mT


def truncated_norm(weight: Tensor, rank: int) -> Tensor:
    """Frobenius norm of the best approximation of ``W (m, n)`` of this rank, in float64."""
    exact = weight.double()
    if min(exact.shape) < SMALL:
        return torch.linalg.svdvals(exact)[:rank].norm()
    gram = exact.mT @ exact if exact.shape[0] >= exact.shape[1] else exact @ exact.mT
    return torch.linalg.eigvalsh(gram)[-rank:].clamp(min=0).sum().sqrt()


def scaled(factors: Factors, norm: Tensor) -> Factors:
    """The factors, scaled equally so that their product has Frobenius norm ``norm``."""
    u, vt = (factor.double() for factor in factors)
    root = (norm / (u @ vt).norm()).sqrt()
    return (u * root).to(factors[0].dtype), (root * vt).to(factors[1].dtype)
