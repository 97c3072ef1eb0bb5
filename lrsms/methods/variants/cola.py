"""A non-linear bottleneck: ``y = U silu(V^T x)``. It is not linear, so no matrix stands for it and nothing is merged.

Liu et al. 2025, "CoLA: compute-efficient pre-training of LLMs via low-rank activation" (arXiv 2502.10940). As in the
source, the factors start as independent normal numbers, such that an entry of ``U V^T`` has standard deviation
``(m + n)^(-1/2)``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from lrsms.methods.form import Form
from lrsms.study.method import Planned

if TYPE_CHECKING:
    from torch import Tensor

    from lrsms.methods.linear import FormLinear
    from lrsms.study.run import Run


class Cola(Form):
    """``U silu(V^T x) + b``, with as many parameters and multiply-adds as ``U V^T``."""

    name: Literal["cola"]
    own_start: ClassVar[str] = "has an initial scale of its own"
    discards_matrix: ClassVar[bool] = True

    def initial(self, weight: "Tensor", matrix: Planned, run: "Run") -> "dict[str, Tensor]":
        """Both factors have normal numbers of variance ``((m + n) r)^(-1/2)``."""
        from lrsms.base.random_streams import stream

        assert matrix.rank is not None
        generator = stream(run.seed, "factors", matrix.name)
        deviation = ((matrix.rows + matrix.columns) * matrix.rank) ** -0.25
        shapes = self.shapes(matrix.rows, matrix.columns, matrix.rank)
        return {
            name: weight.new_empty(shape).normal_(0, deviation, generator=generator) for name, shape in shapes.items()
        }

    def forward(self, layer: "FormLinear", x: "Tensor") -> "Tensor":
        """``U silu(V^T x) + b``."""
        import torch.nn.functional as F

        return F.linear(F.silu(F.linear(x, layer.vt)), layer.u, layer.bias)

    def dense(self, parts: "Mapping[str, Tensor]") -> "Tensor":
        """Raises ValueError, since no matrix stands for it."""
        raise ValueError(
            "method 'cola' is not linear in x, so that no matrix stands for it; export it without --merged"
        )

    def num_singular_values(self, rows: int, columns: int, rank: int) -> int:
        """r, as for a product of rank r."""
        return rank

    def singular_values(self, weights: "Mapping[str, Tensor]", matrix: Planned) -> "Tensor":
        """The singular values of its derivative at x = 0, ``U V^T / 2``; the derivative of silu at 0 is 1/2."""
        from lrsms.methods.product import Product

        return Product.singular_values(self, weights, matrix) / 2
