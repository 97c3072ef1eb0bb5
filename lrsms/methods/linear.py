"""Matrices as products of two thin ones: ``W (m, n)`` becomes ``U (m, r) V^T (r, n)``, the bias kept."""

import torch.nn.functional as F
from torch import Tensor, nn


class LowRankLinear(nn.Module):
    """``y = U (V^T x) + b``: r (m + n) multiply-adds in place of m n.

    Args:
        u: ``(m, r)``.
        vt: ``(r, n)``.
        bias: ``(m,)`` or None.
    """

    def __init__(self, u: Tensor, vt: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        assert u.shape[1] == vt.shape[0], (u.shape, vt.shape)
        self.u = nn.Parameter(u)
        self.vt = nn.Parameter(vt)
        self.bias = nn.Parameter(bias) if bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """``(..., n)`` -> ``(..., m)``."""
        return F.linear(F.linear(x, self.vt), self.u, self.bias)

    def product(self) -> Tensor:
        """``U V^T (m, n)``, in float64 to lose nothing in the sum over r; what is no matrix raises ValueError here."""
        return (self.u.double() @ self.vt.double()).to(self.u.dtype)

    def extra_repr(self) -> str:
        """Inputs, rank and outputs, in ``print(model)``."""
        return f"{self.vt.shape[1]} -> {self.u.shape[1]} -> {self.u.shape[0]}, bias={self.bias is not None}"


class LowRankQKV(LowRankLinear):
    """One factorisation of the concatenated q, k and v ``(3D, D)``: the three share ``V^T x``."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """``(..., D)`` -> queries, keys and values, each ``(..., D)``."""
        q, k, v = super().forward(x).chunk(3, dim=-1)
        return q, k, v
