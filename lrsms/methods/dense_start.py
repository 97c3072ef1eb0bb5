"""The base of methods whose network is dense at first and is cut to its ranks later."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from lrsms.methods.product import Product
from lrsms.study.method import Planned

if TYPE_CHECKING:
    from torch import nn

    from lrsms.study.run import Run


class DenseStart(Product):
    """Dense ``W`` at first; ``cut`` makes it the nearest ``U V^T`` of rank r."""

    own_start: ClassVar[str] = "takes its factors from the trained matrices, by their truncated SVD"

    def start(self, model: "nn.Module", plan: Sequence[Planned], run: "Run") -> None:
        """Leaves the network dense."""

    def cut(self, model: "nn.Module", plan: Sequence[Planned], run: "Run") -> None:
        """Replaces every matrix that has a rank by the factors of its truncated SVD."""
        super().start(model, plan, run)
