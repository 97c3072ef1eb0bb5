"""Device memory: what is kept for the backward pass, against counts by hand and the same group in real memory."""

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_run
from torch import nn
from torch.nn import functional as F

from lrsms.cost.memory import (
    PROCESS_MB,
    AsOnGPU,
    activation_bytes,
    device_memory_mb,
    saved_bytes,
)
from lrsms.methods.build import build_model, build_structure
from lrsms.methods.operations import inputs_without_memory
from lrsms.models import conformer
from lrsms.study.expand import preset_run
from lrsms.study.run import Run


def small(lowrank=None, group_frames: int = 400, has_decoder: bool = True, **changes) -> Run:
    run = small_run(lowrank, **changes)
    model = run.model if has_decoder else run.model.model_copy(update={"decoder_layers": 0})
    return run.model_copy(update={"model": model, "train": run.train.model_copy(update={"group_frames": group_frames})})


def kept(run: Run, num_utterances: int, frames: int) -> int:
    return activation_bytes(run, build_structure(run, SIZE)[0].train(), num_utterances, frames)


def test_a_linear_keeps_its_input():
    with torch.device("meta"):
        linear, x = nn.Linear(5, 7), torch.empty(3, 5)
    assert saved_bytes(lambda: linear(x), linear) == 4 * 3 * 5


def test_a_chain_keeps_each_input_once_and_no_weight():
    """The ReLU's result is also what the second matrix reads."""
    with torch.device("meta"):
        chain, x = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2)), torch.empty(3, 5, requires_grad=True)
    assert saved_bytes(lambda: chain(x), chain) == 4 * 3 * (5 + 7)


@pytest.mark.parametrize(
    "changes",
    [{}, {"frontend": "wave"}, VISUAL, AUDIOVISUAL, {"has_decoder": False}],
    ids=["features", "wave", "video", "both", "no decoder"],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("lowrank", [None, {"ratio": 0.5}], ids=["dense", "low rank"])
def test_what_is_counted_without_memory_is_what_is_kept_in_memory(changes, lowrank, precision, monkeypatch):
    monkeypatch.setattr(conformer, "attend", attend_as_on_a_gpu)
    run = small(lowrank, **changes)
    run = run.model_copy(update={"train": run.train.model_copy(update={"precision": precision})})
    network = build_model(run, SIZE)[0].train()
    shapes = inputs_without_memory(run, 3, 20, 10)
    audio, video = (None if x is None else torch.zeros(x.shape) for x in shapes[:2])
    lengths, tokens = torch.full((3,), 20), torch.zeros(shapes[3].shape, dtype=torch.long)

    def forward():
        with AsOnGPU(precision):
            memory, mask = network.encode(audio, video, lengths)
            heads = network.ctc_log_probs(memory)
            return heads if network.decoder is None else (heads, network.decoder(tokens, memory, mask))

    assert kept(run, 3, 20) == saved_bytes(forward, network) > 0


def attend_as_on_a_gpu(query, key, value, bias):
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias / query.shape[-1] ** 0.5)


def test_dropout_keeps_a_byte_a_number_and_attention_no_weights():
    with torch.device("meta"):
        x = torch.empty(2, 3, 7, 5, requires_grad=True)
        mask = torch.empty(2, 1, 7, 7)

    def attention():
        with AsOnGPU("float32"):
            F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    def dropout():
        with AsOnGPU("float32"):
            F.dropout(x, 0.1)

    nothing = nn.Identity()
    assert saved_bytes(dropout, nothing) == x.numel()
    # Operands, which are one here, the mask, the result, and for each query what its weights are divided by.
    assert saved_bytes(attention, nothing) == 4 * (x.numel() + mask.numel() + x.numel() + 2 * 3 * 7)


def test_under_bfloat16_matrices_keep_narrow_operands_and_a_narrow_weight():
    with torch.device("meta"):
        linear, x = nn.Linear(5, 7), torch.empty(3, 5, requires_grad=True)

    def forward():
        with AsOnGPU("bfloat16"):
            linear(2 * x)

    assert saved_bytes(forward, linear) == 2 * (3 * 5 + 5 * 7)


def test_mini_networks_are_stated_to_need_a_quarter_more_than_they_took():
    """As counted by the allocator of a GPU, with what CUDA takes of a process: 3,400 MB and 13,500 MB."""
    for preset, took in (("mini-asr", 3400), ("mini-avsr", 13500)):
        assert took < device_memory_mb(preset_run(preset)) < 1.35 * took


def test_more_utterances_keep_in_proportion_more():
    """Besides what all share: the sinusoids of positions."""
    one, two, three = (kept(small(), number, 20) for number in (1, 2, 3))
    assert three - two == two - one > 0


def test_more_frames_keep_more_by_a_square():
    """Attention's weights grow with the square of the frames, all else with the frames: third differences vanish."""
    run = small(has_decoder=False)
    first, second, third, fourth = (kept(run, 1, frames) for frames in (40, 80, 120, 160))
    assert fourth - 3 * third + 3 * second - first == 0
    # At least the weights of every head of every block, as they leave the softmax.
    assert third - 2 * second + first >= 2 * 40 * 40 * run.model.layers * run.model.heads * 4


@pytest.mark.parametrize("optimizer", [None, "muon"])
def test_a_job_needs_its_states_what_it_keeps_and_a_margin(optimizer):
    """Weights, gradients and the running sum; and AdamW's two moments of each, or Muon's one of matrices."""
    run = small(group_frames=2000, dim=512)
    run = run.model_copy(update={"train": run.train.model_copy(update={"optimizer": optimizer})})
    network, plan = build_structure(run, 32)  # characters, blank and end
    states = 4 * 5 * sum(parameter.numel() for parameter in network.parameters())
    if optimizer == "muon":
        inner = [matrix for matrix in plan if matrix.name not in ("ctc", "decoder.output")]
        states -= 4 * sum(matrix.rows * matrix.columns for matrix in inner)
    bytes_kept = activation_bytes(run, network.train(), 5, 400)
    assert device_memory_mb(run) == PROCESS_MB + round((states + 1.25 * bytes_kept) / 2**20)


def test_muon_needs_less_memory_than_adamw():
    run = small(dim=256)
    muon = run.model_copy(update={"train": run.train.model_copy(update={"optimizer": "muon"})})
    assert device_memory_mb(muon) < device_memory_mb(run)


def test_a_group_shorter_than_an_utterance_is_one_utterance():
    short, shorter = small(group_frames=200), small(group_frames=150)
    assert device_memory_mb(short) >= device_memory_mb(shorter) > PROCESS_MB


def test_a_larger_group_needs_more_and_the_seed_and_the_factors_values_do_not_matter():
    assert device_memory_mb(small(group_frames=4000)) > device_memory_mb(small(group_frames=2000))
    one = {"ratio": 0.5, "init": "spectral"}
    assert device_memory_mb(small(one, seed=1)) == device_memory_mb(small(one | {"init": "random"}, seed=2))
