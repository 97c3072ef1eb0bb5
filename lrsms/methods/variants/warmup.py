"""Warm-up at full rank: dense for a share of the steps; then the truncated SVD of the weights is trained further.

Wang et al. 2021, "Pufferfish: communication-efficient models at no extra cost" (arXiv 2103.03936). As there, the
optimizer starts afresh with the factors, while the learning rate continues along its schedule.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from lrsms.methods.dense_start import DenseStart
from lrsms.study.bounds import InnerShare
from lrsms.study.method import Planned

if TYPE_CHECKING:
    from torch import nn

    from lrsms.study.run import Run


class Warmup(DenseStart):
    """Dense ``W`` at first; after ``share`` of the steps, the nearest ``U V^T`` of rank r."""

    name: Literal["warmup"]
    share: InnerShare
    """Share of the steps that are at full rank."""

    def describe(self) -> str:
        """In a few words."""
        return f"dense for the first {100 * self.share:.4g}% of its steps, then low rank"

    def changes(self) -> tuple[float, ...]:
        """Once."""
        return (self.share,)

    def change(self, model: "nn.Module", plan: Sequence[Planned], run: "Run", phase: int) -> None:
        """Cuts the weights of that moment, which are trained further."""
        self.cut(model, plan, run)
