"""Cost: parameters as built, multiply-adds as counted by hand."""

import json

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_run

from lrsms.methods.build import build_model, build_structure
from lrsms.methods.operations import check_plan, multiply_adds_per_second, parameters_by_part, plan_summary

T, U = 50, 8  # frames (2 s) and tokens


def macs(lowrank=None, **changes) -> float:
    run = small_run(lowrank, **changes)
    return multiply_adds_per_second(run, build_structure(run, SIZE)[0], frames=T, tokens=U)


def ctc_and_decoder(dim: int = 16, inner: int = 32) -> int:
    """Multiply-adds of what follows the encoder, counted by hand."""
    steps = U + 1  # sos and the tokens
    of_tokens = 4 * dim * dim + 2 * dim * dim + 2 * dim * inner  # self-attention, cross q and out, feed-forward
    block = steps * of_tokens + T * 2 * dim * dim + 2 * steps * steps * dim + 2 * steps * T * dim
    return T * dim * SIZE + 2 * block + steps * dim * SIZE


def test_multiply_adds_equal_a_count_by_hand():
    dim, inner, kernel, channels = 16, 32, 5, 4
    frontend = 2 * T * 10 * channels * 9 + T * 5 * channels * 9 * channels + T * (5 * channels) * dim
    matrices = 4 * dim * dim + 4 * dim * inner + 3 * dim * dim  # attention, two feed-forwards, pointwise convolutions
    scores = T * T * dim + T * (2 * T - 1) * dim + T * T * dim  # by content, by position, mixing
    block = T * matrices + (2 * T - 1) * dim * dim + scores + T * dim * kernel
    assert macs() * T / 25 == frontend + 3 * block + ctc_and_decoder()


def test_multiply_adds_of_low_rank_change_by_those_of_its_matrices():
    """In the feed-forwards of the encoder, r (m + n) in place of m n for every frame."""
    difference = macs() - macs({"targets": ["encoder.feedforward"], "ratio": 0.25})
    assert difference / 25 == 3 * 4 * (16 * 32 - 4 * (16 + 32))


def test_multiply_adds_of_the_wave_front_end_count_its_convolutions():
    """Per frame: the stem at 160 positions, then stages at 160, 80, 40 and 20 of 4, 8, 16 and 32 channels."""
    stem = 160 * 80 * 4
    blocks = 160 * 4 * 3 * 4 * 4
    for positions, c in ((80, 8), (40, 16), (20, 32)):
        blocks += positions * (3 * (c // 2) * c + 3 * 3 * c * c + (c // 2) * c)
    logmel = 2 * 10 * 4 * 9 + 5 * 4 * 9 * 4 + 20 * 16
    assert (macs(frontend="wave") - macs()) / 25 == stem + blocks + 32 * 16 - logmel


@pytest.mark.parametrize("shrink, sides", [(None, (44, 22, 11, 6, 3)), (2, (22, 11, 6, 3, 2))])
def test_multiply_adds_of_the_video_front_end_count_its_convolutions(shrink, sides):
    """Per frame: the first convolution on squares of 44 (22) pixels, then four stages of 2, 4, 8 and 16 channels."""
    first, *stages = sides
    convolutions = first**2 * 5 * 7 * 7 * 2 + stages[0] ** 2 * 4 * 9 * 2 * 2
    for side, c in zip(stages[1:], (4, 8, 16), strict=True):
        convolutions += side**2 * (9 * (c // 2) * c + 3 * 9 * c * c + (c // 2) * c)
    logmel = 2 * 10 * 4 * 9 + 5 * 4 * 9 * 4 + 20 * 16
    video = macs(**(VISUAL | {"video_shrink": shrink}))
    assert (video - macs()) / 25 == convolutions + 16 * 16 - logmel


def test_multiply_adds_of_audio_and_video_are_those_of_both_and_of_fusion():
    """The CTC head and the decoder are there once."""
    fusion = T * (2 * 16 * 24 + 24 * 16)
    assert (macs(**AUDIOVISUAL) - macs() - macs(**VISUAL)) * T / 25 == fusion - ctc_and_decoder()


def test_parts_of_a_model_of_audio_and_video():
    counts = parameters_by_part(build_structure(small_run(**AUDIOVISUAL), SIZE)[0])
    stacks = [
        f"{kind}_{part}" for kind in ("audio", "video") for part in ("frontend", "frontend.projection", "encoder")
    ]
    assert list(counts) == [*stacks, "fusion", "ctc", "decoder"]
    assert counts["fusion"] == (32 * 24 + 24) + 2 * 24 + (24 * 16 + 16)
    assert counts["audio_encoder"] == counts["video_encoder"]


def test_parts_and_plan_add_up_to_the_model():
    run = small_run({"targets": ["encoder.attention"], "ratio": 0.5, "qkv": "fused"})
    model, plan = build_model(run, SIZE)
    dense, _ = build_model(small_run(), SIZE)
    summary = json.loads(json.dumps(plan_summary(model, plan)))
    total, total_dense = (sum(parameter.numel() for parameter in m.parameters()) for m in (model, dense))
    assert summary["parameters"] == total == sum(parameters_by_part(model).values())
    assert summary["parameters_dense"] == total_dense
    # Per block a fused (48, 16) and two (16, 16) at rank 8, with 48 and 16 biases.
    assert summary["factorised"] == 3 * (8 * (48 + 16) + 2 * 8 * (16 + 16) + 48 + 16)
    assert summary["factorised_dense"] == 3 * (5 * 16 * 16 + 4 * 16)
    assert sum(len(kind["layers"]) for kind in summary["matrices"]) == len(plan)
    assert sum(kind["parameters"] for kind in summary["matrices"]) == sum(matrix.parameters for matrix in plan)
    attention = next(kind for kind in summary["matrices"] if kind["name"] == "encoder.blocks.*.attention.qkv")
    assert (attention["rows"], attention["columns"], attention["ranks"]) == (48, 16, [8, 8, 8])


@pytest.mark.parametrize("model", [{}, {"frontend": "wave"}, VISUAL, AUDIOVISUAL])
def test_counting_takes_no_memory(model):
    run = small_run(**model)
    structure = build_structure(run, SIZE)[0]
    multiply_adds_per_second(run, structure, T, U)
    assert all(parameter.is_meta for parameter in structure.parameters())
    assert torch.get_default_device().type == "cpu"


@pytest.mark.parametrize("lowrank", [None, {"targets": ["encoder.*"], "ratio": 0.25, "qkv": "fused"}])
def test_a_plan_is_of_the_model_that_was_trained(lowrank):
    model, plan = build_model(small_run(lowrank), SIZE)
    weights = dict(model.named_parameters())
    check_plan(plan_summary(model, plan), plan, weights)
    more = weights | {"extra": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"plan\.json counts [\d,]+ parameters, but [\d,]+ were trained"):
        check_plan(plan_summary(model, plan), plan, more)
    _, other = build_model(small_run({"targets": ["encoder.*"], "ratio": 0.5, "qkv": "fused"}), SIZE)
    with pytest.raises(
        ValueError, match=r"plan\.json has 'encoder\..*' at rank \d+, but it was trained at (rank 4|full)"
    ):
        check_plan(plan_summary(model, plan), other, weights)
