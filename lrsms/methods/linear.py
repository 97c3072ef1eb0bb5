"""Matrices as products of two thin ones: ``W (m, n)`` becomes ``U (m, r) V^T (r, n)``, the bias kept."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from lrsms.methods.form import Form


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
        """``U V^T (m, n)``, in float64 for an exact sum over r. A form that no matrix stands for raises ValueError."""
        return (self.u.double() @ self.vt.double()).to(self.u.dtype)

    def extra_repr(self) -> str:
        """Inputs, rank and outputs, for ``print(model)``."""
        return f"{self.vt.shape[1]} -> {self.u.shape[1]} -> {self.u.shape[0]}, bias={self.bias is not None}"


class LowRankQKV(LowRankLinear):
    """One factorisation of the concatenated q, k and v ``(3D, D)``; the three share ``V^T x``."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """``(..., D)`` -> queries, keys and values, each ``(..., D)``."""
        q, k, v = super().forward(x).chunk(3, dim=-1)
        return q, k, v


class FormLinear(LowRankLinear):
    """A matrix in another form than ``U V^T``, which a method defines (see ``methods.form``).

    Args:
        form: the method.
        parts: ``u (m, r)``, ``vt (r, n)`` and the others, by name; they become parameters, and constants buffers.
        bias: ``(m,)`` or None.
    """

    def __init__(self, form: "Form", parts: Mapping[str, Tensor], bias: Tensor | None) -> None:
        super().__init__(parts["u"], parts["vt"], bias)
        self.form = form
        for name, part in parts.items():
            if name in form.constants:
                self.register_buffer(name, part)
            elif name not in ("u", "vt"):
                self.register_parameter(name, nn.Parameter(part))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., n)`` -> ``(..., m)``."""
        return self.form.forward(self, x)

    def part(self, name: str) -> Tensor:
        """The part with this name."""
        part = getattr(self, name)
        assert isinstance(part, Tensor), name
        return part

    def product(self) -> Tensor:
        """The matrix ``(m, n)`` that stands for the form; raises ValueError if there is none."""
        names = self.form.shapes(self.u.shape[0], self.vt.shape[1], self.u.shape[1])
        return self.form.dense({name: self.part(name).double() for name in names}).to(self.u.dtype)

    def extra_repr(self) -> str:
        """The method, inputs, rank and outputs, for ``print(model)``."""
        return f"{self.form}, {super().extra_repr()}"


class FormQKV(LowRankQKV, FormLinear):  # type: ignore[misc]  # ``forward`` returns three
    """One ``FormLinear`` for the concatenated q, k and v ``(3D, D)``."""


def factor_pairs(model: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """``U (m, r)`` and ``V^T (r, n)`` of every factorised matrix of a network, in its order."""
    return [(module.u, module.vt) for module in model.modules() if isinstance(module, LowRankLinear)]
