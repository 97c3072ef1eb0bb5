"""At first, a dense matrix runs beside the factors; its weight a falls to 0: ``y = a W x + (1 - a) U V^T x``.

Wei et al. 2024, "Building on efficient foundations: effectively training LLMs with structured feedforward layers"
(arXiv 2406.16450), self-guided training. W starts as ``U V^T``, and a falls from 1 to 0 as ``(1 + cos(pi t / T)) / 2``
over the first T steps. Then W is dropped, which changes no output. The factors keep their moments and train on.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from lrsms.methods.form import Form, Shapes
from lrsms.methods.product import Product
from lrsms.study.bounds import InnerShare
from lrsms.study.method import Planned

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from lrsms.methods.linear import FormLinear
    from lrsms.study.run import Run


class SelfGuided(Form):
    """For the first ``share`` of the steps, a dense matrix guides the factors; after that they are plain low rank."""

    name: Literal["self_guided"]
    share: InnerShare = 0.5
    """Share of the steps after which the dense matrix is gone."""
    keeps_moments: ClassVar[bool] = True
    constants: ClassVar[tuple[str, ...]] = ("guide",)

    def describe(self) -> str:
        """In a few words."""
        share = f"{100 * self.share:.4g}%"
        return f"low rank with dense matrices beside it for the first {share} of its steps, then without them"

    def changes(self) -> tuple[float, ...]:
        """Once."""
        return (self.share,)

    def shapes(self, rows: int, columns: int, rank: int) -> Shapes:
        """The parts while the factors are guided: W and its weight a too."""
        return super().shapes(rows, columns, rank) | {"w": (rows, columns), "guide": ()}

    def initial(self, weight: "Tensor", matrix: Planned, run: "Run") -> "dict[str, Tensor]":
        """The factors of plain low rank, their product as W, and a = 1."""
        parts = super().initial(weight, matrix, run)
        product = (parts["u"].double() @ parts["vt"].double()).to(weight.dtype)
        return parts | {"w": product, "guide": weight.new_ones(())}

    def forward(self, layer: "FormLinear", x: "Tensor") -> "Tensor":
        """``a W x + (1 - a) U (V^T x) + b``."""
        import torch.nn.functional as F

        product = F.linear(F.linear(x, layer.vt), layer.u)
        y = product + layer.part("guide") * (F.linear(x, layer.part("w")) - product)
        return y if layer.bias is None else y + layer.bias

    def dense(self, parts: "Mapping[str, Tensor]") -> "Tensor":
        """``a W + (1 - a) U V^T``."""
        return parts["guide"] * parts["w"] + (1 - parts["guide"]) * (parts["u"] @ parts["vt"])

    def change(self, model: "nn.Module", plan: Sequence[Planned], run: "Run", phase: int) -> None:
        """Leaves the factors alone."""
        from lrsms.methods.factorize import replace
        from lrsms.methods.linear import FormLinear, FormQKV, LowRankLinear, LowRankQKV

        for matrix in plan:
            if matrix.rank is not None:
                layer = model.get_submodule(matrix.name)
                assert isinstance(layer, FormLinear), matrix.name
                kind = LowRankQKV if isinstance(layer, FormQKV) else LowRankLinear
                bias = None if layer.bias is None else layer.bias.detach()
                replace(model, matrix.name, kind(layer.u.detach(), layer.vt.detach(), bias))

    def after_step(
        self, model: "nn.Module", plan: Sequence[Planned], optimizer: "torch.optim.Optimizer", step: int, total: int
    ) -> None:
        """Sets a for the next step. It is part of the network, so a checkpoint holds it."""
        guided = round(self.share * total)
        for matrix in plan:
            if matrix.rank is not None and step < guided:
                guide = model.get_buffer(f"{matrix.name}.guide")
                guide.fill_((1 + math.cos(math.pi * (step + 1) / guided)) / 2)

    def num_singular_values(self, rows: int, columns: int, rank: int) -> int:
        """r, as for the product with which training ends."""
        return rank

    def singular_values(self, weights: "Mapping[str, Tensor]", matrix: Planned) -> "Tensor":
        """The singular values of ``U V^T``."""
        return Product.singular_values(self, weights, matrix)
