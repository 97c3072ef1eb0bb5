"""Low-rank matrices: the product of their factors, applied."""

import pytest
import torch

from lrsms.methods.linear import LowRankLinear, LowRankQKV


def factors(rows: int, columns: int, rank: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((rows, rank), (rank, columns), (rows,))
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)


@pytest.mark.parametrize("with_bias", [True, False])
def test_applies_the_product(with_bias):
    u, vt, bias = factors(6, 5, 2)
    x = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    linear = LowRankLinear(u, vt, bias if with_bias else None)
    expected = x @ (u @ vt).T + (bias if with_bias else 0)
    torch.testing.assert_close(linear(x), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(linear.product(), u @ vt, rtol=0, atol=0)
    assert sum(parameter.numel() for parameter in linear.parameters()) == 2 * (6 + 5) + (6 if with_bias else 0)


def test_fused_q_k_and_v_share_one_projection_of_the_input():
    u, vt, bias = factors(12, 4, 3)
    qkv = LowRankQKV(u, vt, bias)
    x = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parts = qkv(x)
    assert [part.shape for part in parts] == [(2, 5, 4)] * 3
    for index, part in enumerate(parts):
        rows = slice(4 * index, 4 * index + 4)
        torch.testing.assert_close(part, x @ vt.T @ u[rows].T + bias[rows], rtol=0, atol=1e-12)


def test_prints_its_shape():
    assert repr(LowRankLinear(*factors(6, 5, 2))) == "LowRankLinear(5 -> 2 -> 6, bias=True)"
