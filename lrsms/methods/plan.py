"""The plan: which matrices of a dense model are factorised and at which rank, before anything is changed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lrsms.base.hints import did_you_mean
from lrsms.methods.ranks import ranks_over_depth
from lrsms.study.files_as_values import PLAIN
from lrsms.study.lowrank import LowRank
from lrsms.study.method import Method

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Matrix:
    """A matrix of the dense model, and its rank if it is to be factorised.

    Attributes:
        name: module name, ``encoder.blocks.0.attention.qkv.q``.
        role: the name that targets use, ``encoder.attention``, as its block declares it; outside blocks, its name.
        stack: the stack of blocks it belongs to, ``encoder``; empty outside.
        layer: its block's index in the stack, in which blocks of inner stacks count too; 0 outside.
        layers: number of blocks in the stack; 1 outside.
        rows: m, outputs.
        columns: n, inputs.
        bias: number of bias parameters, which low rank keeps.
        rank: r, or None where the matrix stays dense.
        kind: the name with ``*`` for the layer. Matrices of one kind share a rank budget over depth. Empty: the name.
        method: the method that replaces the matrix, if it has a rank.
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
    kind: str = ""
    method: Method = PLAIN

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", self.kind or self.name)

    @property
    def parameters_dense(self) -> int:
        """Parameters of the dense matrix and its bias."""
        return self.rows * self.columns + self.bias

    @property
    def parameters(self) -> int:
        """Parameters at the end of training, with the bias: r (m + n) for plain low rank, m n without a rank."""
        if self.rank is None:
            return self.parameters_dense
        return self.method.parameters(self.rows, self.columns, self.rank) + self.bias

    @property
    def operations(self) -> int:
        """Multiply-adds for one input vector at the end of training."""
        if self.rank is None:
            return self.rows * self.columns
        return self.method.operations(self.rows, self.columns, self.rank)

    @property
    def num_singular_values(self) -> int:
        """Number of singular values in its spectrum: min(m, n) for a dense matrix, r for plain low rank."""
        if self.rank is None:
            return min(self.rows, self.columns)
        return self.method.num_singular_values(self.rows, self.columns, self.rank)

    @property
    def break_even(self) -> float:
        """The factors hold fewer numbers than the matrix at every rank below this: mn / (m + n)."""
        return self.rows * self.columns / (self.rows + self.columns)


def by_kind(plan: Sequence[Matrix]) -> list[dict[str, Any]]:
    """The plan as plain data, short enough to keep: matrices that differ only in their layer share an entry.

    An entry has their name (with ``*`` for the layer), role, shape and break-even rank, the layers and the rank at each
    (None where it stays dense), and the sums of their parameters, dense and as trained.
    """
    return [
        {
            "name": members[0].kind,
            "role": members[0].role,
            "rows": members[0].rows,
            "columns": members[0].columns,
            "break_even": round(members[0].break_even, 1),
            "layers": [matrix.layer for matrix in members],
            "ranks": [matrix.rank for matrix in members],
            "parameters_dense": sum(matrix.parameters_dense for matrix in members),
            "parameters": sum(matrix.parameters for matrix in members),
        }
        for members in kinds_of(plan)
    ]


def kinds_of(plan: Sequence[Matrix]) -> list[list[Matrix]]:
    """The matrices of each kind and shape, in the order of the plan."""
    kinds: dict[tuple[str, int, int], list[Matrix]] = {}
    for matrix in plan:
        kinds.setdefault((matrix.kind, matrix.rows, matrix.columns), []).append(matrix)
    return list(kinds.values())


