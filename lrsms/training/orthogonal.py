"""Approximates the nearest orthogonal matrix by Newton-Schulz iterations, which need only matrix products (Muon).

If ``X = U S V^T`` has singular values S, the nearest matrix whose singular values are all 1 is ``U V^T``. An odd
polynomial of X leaves U and V as they are and maps each singular value s to ``a s + b s^3 + c s^5``. Jordan et al.
(2024, "Muon: an optimizer for hidden layers in neural networks", kellerjordan.github.io/posts/muon) chose a, b and c so
that small singular values grow fast. So the iteration does not converge to 1. After five iterations, all singular
values that were above 0.002 of the norm lie between 0.68 and 1.21. The authors found that training is as good as with
exact ones.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""The coefficients a, b and c."""
AT_A_TIME = 2**24
"""At most this many numbers are orthogonalised at a time, unless one matrix has more: 64 MiB of float32."""


def newton_schulz(matrices: Tensor, iterations: int) -> Tensor:
    """``(B, m, n)``: nearly ``U V^T`` for each of ``matrices (B, m, n)``, m <= n; zeros for a matrix of zeros.

    Each is first divided by its Frobenius norm, which is at least its largest singular value. So its scale does not
    matter.
    """
    a, b, c = COEFFICIENTS
    norms = torch.linalg.matrix_norm(matrices, keepdim=True)
    x = matrices / norms.clamp(min=torch.finfo(matrices.dtype).tiny)
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def orthogonalise(matrices: Sequence[Tensor], iterations: int, dtype: torch.dtype | None = None) -> list[Tensor]:
    """``newton_schulz`` of matrices ``(m, n)`` of any shapes. Matrices of equal shape are computed together, because
    the products of one matrix may be too small to fill a GPU.

    Args:
        matrices: the matrices, in any memory order.
        iterations: number of iterations.
        dtype: type in which products are computed; None: the type of each matrix.

    Returns:
        The results, in the shape and type of each matrix.
    """
    found: dict[int, Tensor] = {}
    for members in batches(matrices):
        first = matrices[members[0]]
        is_tall = first.shape[0] > first.shape[1]
        stack = torch.stack([matrices[index].mT if is_tall else matrices[index] for index in members])
        results = newton_schulz(stack.to(dtype or first.dtype), iterations).to(first.dtype)
        found |= dict(zip(members, results.mT if is_tall else results, strict=True))
    return [found[index] for index in range(len(matrices))]


def multiply_adds(shape: torch.Size, iterations: int) -> int:
    """Multiply-adds of ``newton_schulz`` for one matrix: ``2 m^2 n + m^3`` in each iteration, m <= n."""
    short, long = sorted(shape)
    return iterations * (2 * short**2 * long + short**3)


def traffic(shape: torch.Size, iterations: int) -> int:
    """Numbers that ``newton_schulz`` reads and writes for one matrix.

    Before the iterations, it reads x for the norm, and reads and writes it to divide. Each iteration reads x for its
    Gram matrix, reads x twice for the last product (as a factor and as a term) and writes the result. It writes the
    Gram matrix, reads it twice, and writes and reads its polynomial.
    """
    short, long = sorted(shape)
    return 3 * short * long + iterations * (4 * short * long + 5 * short**2)


def spectral_norms(matrices: Sequence[Tensor], vectors: Sequence[Tensor], iterations: int) -> list[Tensor]:
    """Estimates the largest singular value of matrices ``(m, n)`` from below, by iterations of the power method.

    Args:
        matrices: the matrices.
        vectors: ``(n,)`` for each matrix, the start. They are replaced by the end of the iteration, near the first
            right singular vector. So the next call needs few iterations if a matrix has changed little.
        iterations: at least 1.

    Returns:
        A zero-dimensional tensor for each matrix. It does not wait for the device.
    """
    found: dict[int, Tensor] = {}
    for members in batches(matrices):
        stack = torch.stack([matrices[index] for index in members])
        right = torch.stack([vectors[index] for index in members]).unsqueeze(2)
        for _ in range(iterations):
            right = torch.nn.functional.normalize(stack.mT @ (stack @ right), dim=1)
        for index, vector in zip(members, right.squeeze(2), strict=True):
            vectors[index].copy_(vector)
        found |= dict(zip(members, torch.linalg.vector_norm(stack @ right, dim=(1, 2)), strict=True))
    return [found[index] for index in range(len(matrices))]


def batches(matrices: Sequence[Tensor]) -> Iterator[list[int]]:
    """Indices of matrices of one shape, in lists of at most ``AT_A_TIME`` numbers, or of one matrix."""
    by_shape: dict[torch.Size, list[int]] = {}
    for index, matrix in enumerate(matrices):
        by_shape.setdefault(matrix.shape, []).append(index)
    for shape, members in by_shape.items():
        most = max(1, AT_A_TIME // shape.numel())
        yield from (members[start : start + most] for start in range(0, len(members), most))
