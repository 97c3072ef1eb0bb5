"""Dense initial weights: the variances that the initialisers are known by, and a stream for each tensor."""

import math

import pytest
import torch
from small import SIZE, small_model
from torch import nn

from lrsms.base.random_streams import stream
from lrsms.models.initial import fill_matrix, initialise
from lrsms.models.recognizer import build

VARIANCES = {"default": 1 / (3 * 200), "glorot": 2 / (300 + 200), "he": 2 / 200}


@pytest.mark.parametrize("scheme", list(VARIANCES))
def test_variance_of_a_matrix(scheme):
    weight = torch.empty(300, 200)
    fill_matrix(weight, scheme, stream(1, "test"))
    # 60,000 numbers: their sample variance has a standard error under 0.6% of the variance.
    assert weight.var().item() == pytest.approx(VARIANCES[scheme], rel=0.02)
    assert weight.mean().item() == pytest.approx(0, abs=4 * math.sqrt(VARIANCES[scheme] / 60_000))
    if scheme != "he":  # uniform: the largest is root three standard deviations
        assert weight.abs().max().item() == pytest.approx(math.sqrt(3 * VARIANCES[scheme]), rel=1e-3)


def test_default_is_the_distribution_of_pytorch():
    torch.manual_seed(0)
    theirs, ours = nn.Linear(200, 300), nn.Linear(200, 300)
    initialise(ours, 1, "default")
    for name, parameter in theirs.named_parameters():
        values = dict(ours.named_parameters())[name]
        assert values.abs().max().item() == pytest.approx(parameter.abs().max().item(), rel=0.02)
        assert values.std().item() == pytest.approx(parameter.std().item(), rel=0.1)


@pytest.mark.parametrize("kernel, groups", [(5, 1), (5, 8)])
def test_convolutions_are_uniform_within_the_root_of_their_fan_in(kernel, groups):
    convolution = nn.Conv1d(8, 64, kernel, groups=groups)
    initialise(convolution, 1, "he")
    bound = 1 / math.sqrt(8 // groups * kernel)
    assert convolution.weight.abs().max().item() == pytest.approx(bound, rel=0.02)
    assert convolution.bias.abs().max().item() <= bound


def test_norms_are_the_identity_embeddings_normal_and_position_biases_glorot():
    model = build(small_model(dim=64, layers=1, decoder_layers=1), 1000, seed=1)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all() and (module.bias == 0).all()
    assert model.decoder.embedding.weight.std().item() == pytest.approx(1, rel=0.02)
    bias = model.encoder.blocks[0].attention.content_bias  # (4 heads, 16)
    bound = math.sqrt(6 / (4 + 16))
    assert 0.9 * bound < bias.abs().max().item() <= bound


def test_each_tensor_has_its_own_stream():
    """A change elsewhere in the model leaves a tensor's bits alone; no two tensors of one shape are equal."""
    short, long = (build(small_model(layers=layers, decoder_layers=0), SIZE, seed=1) for layers in (2, 3))
    longer = long.state_dict()
    assert all(torch.equal(value, longer[name]) for name, value in short.state_dict().items())
    q, k = short.encoder.blocks[0].attention.qkv.q.weight, short.encoder.blocks[0].attention.qkv.k.weight
    assert not torch.equal(q, k)
