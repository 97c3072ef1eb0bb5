"""A trained dense network that is cut to low rank: what is left of it without any training afterwards.

Every planned matrix becomes the product ``U V^T`` of rank r that is nearest to it (Eckart and Young 1936), by the
truncated SVD. With ``lowrank.cut_by: outputs`` it becomes the one whose outputs on training speech are nearest
(Kamahori et al. 2025, "LiteASR: efficient automatic speech recognition with low-rank approximation", arXiv 2502.20583).
What is cut is the mean over the last snapshots: the weights with which the dense run of the same seed and learning rate
ends.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from lrsms.methods.dense_start import DenseStart
from lrsms.study.method import Planned

if TYPE_CHECKING:
    from torch import nn

    from lrsms.study.run import Run


class Truncated(DenseStart):
    """Dense ``W`` in all steps; of the final weights, the nearest ``U V^T`` of rank r."""

    name: Literal["truncated"]
    cuts_trained: ClassVar[bool] = True

    def describe(self) -> str:
        """Says it in a few words."""
        return "dense in all of its steps, and cut to low rank after the last"

    def finish(self, model: "nn.Module", plan: Sequence[Planned], run: "Run") -> None:
        """Cuts the final weights."""
        self.cut(model, plan, run)
