"""Plain low rank and a fixed random support: ``y = U V^T x + S x``, where S has few numbers in each row.

Han et al. 2024, "SLTrain: a sparse plus low-rank approach for parameter and memory efficient pretraining" (arXiv
2406.02214). The places are drawn once, without regard to the weights, and only their values are trained; these start
uniform within ``1 / sqrt(n)``, as in the source. Here each row has the same number of places, so that no output goes
without. The factors start as ``lowrank.init`` says.

A random support has no kernel that is faster than a dense product. So S is laid out as a matrix in every pass, and its
multiply-adds, which are those of the dense matrix and more, say so.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from lrsms.methods.form import Form, Shapes
from lrsms.study.bounds import InnerShare
from lrsms.study.method import Planned

if TYPE_CHECKING:
    from torch import Tensor

    from lrsms.methods.linear import FormLinear
    from lrsms.study.run import Run


class Sparse(Form):
    """``U V^T + S`` with ``max(1, round(density n))`` numbers in each row of S ``(m, n)``."""

    name: Literal["sparse"]
    density: InnerShare = 0.03
    """Share of the matrix that is in the support."""
    constants: ClassVar[tuple[str, ...]] = ("places",)

    def per_row(self, columns: int) -> int:
        """Numbers in each row of S."""
        return max(1, round(self.density * columns))

    def parameters(self, rows: int, columns: int, rank: int) -> int:
        """``r (m + n)`` and the values of S; its places are not trained, and not counted."""
        return super().parameters(rows, columns, rank) + rows * self.per_row(columns)

    def operations(self, rows: int, columns: int, rank: int) -> int:
        """``r (m + n) + m n``, since S is multiplied as a dense matrix."""
        return rank * (rows + columns) + rows * columns

    def shapes(self, rows: int, columns: int, rank: int) -> Shapes:
        """The values lie in one row, as a vector: they are no matrix for an optimizer that treats matrices apart."""
        per_row = self.per_row(columns)
        return super().shapes(rows, columns, rank) | {"values": (rows * per_row,), "places": (rows, per_row)}

    def initial(self, weight: "Tensor", matrix: Planned, run: "Run") -> "dict[str, Tensor]":
        """Uniform values at random places."""
        import torch

        from lrsms.base.random_streams import stream

        per_row = self.per_row(matrix.columns)
        order = torch.rand(weight.shape, generator=stream(run.seed, "places", matrix.name)).argsort(dim=1)
        places = order[:, :per_row].sort(dim=1).values.to(weight.dtype)
        bound = matrix.columns**-0.5
        values = weight.new_empty(matrix.rows * per_row)
        values.uniform_(-bound, bound, generator=stream(run.seed, "values", matrix.name))
        return super().initial(weight, matrix, run) | {"values": values, "places": places}

    def forward(self, layer: "FormLinear", x: "Tensor") -> "Tensor":
        """``U (V^T x) + S x + b``."""
        import torch.nn.functional as F

        s = laid_out(layer.part("values"), layer.part("places"), x.shape[-1])
        return F.linear(F.linear(x, layer.vt), layer.u, layer.bias) + F.linear(x, s)

    def dense(self, parts: "Mapping[str, Tensor]") -> "Tensor":
        """``U V^T + S``."""
        return parts["u"] @ parts["vt"] + laid_out(parts["values"], parts["places"], parts["vt"].shape[1])


def laid_out(values: "Tensor", places: "Tensor", columns: int) -> "Tensor":
    """S ``(m, n)`` of its values ``(m c,)`` and their columns ``(m, c)``, zero elsewhere."""
    return values.new_zeros(len(places), columns).scatter(1, places.long(), values.view(places.shape))
