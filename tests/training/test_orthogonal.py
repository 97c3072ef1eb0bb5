"""Newton-Schulz iterations: singular vectors as they were, singular values as the polynomial maps them."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lrsms.training import orthogonal
from lrsms.training.orthogonal import COEFFICIENTS, multiply_adds, newton_schulz, orthogonalise, spectral_norms

SHAPES = [(7, 7), (5, 12), (12, 5), (1, 6), (6, 1)]


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mapped(values: torch.Tensor, iterations: int) -> torch.Tensor:
    """The polynomial of single numbers."""
    a, b, c = COEFFICIENTS
    for _ in range(iterations):
        values = a * values + b * values**3 + c * values**5
    return values


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("iterations", [0, 1, 5])
def test_singular_vectors_stay_and_singular_values_are_those_of_the_polynomial(shape, iterations):
    matrix = random(*shape)
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    (found,) = orthogonalise([matrix], iterations)
    torch.testing.assert_close(found, u * mapped(s / s.norm(), iterations) @ vt, rtol=1e-10, atol=1e-12)


def test_from_two_thousandths_of_the_norm_on_a_singular_value_ends_near_one():
    """As the docstring says: the coefficients do not converge to 1, and this is how far they stay away."""
    found = mapped(torch.logspace(-4, 0, 100_001, dtype=torch.float64), 5)
    s = torch.logspace(-4, 0, 100_001, dtype=torch.float64)
    assert found[s >= 0.002].min() > 0.68 and found[s >= 0.002].max() < 1.21
    assert found[s < 0.001].max() < 0.68


@pytest.mark.parametrize("shape", [(40, 40), (30, 90)])
def test_it_is_the_nearest_orthogonal_matrix_within_that_error(shape):
    matrix = random(*shape)
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    assert s[-1] / s.norm() > 0.002 or shape == (40, 40)
    (found,) = orthogonalise([matrix], 5)
    away = torch.linalg.matrix_norm(found - u @ vt, 2)
    assert away == pytest.approx(float((mapped(s / s.norm(), 5) - 1).abs().max()), rel=1e-9)
    if shape == (30, 90):
        assert away < 0.33


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_scale_does_not_matter_and_zeros_stay(dtype):
    matrix = random(6, 9).to(dtype)
    (found,) = orthogonalise([matrix], 5)
    for scale in (2.0**-20, 2.0**30):
        assert torch.equal(orthogonalise([matrix * scale], 5)[0], found)
    assert torch.equal(orthogonalise([-matrix], 5)[0], -found)
    assert torch.equal(orthogonalise([torch.zeros_like(matrix)], 5)[0], torch.zeros_like(matrix))


def test_many_at_once_are_as_each_by_itself_however_they_lie(monkeypatch):
    matrices = [random(*shape, seed=number) for number, shape in enumerate(SHAPES * 3)]
    matrices += [matrix.mT.contiguous().mT for matrix in matrices]  # column by column
    expected = []
    for matrix in matrices:
        is_tall = matrix.shape[0] > matrix.shape[1]
        result = newton_schulz((matrix.mT if is_tall else matrix)[None], 5)[0]
        expected.append(result.mT if is_tall else result)
    for most in (orthogonal.AT_A_TIME, 130, 1):
        monkeypatch.setattr(orthogonal, "AT_A_TIME", most)
        torch.testing.assert_close(orthogonalise(matrices, 5), expected, rtol=1e-12, atol=1e-13)


def test_products_of_another_precision_leave_the_type_and_are_less_exact():
    matrix = random(20, 30).float()
    (exact,), (rough,) = orthogonalise([matrix], 5), orthogonalise([matrix], 5, torch.bfloat16)
    assert rough.dtype == torch.float32 and not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_multiply_adds_are_those_that_pytorch_counts(shape):
    with FlopCounterMode(display=False) as counter:
        orthogonalise([random(*shape)], 3)
    assert counter.get_total_flops() / 2 == multiply_adds(torch.Size(shape), 3)


@pytest.mark.parametrize("shapes", [SHAPES, [(9, 4)] * 3])
def test_the_power_method_finds_the_largest_singular_value_from_below(shapes):
    matrices = [random(*shape, seed=number) for number, shape in enumerate(shapes)]
    exact = [torch.linalg.matrix_norm(matrix, 2) for matrix in matrices]
    vectors = [torch.ones(shape[1], dtype=torch.float64) for shape in shapes]
    for iterations in (1, 200):
        found = spectral_norms(matrices, vectors, iterations)
        assert all(norm <= largest * (1 + 1e-12) for norm, largest in zip(found, exact, strict=True))
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=0)
    for matrix, vector, largest in zip(matrices, vectors, exact, strict=True):  # and goes on from there
        assert float((matrix @ vector).norm()) == pytest.approx(float(largest), rel=1e-6)
    torch.testing.assert_close(spectral_norms(matrices, vectors, 1), exact, rtol=1e-6, atol=0)
