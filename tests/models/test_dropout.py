import math

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from lrsms.models.dropout import Dropout, keep_mask

COUNT = 400_000


def drawn(probability, count=COUNT, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return keep_mask(torch.empty(count, dtype=dtype), probability)


@pytest.mark.parametrize("probability", [0.05, 0.1, 0.25, 0.5, 0.9])
def test_the_share_of_zeros_is_the_probability_and_the_mean_stays(probability):
    mask = drawn(probability)
    kept = (mask != 0).double()
    error = math.sqrt(probability * (1 - probability) / COUNT)
    assert kept.mean().item() == pytest.approx(1 - probability, abs=4 * error)
    scale = mask[mask != 0].unique()
    assert scale.numel() == 1
    level = round(probability * 2**16)
    assert scale.item() == 1 / (1 - level / 2**16)  # so the mean is 1 exactly: (1 - q) / (1 - q)
    assert abs(level / 2**16 - probability) <= 2**-17


@pytest.mark.parametrize("reference", [drawn, lambda p: F.dropout(torch.ones(COUNT, dtype=torch.float64), p)])
def test_numbers_are_independent_of_their_neighbours_as_those_of_pytorch_are(reference):
    """Four neighbours share a draw: each of the 16 patterns that four can have must be as frequent as the product."""
    torch.manual_seed(3)
    kept = (reference(0.3) != 0).long().view(-1, 4)
    patterns = (kept * torch.tensor([8, 4, 2, 1])).sum(1).bincount(minlength=16)
    ones = torch.arange(16).unsqueeze(1).bitwise_and(torch.tensor([8, 4, 2, 1])).ne(0).sum(1)
    expected = COUNT / 4 * 0.7**ones * 0.3 ** (4 - ones)
    assert stats.chisquare(patterns.numpy(), expected.numpy(), sum_check=False).pvalue > 1e-3
    for lag in (1, 2, 4, 8):
        flat = kept.flatten().double()
        both = (flat[:-lag] * flat[lag:]).mean().item()
        assert both == pytest.approx(0.49, abs=4 * math.sqrt(0.49 * 0.51 / COUNT) + 1e-3)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_and_type_stay_and_the_gradient_is_the_mask(shape, dtype):
    x = torch.ones(shape, dtype=dtype, requires_grad=True)
    y = Dropout(0.5)(x)
    assert y.shape == x.shape and y.dtype == dtype
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert set(y.flatten().tolist()) <= {0.0, 2.0}


def test_a_seed_draws_the_same_mask_and_the_next_draw_is_another():
    assert torch.equal(drawn(0.5, 64), drawn(0.5, 64))
    first = drawn(0.5, 64)
    assert not torch.equal(first, keep_mask(torch.empty(64, dtype=torch.float64), 0.5))
    assert not torch.equal(first, drawn(0.5, 64, seed=1))


@pytest.mark.parametrize("layer", [Dropout(0.5).eval(), Dropout(0.0)], ids=["eval mode", "probability 0"])
def test_where_nothing_is_dropped_the_tensor_itself_is_returned(layer):
    x = torch.randn(3)
    assert layer(x) is x


def test_a_probability_next_to_one_keeps_a_finite_scale():
    assert torch.isfinite(drawn(1 - 1e-9)).all()
