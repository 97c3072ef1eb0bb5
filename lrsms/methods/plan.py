"""The plan: which matrices of a dense model are factorised and at which rank, before anything is changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lrsms.methods.ranks import ranks_over_depth
from lrsms.study.run import LowRank

if TYPE_CHECKING:
    from torch import nn

_BLOCK = re.compile(r"(?P<stack>\w+)\.blocks\.(?P<layer>\d+)\.(?P<part>\w+)\.(?P<rest>.+)")
_PARTS = {"feedforward_in": "feedforward", "feedforward_out": "feedforward"}
_FUSION = "fusion"  # both of its matrices share this role


@dataclass(frozen=True)
class Matrix:
    """A matrix of the dense model, and its rank if it is to be factorised.

    Attributes:
        name: module name, ``encoder.blocks.0.attention.qkv.q``.
        role: what a target names, ``encoder.attention``; outside a stack of blocks ``fusion`` or the name itself.
        stack: the stack of blocks it belongs to, ``encoder``; empty outside.
        layer: its block's index in the stack; 0 outside.
        layers: number of blocks in the stack; 1 outside.
        rows: m, outputs.
        columns: n, inputs.
        bias: number of bias parameters, which low rank keeps.
        rank: r, or None where the matrix stays dense.
    """

    name: str
    role: str
    stack: str
    layer: int
    layers: int
    rows: int
    columns: int
    bias: int
    rank: int | None = None

    @property
    def kind(self) -> str:
        """The name with its layer left out: matrices of one kind share a rank budget over depth."""
        return re.sub(r"\.blocks\.\d+\.", ".blocks.*.", self.name)

    @property
    def parameters_dense(self) -> int:
        """The matrix and its bias."""
        return self.rows * self.columns + self.bias

    @property
    def parameters(self) -> int:
        """The factors, r (m + n), and the bias; where there is no rank, the dense matrix."""
        if self.rank is None:
            return self.parameters_dense
        return self.rank * (self.rows + self.columns) + self.bias

    @property
    def break_even(self) -> float:
        """The factors hold fewer numbers than the matrix at every rank below this: mn / (m + n)."""
        return self.rows * self.columns / (self.rows + self.columns)


def by_kind(plan: Sequence[Matrix]) -> list[dict[str, Any]]:
    """The plan as plain data, short enough to keep: matrices that differ in their layer only share an entry.

    An entry has their name (with ``*`` for the layer), role, shape and break-even rank, the layers and the rank at each
    (None where it stays dense), and the sums of their parameters, dense and as trained.
    """
    kinds: dict[str, list[Matrix]] = {}
    for matrix in plan:
        kinds.setdefault(matrix.kind, []).append(matrix)
    return [
        {
            "name": kind,
            "role": members[0].role,
            "rows": members[0].rows,
            "columns": members[0].columns,
            "break_even": round(members[0].break_even, 1),
            "layers": [matrix.layer for matrix in members],
            "ranks": [matrix.rank for matrix in members],
            "parameters_dense": sum(matrix.parameters_dense for matrix in members),
            "parameters": sum(matrix.parameters for matrix in members),
        }
        for kind, members in kinds.items()
    ]


def summary(parameters: int, plan: Sequence[Matrix]) -> dict[str, Any]:
    """The content of ``plan.json``, of a model that has so many parameters as it is trained.

    ``parameters_dense`` counts its dense counterpart; ``factorised`` and ``factorised_dense`` only the matrices that
    have a rank, biases included; ``matrices`` is ``by_kind``.
    """
    factorised = sum(matrix.parameters for matrix in plan if matrix.rank is not None)
    factorised_dense = sum(matrix.parameters_dense for matrix in plan if matrix.rank is not None)
    return {
        "parameters": parameters,
        "parameters_dense": parameters - factorised + factorised_dense,
        "factorised": factorised,
        "factorised_dense": factorised_dense,
        "matrices": by_kind(plan),
    }


def make_plan(model: "nn.Module", lowrank: LowRank | None) -> list[Matrix]:
    """Every matrix of the dense model in model order, those that a target matches with their rank.

    With ``qkv: fused``, the q, k and v of a self-attention count as one matrix of three times the rows.

    Raises:
        ValueError: a target matches nothing, or a rank would leave [1, full].
    """
    return with_ranks(list_matrices(model, fused=is_fused(lowrank)), lowrank)


def is_fused(lowrank: LowRank | None) -> bool:
    """Whether the q, k and v of a self-attention count as one matrix."""
    return lowrank is not None and lowrank.qkv == "fused"


def with_ranks(matrices: list[Matrix], lowrank: LowRank | None) -> list[Matrix]:
    """The same matrices of a dense model, those that a target matches with their rank.

    Raises:
        ValueError: a target matches nothing, or a rank would leave [1, full].
    """
    if lowrank is None:
        return matrices
    fused = is_fused(lowrank)
    _check_targets(lowrank.targets, matrices)
    chosen = [matrix for matrix in matrices if any(_matches(matrix, target) for target in lowrank.targets)]
    if fused and not any(matrix.name.endswith(".qkv") for matrix in chosen):
        raise ValueError(f"'lowrank.qkv' is 'fused', but the targets {list(lowrank.targets)} reach no q, k and v")
    ranks: dict[str, int] = {}
    for kind in dict.fromkeys(matrix.kind for matrix in chosen):
        members = [matrix for matrix in chosen if matrix.kind == kind]
        full = min(members[0].rows, members[0].columns)
        depths = [matrix.layer for matrix in members]
        values = ranks_over_depth(lowrank, full, depths, members[0].layers, kind)
        ranks |= {matrix.name: rank for matrix, rank in zip(members, values, strict=True)}
    return [replace(matrix, rank=ranks.get(matrix.name)) for matrix in matrices]


def list_matrices(model: "nn.Module", fused: bool = False) -> list[Matrix]:
    """Every ``nn.Linear`` of the model; with ``fused``, each ``QKV`` as one."""
    from torch import nn  # here alone: who checks a record needs the ranks, and no PyTorch

    from lrsms.models.layers import QKV

    matrices = []
    fused_names: list[str] = []
    for name, module in model.named_modules():
        if fused and isinstance(module, QKV):
            fused_names.append(name)
            linears = [module.q, module.k, module.v]
        elif isinstance(module, nn.Linear) and not any(name.startswith(f"{parent}.") for parent in fused_names):
            linears = [module]
        else:
            continue
        block = _BLOCK.fullmatch(name)
        layers = len(model.get_submodule(f"{block['stack']}.blocks")) if block else 1  # type: ignore[arg-type]
        rows = sum(linear.out_features for linear in linears)
        bias = sum(linear.out_features for linear in linears if linear.bias is not None)
        matrices.append(named_matrix(name, layers, rows, linears[0].in_features, bias))
    return matrices


def named_matrix(name: str, layers: int, rows: int, columns: int, bias: int) -> Matrix:
    """A dense matrix, whose name says its role and its place; ``layers``: the blocks of its stack, 1 outside."""
    if block := _BLOCK.fullmatch(name):
        role = f"{block['stack']}.{_PARTS.get(block['part'], block['part'])}"
        return Matrix(name, role, block["stack"], int(block["layer"]), layers, rows, columns, bias)
    role = _FUSION if name.startswith(f"{_FUSION}.") else name
    return Matrix(name, role, "", 0, layers, rows, columns, bias)


def _check_targets(targets: Sequence[str], matrices: Sequence[Matrix]) -> None:
    for target in targets:
        if not any(_matches(matrix, target) for matrix in matrices):
            known = sorted({handle for matrix in matrices for handle in _handles(matrix)})
            near = get_close_matches(target, known, n=1)
            roles = sorted({matrix.role for matrix in matrices if matrix.role != matrix.name})
            hint = f"did you mean '{near[0]}'?" if near else f"roles: {', '.join(roles)}"
            raise ValueError(f"'lowrank.targets': '{target}' matches no matrix; {hint}")


def _matches(matrix: Matrix, target: str) -> bool:
    if matrix.role == matrix.name and target.split(".")[1:] == ["*"]:
        # ``decoder.*`` means the roles of the decoder's blocks, not its vocabulary projection.
        return False
    return any(fnmatchcase(handle, target) for handle in _handles(matrix))


def _handles(matrix: Matrix) -> list[str]:
    """What a target may call the matrix by; ``encoder.*`` also means ``audio_encoder.*`` and ``video_encoder.*``."""
    handles = [matrix.name, matrix.role]
    if matrix.name.endswith(".position"):
        handles.append(f"{matrix.role}.position")
    return handles + [re.sub("^(audio|video)_", "", handle) for handle in handles]
