"""Two block-diagonal factors with a permutation between them: ``y = L P R x``, of up to full rank.

Dao et al. 2022, "Monarch: expressive structured matrices for efficient and accurate training" (arXiv 2204.00595); with
other structured matrices in Qiu et al. 2024, "Compute better spent" (arXiv 2406.06248).

Each factor has k blocks. A block of ``R`` is ``(r, n/k)`` and a block of ``L`` is ``(m/k, r)``, where r is the rank
that ``U V^T`` would have. So it has as many parameters and multiply-adds as ``U V^T``, ``r (m + n)``, but its rank is
up to ``k r``. P moves number j of block i to place ``j k + i``, so every block of L reads from every block of R.
With one block it is ``U V^T`` itself. Seen as k x k blocks of ``(m/k, n/k)``, block (g, i) is a product of rank about
r/k.

k must divide m and n, and r must be at least k; anything else is refused. Training starts from the Monarch matrix
nearest to the dense initial W, which is the truncated SVD of each block. ``u (m, r)`` holds the blocks of L below each
other, and ``vt (r, n)`` those of R beside each other. An optimizer treats each as one matrix.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from lrsms.methods.form import Form
from lrsms.study.bounds import Blocks
from lrsms.study.method import Planned

if TYPE_CHECKING:
    from torch import Tensor

    from lrsms.methods.linear import FormLinear
    from lrsms.study.run import Run


class Monarch(Form):
    """``L P R``, with ``blocks`` blocks in L and in R."""

    name: Literal["monarch"]
    blocks: Blocks = 4
    """k, the number of blocks of each factor."""
    own_start: ClassVar[str] = "starts as the nearest such matrix to the dense one"

    def refuse_matrix(self, matrix: Planned) -> None:
        """Refuses shapes that k does not divide, and ranks below k."""
        what = f"method '{self}' has '{matrix.name}', {matrix.rows} x {matrix.columns}"
        if matrix.rows % self.blocks or matrix.columns % self.blocks:
            raise ValueError(
                f"{what}, which {self.blocks} blocks do not divide; leave it out of 'lowrank.targets', or set"
                " 'blocks' to a divisor of both"
            )
        assert matrix.rank is not None
        if matrix.rank < self.blocks:
            raise ValueError(
                f"{what}, at rank {matrix.rank}: {self.blocks} blocks need rank {self.blocks} at least, or some outputs"
                " would not see some inputs; use a larger ratio or fewer blocks"
            )

    def initial(self, weight: "Tensor", matrix: Planned, run: "Run") -> "dict[str, Tensor]":
        """The truncated SVD of each of the k x k blocks of W."""
        from lrsms.base.random_streams import stream
        from lrsms.methods.inits.spectral import factors

        assert matrix.rank is not None
        k, r = self.blocks, matrix.rank
        grid = weight.reshape(k, matrix.rows // k, k, matrix.columns // k)
        u, vt = weight.new_zeros(k, matrix.rows // k, r), weight.new_zeros(r, k, matrix.columns // k)
        for g, i, written, read in paths(k, r):
            # At full rank, a block of R and a block of L may share more places than the block has singular values.
            rank = min(len(read), *grid[g, :, i].shape)
            left, right = factors(grid[g, :, i], rank, run.model.initialiser, stream(run.seed, "factors", matrix.name))
            u[g, :, written[:rank]] = left
            vt[read[:rank], i] = right
        return {"u": u.flatten(0, 1), "vt": vt.flatten(1)}

    def forward(self, layer: "FormLinear", x: "Tensor") -> "Tensor":
        """``L P R x + b``: two batches of k products."""
        k, r = self.blocks, layer.u.shape[1]
        right = layer.vt.view(r, k, -1).permute(1, 2, 0)  # (k, n/k, r)
        left = layer.u.view(k, -1, r).mT  # (k, r, m/k)
        hidden = x.reshape(-1, k, right.shape[1]).transpose(0, 1) @ right  # (k, N, r)
        permuted = hidden.permute(1, 2, 0).reshape(-1, k, r).transpose(0, 1)
        y = (permuted @ left).transpose(0, 1).reshape(*x.shape[:-1], -1)
        return y if layer.bias is None else y + layer.bias

    def dense(self, parts: "Mapping[str, Tensor]") -> "Tensor":
        """``L P R``, block by block."""
        k, r = self.blocks, parts["u"].shape[1]
        u, vt = parts["u"].view(k, -1, r), parts["vt"].view(r, k, -1)
        w = u.new_zeros(k, u.shape[1], k, vt.shape[2])
        for g, i, written, read in paths(k, r):
            w[g, :, i] = u[g][:, written] @ vt[read, i]
        return w.flatten(2).flatten(0, 1)


def paths(k: int, r: int) -> list[tuple[int, int, list[int], list[int]]]:
    """The places where P joins block g of L with block i of R: columns of L's block, and the rows of R's they read."""
    places = range(k * r)
    return [
        (g, i, [place % r for place in joined], [place // k for place in joined])
        for g in range(k)
        for i in range(k)
        if (joined := [place for place in places if place // r == g and place % k == i])
    ]
