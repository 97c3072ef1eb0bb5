"""The base of methods whose planned matrices are products ``U V^T``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from lrsms.study.method import Method, Planned

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lrsms.methods.linear import LowRankLinear
    from lrsms.study.run import Run


class Product(Method):
    """``U (m, r) V^T (r, n)`` from the first step on; loads no PyTorch until it acts."""

    def start(self, model: "nn.Module", plan: Sequence[Planned], run: "Run") -> None:
        """Replaces every matrix that has a rank by its initial factors."""
        from lrsms.methods.factorize import factorize

        assert run.lowrank is not None
        factorize(model, plan, run.lowrank.init, run.model.initialiser, run.seed)

    def singular_values(self, weights: "Mapping[str, Tensor]", matrix: Planned) -> "Tensor":
        """The singular values of ``U V^T``, which is never formed."""
        from lrsms.methods.spectra import factor_singular_values

        return factor_singular_values(weights[f"{matrix.name}.u"], weights[f"{matrix.name}.vt"])


def factors(model: "nn.Module", plan: Sequence[Planned]) -> "list[tuple[nn.Parameter, nn.Parameter]]":
    """``U (m, r)`` and ``V^T (r, n)`` of every matrix that has a rank, in the order of the plan."""
    modules = [cast("LowRankLinear", model.get_submodule(each.name)) for each in plan if each.rank is not None]
    return [(module.u, module.vt) for module in modules]
