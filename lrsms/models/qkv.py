"""The query, key and value projections of a self-attention, as one module so that low rank may replace all three at once."""

from torch import Tensor, nn


class QKV(nn.Module):
    """Three separate matrices applied to the same input.

    Args:
        dim: width of the input and of each projection.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps ``(B, T, D)`` to queries, keys and values, each ``(B, T, D)``."""
        return self.q(x), self.k(x), self.v(x)
