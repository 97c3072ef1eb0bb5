"""The Transformer decoder: Auto-AVSR's size, causality, padding, and one token at a time against all at once."""

import math

import pytest
import torch
from torch import nn

from lrsms.models.decoder import Decoder
from lrsms.models.layers import sinusoids


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    decoder = Decoder(size=11, dim=16, heads=4, feedforward=32, layers=3, dropout=0.3).double().eval()
    for parameter in decoder.parameters():
        if parameter.ndim == 1:  # biases and norms start at values that would hide one mistaken for another
            nn.init.normal_(parameter)
    return decoder


@pytest.fixture
def memory():
    return torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


PADDING = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
TOKENS = torch.tensor([[10, 3, 4, 4, 9], [10, 1, 8, 2, 5]])


def test_has_the_parameters_of_auto_avsr():
    with torch.device("meta"):
        decoder = Decoder(size=5049, dim=768, heads=12, feedforward=3072, layers=6, dropout=0.1)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 64_472_505


def test_equals_the_decoder_of_pytorch(decoder, memory):
    """PyTorch's own pre-norm layers with the same weights, between scaled embeddings with positions and the output."""
    layer = nn.TransformerDecoderLayer(16, 4, 32, layer_norm_eps=1e-12, batch_first=True, norm_first=True)
    theirs = nn.TransformerDecoder(layer, 3, norm=nn.LayerNorm(16, eps=1e-12)).double().eval()
    state = {"norm.weight": decoder.norm.weight, "norm.bias": decoder.norm.bias}
    for i, block in enumerate(decoder.blocks):
        qkv, cross = block.self_attention.qkv, block.cross_attention
        for part in ("weight", "bias"):
            weights = {
                f"self_attn.in_proj_{part}": torch.cat([getattr(x, part) for x in (qkv.q, qkv.k, qkv.v)]),
                f"self_attn.out_proj.{part}": getattr(block.self_attention.out, part),
                f"multihead_attn.in_proj_{part}": torch.cat([getattr(x, part) for x in (cross.q, cross.k, cross.v)]),
                f"multihead_attn.out_proj.{part}": getattr(cross.out, part),
                f"linear1.{part}": getattr(block.feedforward.expand, part),
                f"linear2.{part}": getattr(block.feedforward.contract, part),
                f"norm1.{part}": getattr(block.norm_self, part),
                f"norm2.{part}": getattr(block.norm_cross, part),
                f"norm3.{part}": getattr(block.norm_feedforward, part),
            }
            state |= {f"layers.{i}.{name}": weight for name, weight in weights.items()}
    theirs.load_state_dict(state)
    x = 4 * decoder.embedding(TOKENS) + sinusoids(torch.arange(5), 16)  # 4 is the root of the width
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    expected = decoder.output(theirs(x, memory, tgt_mask=causal, memory_key_padding_mask=PADDING))
    torch.testing.assert_close(decoder(TOKENS, memory, PADDING), expected, rtol=0, atol=1e-12)


def test_every_matrix_is_a_linear_that_is_called(decoder, memory):
    """Low rank replaces modules: a matrix that is read in another way would silently keep its full rank."""
    names = {name for name, module in decoder.named_modules() if isinstance(module, nn.Linear)}
    block = {"self_attention.out", "feedforward.expand", "feedforward.contract"}
    block |= {f"self_attention.qkv.{part}" for part in "qkv"} | {f"cross_attention.{part}" for part in "qkv"}
    block |= {"cross_attention.out"}
    assert names == {f"blocks.{i}.{name}" for i in range(3) for name in block} | {"output"}
    linear_weights = {f"{name}.weight" for name in names}
    assert {name for name, p in decoder.named_parameters() if p.ndim == 2} == linear_weights | {"embedding.weight"}

    called = set()
    for name in names:
        decoder.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
    decoder(TOKENS, memory, PADDING)
    assert called == names
    called.clear()
    decoder.step(TOKENS[:, 0], decoder.start(memory, PADDING))
    assert called == names


def test_a_token_does_not_see_later_ones(decoder, memory):
    changed = TOKENS.clone()
    changed[:, 3:] = 7
    before, after = decoder(TOKENS, memory, PADDING), decoder(changed, memory, PADDING)
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=1e-12)
    assert (before[:, 3:] - after[:, 3:]).abs().max() > 1e-3


def test_padding_of_the_memory_changes_nothing(decoder, memory):
    logits = decoder(TOKENS, memory, PADDING)
    garbage = memory.masked_fill(PADDING[..., None], 1e3)
    torch.testing.assert_close(decoder(TOKENS, garbage, PADDING), logits, rtol=0, atol=1e-12)
    alone = decoder(TOKENS[1:], memory[1:, :4], PADDING[1:, :4])
    torch.testing.assert_close(alone, logits[1:], rtol=0, atol=1e-12)


def test_one_token_at_a_time_equals_all_at_once(decoder, memory):
    logits = decoder(TOKENS, memory, PADDING)
    state = decoder.start(memory, PADDING)
    for position in range(TOKENS.shape[1]):
        step, state = decoder.step(TOKENS[:, position], state)
        torch.testing.assert_close(step, logits[:, position], rtol=0, atol=1e-10)


def test_hypotheses_branch_and_utterances_leave(decoder, memory):
    """One hypothesis becomes three, which swap histories; then only the second utterance is kept."""
    state = decoder.start(memory, PADDING)
    _, state = decoder.step(torch.tensor([10, 10]), state)
    state = state.reorder(torch.tensor([0, 0, 0, 1, 1, 1]))
    _, state = decoder.step(torch.tensor([1, 2, 3, 4, 5, 6]), state)
    state = state.reorder(torch.tensor([2, 0, 0, 5, 5, 4]))
    state = state.keep(torch.tensor([1]))
    logits, _ = decoder.step(torch.tensor([7, 8, 9]), state)
    histories = torch.tensor([[10, 6, 7], [10, 6, 8], [10, 5, 9]])
    expected = decoder(histories, memory[1:].expand(3, -1, -1), PADDING[1:].expand(3, -1))[:, -1]
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)


def test_hypotheses_share_one_projected_memory(decoder, memory):
    state = decoder.start(memory, PADDING).reorder(torch.tensor([0, 0, 0, 1, 1, 1]))
    assert all(keys.shape == values.shape == (2, 4, 7, 4) for keys, values in state.memory)


def test_positions_are_sinusoids_of_geometric_wavelengths():
    table = sinusoids(torch.arange(4), 6)
    for position in range(4):
        for pair in range(3):
            angle = position / 10000 ** (2 * pair / 6)
            assert table[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_dropout_acts_in_training_only(decoder, memory):
    assert torch.equal(decoder(TOKENS, memory, PADDING), decoder(TOKENS, memory, PADDING))
    decoder.train()
    assert not torch.equal(decoder(TOKENS, memory, PADDING), decoder(TOKENS, memory, PADDING))
