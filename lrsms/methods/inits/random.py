"""The usual start: the layer's own initialiser draws each factor."""

import torch
from torch import Tensor

from lrsms.methods.factors import Factors
from lrsms.models.initial import Scheme, fill_matrix

DISCARDS_MATRIX = True
"""The factors are random; the dense matrix gives their scale at most."""


def factors(weight: Tensor, rank: int, scheme: Scheme, generator: torch.Generator) -> Factors:
    """Each factor is drawn as the layer's own initialiser draws a matrix of that shape."""
    u = weight.new_empty(weight.shape[0], rank)
    vt = weight.new_empty(rank, weight.shape[1])
    fill_matrix(u, scheme, generator)
    fill_matrix(vt, scheme, generator)
    return u, vt
