"""Fusion: what is heard and what is seen, frame by frame, through two matrices."""

import pytest
import torch
import torch.nn.functional as F
from small import lived_in

from lrsms.models.fusion import Fusion
from lrsms.models.initial import initialise
from lrsms.models.norm import update_running_statistics

MASK = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])


@pytest.fixture
def fusion() -> Fusion:
    fusion = Fusion(dim=4, inner=7)
    initialise(fusion, 1, "default")
    lived_in(fusion).eval()
    return fusion


@pytest.fixture
def heard_and_seen() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(0)


def test_equals_its_definition(fusion, heard_and_seen):
    heard, seen = heard_and_seen
    norm = fusion.norm
    x = heard @ fusion.hidden.weight[:, :4].T + seen @ fusion.hidden.weight[:, 4:].T + fusion.hidden.bias
    x = (x - norm.running_mean) * (norm.running_var + 1e-5).rsqrt() * norm.weight + norm.bias
    expected = F.relu(x) @ fusion.out.weight.T + fusion.out.bias
    torch.testing.assert_close(fusion(heard, seen, MASK), expected, rtol=0, atol=1e-12)


def test_in_training_only_valid_frames_count(fusion, heard_and_seen):
    heard, seen = heard_and_seen
    fusion.train()
    output = fusion(heard, seen, MASK)[~MASK]
    packed = fusion(heard[~MASK][None], seen[~MASK][None], torch.zeros(1, 8, dtype=torch.bool))[0]
    torch.testing.assert_close(output, packed, rtol=0, atol=1e-12)
    before = fusion.norm.running_mean.clone()
    update_running_statistics(fusion)
    hidden = fusion.hidden(torch.cat([heard, seen], -1))[~MASK]
    torch.testing.assert_close(fusion.norm.running_mean, 0.9 * before + 0.1 * hidden.mean(0), rtol=0, atol=1e-12)


def test_has_the_parameters_of_auto_avsr():
    with torch.device("meta"):
        fusion = Fusion(768, 8192)
    assert sum(parameter.numel() for parameter in fusion.parameters()) == 18_899_712
