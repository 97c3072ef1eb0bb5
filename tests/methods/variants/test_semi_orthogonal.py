"""Facts about semi-orthogonal factors: what one correction does, where corrections lead, and when they are made."""

import pytest
import torch
from stepping import CASES, LOWRANK, run_of, stepped

from lrsms.base.random_streams import stream
from lrsms.base.strict import parse
from lrsms.methods.product import factors
from lrsms.methods.variants.semi_orthogonal import correct
from lrsms.study.lowrank import LowRank


def of_singular_values(values: torch.Tensor, columns: int = 20) -> torch.Tensor:
    generator = stream(1, "test")
    size = len(values)
    left, right = (
        torch.linalg.qr(torch.randn(rows, size, generator=generator, dtype=torch.float64)).Q for rows in (size, columns)
    )
    return left * values @ right.mT


@pytest.mark.parametrize(
    ("values", "slower"),
    [([1.0, 1.1, 0.95], 1), ([1.0, 1.1, 0.9], 1 / 2), ([1.0, 1.5, 0.5], 1 / 4), ([3.0, 0.1, 0.01], 1 / 4)],
)
def test_a_correction_moves_singular_values_by_its_formula(values, slower):
    x = torch.tensor(values, dtype=torch.float64)
    m = of_singular_values(x)
    correct(m, 0.125)
    s2 = (x**4).sum() / (x**2).sum()
    expected = x - slower / 2 * x * (x**2 / s2 - 1)
    torch.testing.assert_close(torch.linalg.svdvals(m), expected.sort(descending=True).values)


def test_a_correction_is_a_step_of_gradient_descent_that_is_orthogonal_to_the_matrix():
    m = of_singular_values(torch.tensor([1.0, 1.05, 0.98], dtype=torch.float64)).requires_grad_()
    p = (m @ m.mT).detach()
    s2 = p.square().sum() / p.trace()
    (m @ m.mT / s2 - torch.eye(3)).square().sum().backward()
    corrected = m.detach().clone()
    correct(corrected, 0.125)
    assert m.grad is not None
    torch.testing.assert_close(corrected, (m - 0.125 * s2 * m.grad).detach())
    assert float(((corrected - m.detach()) * m.detach()).sum()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_rows_become_orthogonal_and_of_one_length(spread):
    """From singular values that differ by a factor of e^spread either way."""
    m = of_singular_values(torch.exp(spread * torch.linspace(-1, 1, 8, dtype=torch.float64)))
    for _ in range(200):
        correct(m, 0.125)
    p = m @ m.mT
    torch.testing.assert_close(p / p.trace() * 8, torch.eye(8).double())


def test_a_large_value_among_many_small_ones_does_not_grow():
    """Where s^2 is far below the largest x^2, and the correction overshoots most."""
    m = of_singular_values(torch.tensor([1.0] + [0.4] * 60, dtype=torch.float64), 80)
    for _ in range(100):
        before = float(torch.linalg.matrix_norm(m, 2))
        correct(m, 0.125)
        assert float(torch.linalg.matrix_norm(m, 2)) <= before * (1 + 1e-12)


def test_what_is_orthogonal_or_zero_stays_as_it_is():
    for m in (of_singular_values(torch.full((6,), 3.0, dtype=torch.float64)), torch.zeros(3, 5)):
        corrected = m.clone()
        correct(corrected, 0.125)
        torch.testing.assert_close(corrected, m)


@CASES
def test_until_the_first_correction_it_is_plain_low_rank_to_the_bit(optimizer, model):
    plain = run_of(None, optimizer, **model)
    own = run_of({"name": "semi_orthogonal", "every": 3}, optimizer, **model)
    torch.testing.assert_close(stepped(own, 2).model.state_dict(), stepped(plain, 2).model.state_dict(), rtol=0, atol=0)
    expected, found = stepped(plain, 3), stepped(own, 3)
    with torch.no_grad():
        for _, vt in factors(expected.model, expected.plan):
            correct(vt, 0.125)
    torch.testing.assert_close(found.model.state_dict(), expected.model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(("field", "value"), [("every", 0), ("alpha", 0.25), ("alpha", 0), ("beta", 1)])
def test_what_would_not_converge_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        parse(LowRank, LOWRANK | {"method": {"name": "semi_orthogonal", field: value}}, "test")
