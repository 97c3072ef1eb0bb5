"""Plain low rank plus a sparse matrix with a fixed random support: ``y = U V^T x + S x``.

Han et al. 2024, "SLTrain: a sparse plus low-rank approach for parameter and memory efficient pretraining" (arXiv
2406.02214). The places of S are drawn once, without regard to the weights. Only their values are trained, and they
start uniform within ``1 / sqrt(n)``, as in the source. Here each row has the same number of places, so that S reaches
every output. The factors start as ``lowrank.init`` says.

No kernel for a random support is faster than a dense product. So S is written out as a matrix in every pass, and it
counts with the multiply-adds of the dense matrix.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from lrsms.methods.form import Form, Shapes, whole
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
        """``r (m + n)`` and the values of S. Its places are not trained, so they do not count."""
        return super().parameters(rows, columns, rank) + rows * self.per_row(columns)

    def operations(self, rows: int, columns: int, rank: int) -> int:
        """``r (m + n) + m n``, since S is used as a dense matrix."""
        return rank * (rows + columns) + rows * columns

    def shapes(self, rows: int, columns: int, rank: int) -> Shapes:
        """The values form one vector, so that optimizers for matrices do not take them for a matrix."""
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
    return values.new_zeros(len(places), columns).scatter(1, whole(places), values.view(places.shape))
