"""The truncated SVD, plus some whole channels of the rest: ``y = U V^T x + C x[channels]``.

Li et al. 2025, "LOST: low-rank and sparse pre-training for large language models" (arXiv 2508.02668). ``U V^T`` starts
as the truncated SVD of rank r of the dense initial W, and ``W - U V^T`` is the rest. A channel is a column of the rest,
one for each input. C starts as the channels with the largest norms. Which channels these are never changes; all numbers
are trained. Both parts are summed with weight 1.
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


class Lost(Form):
    """``U V^T`` plus ``max(1, round(density n))`` columns ``C (m, c)``."""

    name: Literal["lost"]
    density: InnerShare = 0.03
    """Share of the channels that are in C."""
    constants: ClassVar[tuple[str, ...]] = ("channels",)
    own_start: ClassVar[str] = "takes its factors and its channels from one decomposition of the dense matrix"

    def num_channels(self, columns: int) -> int:
        """Number of columns of C."""
        return max(1, round(self.density * columns))

    def parameters(self, rows: int, columns: int, rank: int) -> int:
        """``r (m + n) + m c``."""
        return super().parameters(rows, columns, rank) + rows * self.num_channels(columns)

    def shapes(self, rows: int, columns: int, rank: int) -> Shapes:
        """The shapes of C and of the indices of its columns."""
        num = self.num_channels(columns)
        return super().shapes(rows, columns, rank) | {"c": (rows, num), "channels": (num,)}

    def initial(self, weight: "Tensor", matrix: Planned, run: "Run") -> "dict[str, Tensor]":
        """The nearest product of rank r, and the largest columns of the rest."""
        parts = super().initial(weight, matrix, run)
        rest = weight.double() - parts["u"].double() @ parts["vt"].double()
        largest = rest.norm(dim=0).argsort(descending=True, stable=True)[: self.num_channels(matrix.columns)]
        channels = largest.sort().values
        return parts | {"c": rest[:, channels].to(weight.dtype), "channels": channels.to(weight.dtype)}

    def forward(self, layer: "FormLinear", x: "Tensor") -> "Tensor":
        """``U (V^T x) + C x[channels] + b``."""
        import torch.nn.functional as F

        kept = x.index_select(-1, whole(layer.part("channels")))
        return F.linear(F.linear(x, layer.vt), layer.u, layer.bias) + F.linear(kept, layer.part("c"))

    def dense(self, parts: "Mapping[str, Tensor]") -> "Tensor":
        """``U V^T`` with C added to its columns."""
        return (parts["u"] @ parts["vt"]).index_add(1, whole(parts["channels"]), parts["c"])
