"""Singular values of a trained model's matrices. They show what training made of them, beside the given rank."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lrsms.base.files import write_atomically
from lrsms.methods.plan import Matrix, kinds_of

POINTS = 33
"""Largest number of singular values that are kept for each matrix."""
ENERGY = 0.9
"""Share of the sum of squares that ``energy_ranks`` count up to."""


@torch.no_grad()
def spectra(weights: Mapping[str, Tensor], plan: Sequence[Matrix]) -> dict[str, Any]:
    """The content of ``spectra.json``: spectra of every matrix of the plan, dense or factorised, in short.

    Matrices that differ only in their layer share an entry, as in ``plan.json``, with one value per layer of

    - ``largest``: the largest singular value s_1;
    - ``stable_ranks``: sum(s^2) / s_1^2. For a matrix of independent entries, as an untrained dense matrix has, it is
      about mn / (sqrt(m) + sqrt(n))^2 (Marchenko and Pastur 1967);
    - ``effective_ranks``: exp of the entropy of s / sum(s) (Roy and Vetterli 2007, "The effective rank");
    - ``energy_ranks``: the number of largest singular values that hold ``ENERGY`` of sum(s^2);
    - ``values``: s_i / s_1 at the places ``indices[R]``. R is the number of singular values: the rank, or min(m, n) for
      a dense matrix. The places lie closer where the spectrum is steeper, at its start;
    - ``sizes``: R, but only for a method whose form has another number of singular values.

    Args:
        weights: the model's state dict, in any precision, on any device.
        plan: the plan from which the model was built.

    Returns:
        ``energy``, ``indices`` (by R as text, since JSON keys are texts) and ``matrices``; numbers have 3 or 4 digits.
    """
    entries, sizes = [], set()
    for members in kinds_of(plan):
        found = [singular_values(weights, matrix) for matrix in members]
        sizes |= {len(values) for values in found}
        entries.append(
            {
                "name": members[0].kind,
                "role": members[0].role,
                "rows": members[0].rows,
                "columns": members[0].columns,
                "layers": [matrix.layer for matrix in members],
                "ranks": [matrix.rank for matrix in members],
                **_sizes(members),
                "largest": [_rounded(values[0], 4) for values in found],
                "stable_ranks": [_rounded(stable_rank(values), 4) for values in found],
                "effective_ranks": [_rounded(effective_rank(values), 4) for values in found],
                "energy_ranks": [energy_rank(values) for values in found],
                "values": [[_rounded(x, 3) for x in _relative(values)[indices(len(values))]] for values in found],
            }
        )
    return {"energy": ENERGY, "indices": {str(size): indices(size) for size in sorted(sizes)}, "matrices": entries}


def _sizes(members: Sequence[Matrix]) -> dict[str, list[int]]:
    usual = [matrix.rank or min(matrix.rows, matrix.columns) for matrix in members]
    sizes = [matrix.num_singular_values for matrix in members]
    return {} if sizes == usual else {"sizes": sizes}


def write_spectra(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the result of ``spectra``, with one line for each kind of matrix instead of one for each number."""
    matrices = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in content["matrices"])
    rest = json.dumps({key: value for key, value in content.items() if key != "matrices"}, separators=(",", ":"))
    write_atomically(path, f'{rest[:-1]},"matrices":[\n{matrices}\n]}}\n'.encode())


def singular_values(weights: Mapping[str, Tensor], matrix: Matrix) -> Tensor:
    """The min(m, n) singular values of a dense matrix ``(m, n)``, or r for a product; float64, largest first.

    The other singular values of a product are 0. For another form, its method says how many there are.
    """
    if matrix.rank is None:
        parts = [f"{matrix.name}.{part}.weight" for part in "qkv"]
        fused = parts[0] in weights
        weight = torch.cat([weights[part] for part in parts]) if fused else weights[f"{matrix.name}.weight"]
        assert weight.shape == (matrix.rows, matrix.columns), matrix.name
        return torch.linalg.svdvals(_exact(weight))
    return matrix.method.singular_values(weights, matrix)


def factor_singular_values(u: Tensor, vt: Tensor) -> Tensor:
    """The r singular values of ``U (m, r) V^T (r, n)``; float64, largest first.

    With U = Q_u R_u and V = Q_v R_v, they are the singular values of R_u R_v^T, which is at most r x r. So the product
    itself is never formed.
    """
    u, vt = _exact(u), _exact(vt)
    assert u.shape[1] == vt.shape[0], (u.shape, vt.shape)
    return torch.linalg.svdvals(torch.linalg.qr(u, mode="r").R @ torch.linalg.qr(vt.T, mode="r").R.T)


def stable_rank(values: Tensor) -> float:
    """sum(s^2) / max(s)^2: at most the rank; 0 for a matrix of zeros."""
    return float((_relative(values) ** 2).sum())


def effective_rank(values: Tensor) -> float:
    """exp(H(p)), p = s / sum(s) (Roy and Vetterli 2007): R if all R values are equal; 0 for a matrix of zeros."""
    if not values.any():
        return 0.0
    return float(torch.special.entr(values / values.sum()).sum().exp())


def energy_rank(values: Tensor, energy: float = ENERGY) -> int:
    """The least number of largest singular values with at least this share of sum(s^2); 0 for a matrix of zeros."""
    squares = (_relative(values) ** 2).cumsum(0)
    # A sum that should equal the share exactly may be a rounding error below it.
    return int((squares < energy * squares[-1] * (1 - 1e-12)).sum()) + bool(values.any())


def indices(size: int) -> list[int]:
    """The kept places of a spectrum of ``size`` values: from 0 to size - 1, growing with the square."""
    return sorted({round((size - 1) * (point / (POINTS - 1)) ** 2) for point in range(POINTS)})


def _relative(values: Tensor) -> Tensor:
    return values / values[0] if values[0] > 0 else values


def _exact(weight: Tensor) -> Tensor:
    return weight.to("cpu", torch.float64)


def _rounded(value: Tensor | float, digits: int) -> float:
    """Values rounded to so many significant digits."""
    return float(f"{float(value):.{digits}g}")
