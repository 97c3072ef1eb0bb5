"""Initial factors of a matrix, from its dense initial value.

Add an initialisation: one function here, one entry in ``INITS`` and its name in ``config.LowRank.init``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lrsms.models.initial import Scheme, fill_matrix

Factors = tuple[Tensor, Tensor]
"""``U (m, r)`` and ``V^T (r, n)``."""
Init = Callable[[Tensor, int, Scheme, torch.Generator], Factors]
"""From the dense ``W (m, n)``, the rank r, the layer's own initialiser and a generator."""


def spectral(weight: Tensor, rank: int, scheme: Scheme, generator: torch.Generator) -> Factors:
    """Truncated SVD of the dense initial weight, singular values split evenly (Khodak et al. 2021).

    Computed in float64; each pair of singular vectors has the sign that makes its largest entry of u positive, since
    the SVD leaves it open and libraries choose differently.
    """
    u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
    u, s, vt = u[:, :rank], s[:rank], vt[:rank]
    sign = torch.sign(u.gather(0, u.abs().argmax(0, keepdim=True))).squeeze(0)
    root = s.sqrt() * sign
    return (u * root).to(weight.dtype), (root.unsqueeze(1) * vt).to(weight.dtype)


def random(weight: Tensor, rank: int, scheme: Scheme, generator: torch.Generator) -> Factors:
    """Each factor as the layer's own initialiser would start a matrix of its shape."""
    u = weight.new_empty(weight.shape[0], rank)
    vt = weight.new_empty(rank, weight.shape[1])
    fill_matrix(u, scheme, generator)
    fill_matrix(vt, scheme, generator)
    return u, vt


def matched(weight: Tensor, rank: int, scheme: Scheme, generator: torch.Generator) -> Factors:
    """Random factors whose product has the Frobenius norm of the spectral product: scale without spectrum."""
    return _scaled(random(weight, rank, scheme, generator), _truncated_norm(weight, rank))


def orthogonal(weight: Tensor, rank: int, scheme: Scheme, generator: torch.Generator) -> Factors:
    """Orthonormal columns of U and V, scaled likewise: a flat spectrum of the same norm."""
    u = torch.nn.init.orthogonal_(weight.new_empty(weight.shape[0], rank), generator=generator)
    vt = torch.nn.init.orthogonal_(weight.new_empty(rank, weight.shape[1]), generator=generator)
    return _scaled((u, vt), _truncated_norm(weight, rank))


INITS: dict[str, Init] = {"spectral": spectral, "random": random, "matched": matched, "orthogonal": orthogonal}


def _truncated_norm(weight: Tensor, rank: int) -> Tensor:
    """Frobenius norm of the best approximation of this rank."""
    return torch.linalg.svdvals(weight.double())[:rank].norm()


def _scaled(factors: Factors, norm: Tensor) -> Factors:
    """Factors whose product has Frobenius norm ``norm``, the change split evenly."""
    u, vt = (factor.double() for factor in factors)
    root = (norm / (u @ vt).norm()).sqrt()
    return (u * root).to(factors[0].dtype), (root * vt).to(factors[1].dtype)
