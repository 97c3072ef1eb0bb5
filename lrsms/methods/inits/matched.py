"""A control: random factors with the scale of ``spectral``, but without its spectrum."""

import torch
from torch import Tensor

from lrsms.methods.factors import Factors, scaled, truncated_norm
from lrsms.methods.inits import random
from lrsms.models.initial import Scheme

DISCARDS_MATRIX = True
"""The factors are random; the dense matrix gives their scale at most."""


def factors(weight: Tensor, rank: int, scheme: Scheme, generator: torch.Generator) -> Factors:
    """Random factors whose product has the Frobenius norm of the spectral product."""
    return scaled(random.factors(weight, rank, scheme, generator), truncated_norm(weight, rank))
