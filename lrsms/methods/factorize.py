"""Swaps the matrices of a dense model for factorised ones, and back."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lrsms.base.random_streams import stream
from lrsms.methods.factors import Factors
from lrsms.methods.init import INITS
from lrsms.methods.linear import LowRankLinear, LowRankQKV
from lrsms.models.initial import Scheme
from lrsms.models.layers import QKV
from lrsms.study.method import Planned

Part = TypeVar("Part")


@torch.no_grad()
def factorize(model: nn.Module, plan: Sequence[Planned], init: str, scheme: Scheme, seed: int) -> None:
    """Replaces, in place, every matrix of the plan that has a rank; all other weights keep their bits.

    Args:
        model: the dense model that the plan was made for, with its initial or its trained weights.
        plan: from ``make_plan``.
        init: name of the initialisation of the factors.
        scheme: the dense initialiser, which ``random`` and ``matched`` use for factors too.
        seed: seed of the factors. Each pair draws from its own stream, named after its matrix.
    """
    chosen = [matrix for matrix in plan if matrix.rank is not None]
    weights = [dense_weight(model.get_submodule(matrix.name)) for matrix in chosen]
    for matrix, factors in zip(chosen, all_factors(weights, chosen, init, scheme, seed), strict=True):
        module = model.get_submodule(matrix.name)
        replace(model, matrix.name, (LowRankQKV if is_qkv(module) else LowRankLinear)(*factors, bias_of(module)))


def all_factors(
    weights: Sequence[Tensor], matrices: Sequence[Planned], init: str, scheme: Scheme, seed: int
) -> list[Factors]:
    """The ``initial_factors`` of each matrix."""
    return one_thread_each(lambda w, m: initial_factors(w, m, init, scheme, seed), weights, matrices)


def one_thread_each(work: Callable[..., Part], *inputs: Sequence[Any]) -> list[Part]:
    """The results of ``work``. As many run at a time as PyTorch has processor threads, with one thread each.

    A second thread hardly speeds up one decomposition, but two decompositions at a time take half as long. The number
    of threads changes no bit of the results.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(torch.no_grad()(work), *inputs))
    finally:
        torch.set_num_threads(threads)


def initial_factors(weight: Tensor, matrix: Planned, init: str, scheme: Scheme, seed: int) -> Factors:
    """``U (m, r)`` and ``V^T (r, n)`` of one matrix, on its device; on the meta device, their shapes only.

    They are computed on the CPU. The SVD of a GPU gives other bits, and is no faster for many small matrices.
    """
    assert matrix.rank is not None and weight.shape == (matrix.rows, matrix.columns)
    if weight.is_meta:
        return weight.new_empty(matrix.rows, matrix.rank), weight.new_empty(matrix.rank, matrix.columns)
    u, vt = INITS[init](weight.cpu(), matrix.rank, scheme, stream(seed, "factors", matrix.name))
    # Optimizers read a parameter in its memory order. A copy is in one piece, even if it was a slice, and keeps the
    # order of rows and columns.
    return u.clone().to(weight.device), vt.clone().to(weight.device)


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Replaces, in place, every factorised matrix by the dense matrix of the same function.

    Where the module of a method is not linear, no matrix stands for it. It then derives from ``LowRankLinear`` and its
    ``product`` raises ValueError.

    Raises:
        ValueError: a module stands for no matrix.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, LowRankQKV):
            dense = QKV(module.vt.shape[1])
            weights, biases = module.product().chunk(3), module.bias
            assert biases is not None
            for linear, weight, bias in zip((dense.q, dense.k, dense.v), weights, biases.chunk(3), strict=True):
                linear.weight, linear.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
            replace(model, name, dense)
        elif isinstance(module, LowRankLinear):
            single = nn.Linear(module.vt.shape[1], module.u.shape[0], bias=False)
            single.weight = nn.Parameter(module.product())
            single.register_parameter("bias", module.bias)
            replace(model, name, single)


def dense_weight(dense: nn.Module) -> Tensor:
    """``W (m, n)`` of a module of the plan: its matrix itself, not a copy; or its three matrices below each other."""
    first, *others = [part.weight.detach() for part in linears(dense)]
    return torch.cat([first, *others]) if others else first


def bias_of(dense: nn.Module) -> Tensor | None:
    """The bias ``(m,)`` of a module of the plan, or its three biases one after another; None if it has none."""
    parts = linears(dense)
    return torch.cat([part.bias for part in parts]) if parts[0].bias is not None else None


def is_qkv(dense: nn.Module) -> bool:
    """Whether a module of the plan is the q, k and v of a self-attention together."""
    return isinstance(dense, QKV)


def linears(dense: nn.Module) -> list[nn.Linear]:
    """The matrices of a module of the plan: one, or three for a ``QKV``."""
    if isinstance(dense, QKV):
        return [dense.q, dense.k, dense.v]
    assert isinstance(dense, nn.Linear), type(dense)
    return [dense]


def replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Puts ``module`` in the place called ``name``, in the same mode (training or not)."""
    parent, _, leaf = name.rpartition(".")
    module.train(model.get_submodule(name).training)
    setattr(model.get_submodule(parent), leaf, module)
