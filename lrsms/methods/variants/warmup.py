"""Warm-up at full rank: dense for a share of the steps; then the truncated SVD of the weights is trained further.

Wang et al. 2021, "Pufferfish: communication-efficient models at no extra cost" (arXiv 2103.03936). As there, the
optimizer starts afresh with the factors, while the learning rate continues along its schedule.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from lrsms.methods.product import Product
from lrsms.study.bounds import InnerShare
from lrsms.study.method import Planned

if TYPE_CHECKING:
    from torch import nn

    from lrsms.study.run import Run


class Warmup(Product):
    """Dense ``W`` at first; after ``share`` of the steps, the nearest ``U V^T`` of rank r."""

    name: Literal["warmup"]
    share: InnerShare
    """Share of the steps that are at full rank."""
    own_start: ClassVar[str] = "takes its factors from the trained matrices, by their truncated SVD"

    def describe(self) -> str:
        """In a few words."""
        return f"dense for the first {100 * self.share:.4g}% of its steps, then low rank"

    def changes(self) -> tuple[float, ...]:
        """Once."""
        return (self.share,)

    def start(self, model: "nn.Module", plan: Sequence[Planned], run: "Run") -> None:
        """Leaves the network dense."""

    def change(self, model: "nn.Module", plan: Sequence[Planned], run: "Run", phase: int) -> None:
        """Replaces every matrix that has a rank by the factors of its truncated SVD."""
        super().start(model, plan, run)
