"""Truncated SVD of the dense initial weight."""

import torch
from torch import Tensor

from lrsms.methods.factors import Factors, truncated_svd
from lrsms.models.initial import Scheme


def factors(weight: Tensor, rank: int, scheme: Scheme, generator: torch.Generator) -> Factors:
    """Truncated SVD of the dense initial weight, singular values split evenly (Khodak et al. 2021).

    It is computed in float64. The SVD leaves the sign of each pair of singular vectors open, and libraries choose
    differently. So here, the largest entry of u is positive.
    """
    u, s, vt = truncated_svd(weight, rank)
    sign = torch.sign(u.gather(0, u.abs().argmax(0, keepdim=True))).squeeze(0)
    root = s.sqrt() * sign
    return (u * root).to(weight.dtype), (root.unsqueeze(1) * vt).to(weight.dtype)
