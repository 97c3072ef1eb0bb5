"""A control: factors with the scale of ``spectral``, but with a flat spectrum."""

import torch
from torch import Tensor

from lrsms.methods.factors import Factors, scaled, truncated_norm
from lrsms.models.initial import Scheme

DISCARDS_MATRIX = True
"""The factors are random; the dense matrix gives their scale at most."""


def factors(weight: Tensor, rank: int, scheme: Scheme, generator: torch.Generator) -> Factors:
    """Orthonormal columns of U and V, scaled so that the product has the Frobenius norm of the spectral one."""
    u = torch.nn.init.orthogonal_(weight.new_empty(weight.shape[0], rank), generator=generator)
    vt = torch.nn.init.orthogonal_(weight.new_empty(rank, weight.shape[1]), generator=generator)
    return scaled((u, vt), truncated_norm(weight, rank))
