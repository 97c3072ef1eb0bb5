"""The base of methods that replace a matrix by another form, in which ``U`` and ``V^T`` are parts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from lrsms.methods.product import Product
from lrsms.study.method import Planned

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lrsms.methods.linear import FormLinear
    from lrsms.study.run import Run

Shapes = dict[str, tuple[int, ...]]


class Form(Product):
    """A function of x and of a few tensors, the *parts*: ``u (m, r)``, ``vt (r, n)`` and what a form adds to them.

    A form is given by its parts, their initial values, ``forward``, and ``dense``, the matrix that it stands for. It
    loads no PyTorch until it acts.
    """

    constants: ClassVar[tuple[str, ...]] = ()
    """The parts that are not trained. They are floating-point numbers, like all stored numbers of a network."""

    def shapes(self, rows: int, columns: int, rank: int) -> Shapes:
        """The shapes of the parts for a matrix ``(rows, columns)``, by name."""
        return {"u": (rows, rank), "vt": (rank, columns)}

    def initial(self, weight: "Tensor", matrix: Planned, run: "Run") -> "dict[str, Tensor]":
        """The parts when training begins, on the CPU.

        Args:
            weight: ``W (m, n)``, the dense initial value.
            matrix: the matrix in the plan; it has a rank.
            run: the run.
        """
        from lrsms.methods.factorize import initial_factors

        assert run.lowrank is not None
        u, vt = initial_factors(weight, matrix, run.lowrank.init, run.model.initialiser, run.seed)
        return {"u": u, "vt": vt}

    @abstractmethod
    def forward(self, layer: "FormLinear", x: "Tensor") -> "Tensor":
        """``(..., n)`` -> ``(..., m)``, with the bias; the parts are attributes of ``layer``."""

    @abstractmethod
    def dense(self, parts: "Mapping[str, Tensor]") -> "Tensor":
        """The matrix ``(m, n)`` that the parts stand for, in their precision.

        Raises:
            ValueError: one line: no matrix stands for the form.
        """

    def num_singular_values(self, rows: int, columns: int, rank: int) -> int:
        """min(m, n), as for a dense matrix: the sum of a product and another part may have any rank."""
        return min(rows, columns)

    def singular_values(self, weights: "Mapping[str, Tensor]", matrix: Planned) -> "Tensor":
        """The singular values of the matrix that the form stands for."""
        import torch

        return torch.linalg.svdvals(self.dense(parts_of(self, weights, matrix)))

    def start(self, model: "nn.Module", plan: Sequence[Planned], run: "Run") -> None:
        """Replaces every matrix that has a rank by the form with its initial parts."""
        from lrsms.methods.factorize import bias_of, dense_weight, is_qkv, one_thread_each, replace
        from lrsms.methods.linear import FormLinear, FormQKV

        chosen = [matrix for matrix in plan if matrix.rank is not None]
        modules = [model.get_submodule(matrix.name) for matrix in chosen]
        weights = [dense_weight(module) for module in modules]
        every = one_thread_each(lambda weight, matrix: self._start(weight, matrix, run), weights, chosen)
        for matrix, module, parts in zip(chosen, modules, every, strict=True):
            replace(model, matrix.name, (FormQKV if is_qkv(module) else FormLinear)(self, parts, bias_of(module)))

    def _start(self, weight: "Tensor", matrix: Planned, run: "Run") -> "dict[str, Tensor]":
        """The initial parts on the device of ``weight``; on the meta device, only their shapes."""
        import torch

        assert matrix.rank is not None
        shapes = self.shapes(matrix.rows, matrix.columns, matrix.rank)
        if weight.is_meta:
            return {name: weight.new_empty(shape) for name, shape in shapes.items()}
        parts = self.initial(weight.cpu(), matrix, run)
        assert {name: tuple(part.shape) for name, part in parts.items()} == shapes, matrix.name
        # A decomposition may leave its factors in another memory order; here all parts lie row by row.
        row_by_row = torch.contiguous_format
        return {name: part.clone(memory_format=row_by_row).to(weight.device) for name, part in parts.items()}


def parts_of(form: Form, weights: "Mapping[str, Tensor]", matrix: Planned) -> "dict[str, Tensor]":
    """The parts of a matrix from a state dict, in float64 on the CPU."""
    assert matrix.rank is not None
    names = form.shapes(matrix.rows, matrix.columns, matrix.rank)
    return {name: weights[f"{matrix.name}.{name}"].cpu().double() for name in names}


def whole(constants: "Tensor") -> "Tensor":
    """Constants that are whole numbers, as indices: a mean over snapshots may have moved them by a last bit."""
    return constants.round().long()
