"""The Conformer encoder: against plain references, and independent of batch and padding."""

import math

import pytest
import torch
from small import lived_in
from torch import nn

from lrsms.models.conformer import (
    ConformerBlock,
    ConformerEncoder,
    ConvolutionModule,
    RelativeAttention,
    attend,
    offsets_to_keys,
    relative_positions,
)
from lrsms.models.initial import initialise
from lrsms.models.layers import keys_to_hide

DIM, HEADS = 12, 3
DTYPE = torch.float64
PADDING = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])


def made(module: nn.Module) -> nn.Module:
    initialise(module, 5, "default")
    return lived_in(module).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4), dtype=DTYPE)


@pytest.fixture(scope="module")
def encoder():
    return made(ConformerEncoder(DIM, HEADS, feedforward=24, layers=3, kernel=5, dropout=0.1))


@pytest.mark.parametrize("time", [1, 2, 3, 8])
def test_offsets_to_keys_equals_indexing(time):
    by_offset = noise(2, 3, time, 2 * time - 1)
    keys = offsets_to_keys(by_offset)
    assert keys.shape == (2, 3, time, time)
    for i in range(time):
        for j in range(time):
            assert torch.equal(keys[..., i, j], by_offset[..., i, time - 1 - i + j])


def test_relative_positions_are_sinusoids_of_query_minus_key():
    table = relative_positions(4, 6, torch.device("cpu"), DTYPE)
    assert table.shape == (7, 6)
    for row, offset in enumerate(range(3, -4, -1)):
        for pair in range(3):
            angle = offset / 10000 ** (2 * pair / 6)
            assert table[row, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[row, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_relative_attention_equals_a_double_loop():
    """Transformer-XL's terms a to d (Dai et al. 2019, section 3.3), score by score."""
    attention = made(RelativeAttention(DIM, HEADS))
    x, size = noise(2, 7, DIM), DIM // HEADS
    positions = relative_positions(7, DIM, x.device, DTYPE)
    expected = torch.empty_like(x)
    for b, num_valid in enumerate([7, 4]):
        heads = []
        for h in range(HEADS):
            part = slice(h * size, (h + 1) * size)
            q, k, v = (linear(x[b])[:, part] for linear in (attention.qkv.q, attention.qkv.k, attention.qkv.v))
            rows = []
            for i in range(7):
                scores = []
                for j in range(num_valid):
                    r = attention.position(positions[6 - (i - j)])[part]
                    score = (q[i] + attention.content_bias[h]) @ k[j] + (q[i] + attention.position_bias[h]) @ r
                    scores.append(score / math.sqrt(size))
                rows.append(torch.stack(scores).softmax(0) @ v[:num_valid])
            heads.append(torch.stack(rows))
        expected[b] = attention.out(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(x, positions, PADDING), expected, rtol=0, atol=1e-12)


def test_attention_with_a_bias_equals_pytorchs_and_has_its_gradients():
    inputs = [noise(2, HEADS, 7, 4).mul(factor).requires_grad_() for factor in (1, 2, 3)]
    bias = noise(2, HEADS, 7, 7).requires_grad_()
    mask = PADDING[:, None, None, :]
    ours = attend(*inputs, bias.masked_fill(mask, -math.inf))
    theirs = nn.functional.scaled_dot_product_attention(*inputs, attn_mask=bias.masked_fill(mask, -math.inf) / 2)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    gradients = (torch.autograd.grad(y.square().sum(), (*inputs, bias)) for y in (ours, theirs))
    for own, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-12, atol=1e-12)


def test_convolution_module_equals_plain_convolutions():
    """As Auto-AVSR writes it, pointwise convolutions and PyTorch's batch norm; without padding."""
    module = made(ConvolutionModule(DIM, kernel=5))
    x = noise(2, 7, DIM)
    norm = nn.BatchNorm1d(DIM).double().eval()
    norm.load_state_dict(module.norm.state_dict(), strict=False)

    def pointwise(y: torch.Tensor, linear: nn.Linear) -> torch.Tensor:
        return nn.functional.conv1d(y, linear.weight.unsqueeze(-1), linear.bias)

    y = nn.functional.glu(pointwise(x.transpose(1, 2), module.expand), dim=1)
    y = nn.functional.silu(norm(nn.functional.conv1d(y, module.depthwise.weight, module.depthwise.bias, 1, 2, 1, DIM)))
    expected = pointwise(y, module.contract).transpose(1, 2)
    torch.testing.assert_close(module(x, torch.zeros(2, 7, dtype=torch.bool)), expected, rtol=0, atol=1e-12)


def test_block_is_macaron_with_half_steps():
    block = made(ConformerBlock(DIM, HEADS, feedforward=24, kernel=5, dropout=0.0))
    x, positions = noise(2, 7, DIM), relative_positions(7, DIM, torch.device("cpu"), DTYPE)
    y = x + block.feedforward_in(block.norm_feedforward_in(x)) / 2
    y = y + block.attention(block.norm_attention(y), positions, PADDING)
    y = y + block.convolution(block.norm_convolution(y), PADDING)
    y = y + block.feedforward_out(block.norm_feedforward_out(y)) / 2
    torch.testing.assert_close(block(x, positions, PADDING, PADDING), block.norm(y), rtol=0, atol=1e-12)


def test_padding_changes_nothing(encoder):
    x = noise(2, 7, DIM)
    encoded = encoder(x, PADDING)
    garbage = x.masked_fill(PADDING[..., None], 1e3)
    torch.testing.assert_close(encoder(garbage, PADDING)[1, :4], encoded[1, :4], rtol=0, atol=1e-10)
    torch.testing.assert_close(encoder(x[1:, :4], PADDING[1:, :4]), encoded[1:, :4], rtol=0, atol=1e-10)


def test_every_matrix_is_a_linear_that_is_called(encoder):
    """Low rank replaces modules: a matrix that is read in another way would silently keep its full rank."""
    names = {name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
    block = {f"attention.{part}" for part in ("qkv.q", "qkv.k", "qkv.v", "position", "out")}
    block |= {
        f"{part}.{side}"
        for part in ("feedforward_in", "feedforward_out", "convolution")
        for side in ("expand", "contract")
    }
    assert names == {f"blocks.{i}.{name}" for i in range(3) for name in block}
    biases = {f"blocks.{i}.attention.{name}_bias" for i in range(3) for name in ("content", "position")}
    assert {n for n, p in encoder.named_parameters() if p.ndim == 2} == {f"{name}.weight" for name in names} | biases
    called = set()
    hooks = [encoder.get_submodule(n).register_forward_hook(lambda *_, n=n: called.add(n)) for n in names]
    encoder(noise(2, 7, DIM), PADDING)
    for hook in hooks:
        hook.remove()
    assert called == names


def test_one_block_has_the_parameters_of_auto_avsr():
    with torch.device("meta"):
        block = ConformerBlock(dim=768, heads=12, feedforward=3072, kernel=31, dropout=0.1)

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(block.attention) == 2_953_728
    assert count(block.feedforward_in) == count(block.feedforward_out) == 4_722_432
    assert count(block.convolution) == 1_797_888


def test_dropout_acts_in_training_only(encoder):
    x = noise(2, 7, DIM)
    assert torch.equal(encoder(x, PADDING), encoder(x, PADDING))
    encoder.train()
    assert not torch.equal(encoder(x, PADDING), encoder(x, PADDING))
    encoder.eval()


@pytest.mark.skipif(" " in torch.__file__, reason="PyTorch's compiler does not quote the path of its own libraries")
@pytest.mark.slow
def test_a_compiled_block_is_one_graph_with_the_same_output_and_gradients():
    block = made(ConformerBlock(DIM, HEADS, feedforward=24, kernel=5, dropout=0.0)).train()
    x, mask = noise(2, 7, DIM), torch.zeros(2, 7, dtype=torch.bool)
    mask[1, 5:] = True
    positions = relative_positions(7, DIM, torch.device("cpu"), DTYPE)
    found = []
    for forward in (block, torch.compile(block, fullgraph=True, dynamic=False)):
        block.zero_grad()
        leaf = x.clone().requires_grad_()
        y = forward(leaf, positions, mask, keys_to_hide(mask))
        y.square().sum().backward()
        found.append((y.detach(), leaf.grad, *(parameter.grad.clone() for parameter in block.parameters())))
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-9, atol=1e-9)