def summary(parameters: int, plan: Sequence[Matrix]) -> dict[str, Any]:
    """The content of ``plan.json`` for a model with so many ``parameters`` at the end of training.

    ``parameters_dense`` counts its dense counterpart. ``factorised`` and ``factorised_dense`` count only the matrices
    that have a rank, with their biases. ``matrices`` is ``by_kind``.
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
    """Every matrix of the dense model in model order; a matrix that a target matches has its rank.

    With ``qkv: fused``, the q, k and v of a self-attention count as one matrix of three times the rows.

    Raises:
        ValueError: a target matches nothing, or a rank would leave [1, full].
    """
    from lrsms.methods.matrices import list_matrices  # only here: readers of a record need ranks, but no PyTorch

    return with_ranks(list_matrices(model, fused=is_fused(lowrank)), lowrank)


def is_fused(lowrank: LowRank | None) -> bool:
    """Whether the q, k and v of a self-attention count as one matrix."""
    return lowrank is not None and lowrank.qkv == "fused"


def with_ranks(matrices: list[Matrix], lowrank: LowRank | None) -> list[Matrix]:
    """The same matrices of a dense model; a matrix that a target matches has its rank.

    Raises:
        ValueError: one line: a target matches nothing or is ambiguous, targets of different ratios reach one matrix, a
            rank would leave [1, full], a mapping over depth reaches a matrix that has none, or the method refuses one.
    """
    if lowrank is None:
        return matrices
    fused = is_fused(lowrank)
    _check_targets(lowrank.targets, matrices)
    chosen = [matrix for matrix in matrices if any(_matches(matrix, target) for target in lowrank.targets)]
    if fused and not any(matrix.name.endswith(".qkv") for matrix in chosen):
        raise ValueError(f"'lowrank.qkv' is 'fused', but the targets {list(lowrank.targets)} reach no q, k and v")
    ratios = {matrix.name: _ratio(lowrank, matrix) for matrix in chosen}
    if lowrank.mapping != "uniform":
        _check_depth(lowrank, chosen, ratios)
    ranks: dict[str, int] = {}
    for kind in kinds_of(chosen):
        for ratio in dict.fromkeys(ratios[matrix.name] for matrix in kind):
            members = [matrix for matrix in kind if ratios[matrix.name] == ratio]
            full = min(members[0].rows, members[0].columns)
            depths = [matrix.layer for matrix in members]
            values = ranks_over_depth(lowrank, ratio, full, depths, members[0].layers, members[0].kind)
            ranks |= {matrix.name: rank for matrix, rank in zip(members, values, strict=True)}
    planned = [replace(matrix, rank=ranks.get(matrix.name), method=lowrank.acting_method) for matrix in matrices]
    for matrix in planned:
        if matrix.rank is not None:
            matrix.method.refuse_matrix(matrix)
    return planned


def _ratio(lowrank: LowRank, matrix: Matrix) -> float:
    """That of the targets which reach the matrix: these must not have several."""
    reached_by: dict[float, str] = {}
    for target in lowrank.targets:
        if _matches(matrix, target):
            reached_by.setdefault(lowrank.ratio_of(target), target)
    if len(reached_by) > 1:
        (one, first), (other, second) = list(reached_by.items())[:2]
        raise ValueError(
            f"'lowrank.ratio': '{matrix.name}' would have {one:g} of target '{first}' and {other:g} of target"
            f" '{second}'; name it by one target only"
        )
    return next(iter(reached_by))


def _check_targets(targets: Sequence[str], matrices: Sequence[Matrix]) -> None:
    for target in targets:
        if not any(_matches(matrix, target) for matrix in matrices):
            known = sorted({handle for matrix in matrices for handle in _handles(matrix).values()})
            roles = sorted({matrix.role for matrix in matrices if matrix.role != matrix.name})
            group = [f"{target}.*"] if any(name.startswith(f"{target}.") for name in known) else known
            hint = did_you_mean(target, group, f"roles: {', '.join(roles)}")
            raise ValueError(f"'lowrank.targets': '{target}' matches no matrix; {hint}")

    for target in targets:
        _check_is_clear(target, matrices)


def _check_is_clear(target: str, matrices: Sequence[Matrix]) -> None:
    """Refuses a target without wildcards that is the name of one matrix and the role of others."""
    ways: dict[str, Matrix] = {}
    for matrix in matrices:
        way = next((way for way, handle in _handles(matrix).items() if handle == target), None)
        if way is not None and _matches(matrix, target):
            ways.setdefault(way, matrix)
    if len(ways) > 1:
        (one, first), (other, second) = list(ways.items())[:2]
        raise ValueError(
            f"'lowrank.targets': '{target}' is ambiguous: it is the {one} of '{first.name}' and the {other} of"
            f" '{second.name}'; use names or a pattern, such as '{first.kind}'"
        )


def _check_depth(lowrank: LowRank, chosen: Sequence[Matrix], ratios: Mapping[str, float]) -> None:
    """Refuses a mapping over depth for matrices that have no depth, or whose layers cannot share a budget.

    Args:
        lowrank: the mapping.
        chosen: the matrices that have a rank.
        ratios: the ratio of each, by name.
    """
    for matrix in chosen:
        if not matrix.stack:
            raise ValueError(
                f"'lowrank.mapping' is '{lowrank.mapping}', but '{matrix.name}' is in no stack of blocks and has no"
                " depth; leave it out of 'lowrank.targets', or use mapping 'uniform'"
            )
    shapes: dict[str, Matrix] = {}
    for matrix in chosen:
        first = shapes.setdefault(matrix.kind, matrix)
        if (first.rows, first.columns) != (matrix.rows, matrix.columns):
            raise ValueError(
                f"'lowrank.mapping' is '{lowrank.mapping}', but '{first.name}' is {first.rows} x {first.columns} and"
                f" '{matrix.name}' is {matrix.rows} x {matrix.columns}: matrices of different shapes share no budget of"
                " ranks; name those of one shape, or use mapping 'uniform'"
            )
        if ratios[first.name] != ratios[matrix.name]:
            raise ValueError(
                f"'lowrank.mapping' is '{lowrank.mapping}', but 'lowrank.ratio' has {ratios[first.name]:g} for"
                f" '{first.name}' and {ratios[matrix.name]:g} for '{matrix.name}': layers of different ratios share no"
                " budget of ranks; give them one ratio, or use mapping 'uniform'"
            )


def _matches(matrix: Matrix, target: str) -> bool:
    if matrix.role == matrix.name and target.split(".")[1:] == ["*"]:
        # ``decoder.*`` means the roles of the decoder's blocks, not its vocabulary projection.
        return False
    return any(fnmatchcase(handle, target) for handle in _handles(matrix).values())


def _handles(matrix: Matrix) -> dict[str, str]:
    """Names of the matrix for targets; ``encoder.*`` also means ``audio_encoder.*`` and ``video_encoder.*``."""
    handles = {"name": matrix.name, "role": matrix.role}
    if matrix.name.endswith(".position"):
        handles["part of a role"] = f"{matrix.role}.position"
    return handles | {f"{way}, of each modality": re.sub("^(audio|video)_", "", it) for way, it in handles.items()}
