"""The plan: each role reaches exactly its matrices, and a target that reaches none is refused with the nearest name."""

import re
from typing import Any

import pytest
import torch
from small import SIZE, small_model
from torch import nn

from lrsms.config import LowRank
from lrsms.lowrank.plan import Matrix, by_kind, list_matrices, make_plan
from lrsms.models.recognizer import Recognizer

LAYERS, DECODER_LAYERS = 3, 2


@pytest.fixture(scope="module")
def model() -> Recognizer:
    with torch.device("meta"):
        return Recognizer(small_model(), SIZE)


def chosen(model: nn.Module, *targets: str, **more: Any) -> set[str]:
    plan = make_plan(model, LowRank(targets=targets, ratio=0.5, **more))
    return {matrix.name for matrix in plan if matrix.rank is not None}


def names(stack: str, layers: int, *parts: str) -> set[str]:
    return {f"{stack}.blocks.{layer}.{part}" for layer in range(layers) for part in parts}


QKV = ("qkv.q", "qkv.k", "qkv.v")
ATTENTION = names("encoder", LAYERS, *(f"attention.{part}" for part in (*QKV, "position", "out")))
FEEDFORWARD = names(
    "encoder", LAYERS, *(f"feedforward_{side}.{part}" for side in ("in", "out") for part in ("expand", "contract"))
)
CONVOLUTION = names("encoder", LAYERS, "convolution.expand", "convolution.contract")
SELF_ATTENTION = names("decoder", DECODER_LAYERS, *(f"self_attention.{part}" for part in (*QKV, "out")))
CROSS_ATTENTION = names(
    "decoder", DECODER_LAYERS, *(f"cross_attention.{part}" for part in "qkv"), "cross_attention.out"
)
DECODER_FEEDFORWARD = names("decoder", DECODER_LAYERS, "feedforward.expand", "feedforward.contract")
OUTSIDE = {"frontend.projection", "ctc", "decoder.output"}
ENCODER = ATTENTION | FEEDFORWARD | CONVOLUTION
DECODER = SELF_ATTENTION | CROSS_ATTENTION | DECODER_FEEDFORWARD


@pytest.mark.parametrize(
    "target, expected",
    [
        ("encoder.attention", ATTENTION),
        ("encoder.attention.position", names("encoder", LAYERS, "attention.position")),
        ("encoder.feedforward", FEEDFORWARD),
        ("encoder.convolution", CONVOLUTION),
        ("encoder.*", ENCODER),
        ("decoder.self_attention", SELF_ATTENTION),
        ("decoder.cross_attention", CROSS_ATTENTION),
        ("decoder.feedforward", DECODER_FEEDFORWARD),
        ("decoder.*", DECODER),
        ("decoder.output", {"decoder.output"}),
        ("ctc", {"ctc"}),
        ("*.qkv.k", {name for name in ATTENTION | SELF_ATTENTION if name.endswith(".qkv.k")}),
        ("encoder.blocks.[01].*", {name for name in ENCODER if ".2." not in name}),
        ("*", ENCODER | DECODER | OUTSIDE),
    ],
)
def test_a_target_reaches_exactly_its_matrices(model, target, expected):
    assert chosen(model, target) == expected


def test_targets_add_up(model):
    assert chosen(model, "encoder.attention", "decoder.feedforward", "encoder.*") == ENCODER | DECODER_FEEDFORWARD


def test_every_linear_of_the_model_is_in_the_plan(model):
    linears = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    assert {matrix.name for matrix in make_plan(model, None)} == linears == ENCODER | DECODER | OUTSIDE
    assert all(matrix.rank is None for matrix in make_plan(model, None))


def test_encoder_means_both_encoders_of_an_audiovisual_model():
    class Audiovisual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for stack in ("audio_encoder", "video_encoder"):
                encoder = nn.Module()
                encoder.blocks = nn.ModuleList(nn.ModuleDict({"attention": self.attention()}) for _ in range(2))
                self.add_module(stack, encoder)

        @staticmethod
        def attention() -> nn.Module:
            return nn.ModuleDict({"out": nn.Linear(4, 4)})

    audio, video = ({f"{kind}_encoder.blocks.{i}.attention.out" for i in range(2)} for kind in ("audio", "video"))
    assert chosen(Audiovisual(), "encoder.attention") == chosen(Audiovisual(), "encoder.*") == audio | video
    assert chosen(Audiovisual(), "video_encoder.attention") == video
    plan = make_plan(Audiovisual(), LowRank(targets=("encoder.*",), ratio=0.5, mapping="linear", slope=0.5))
    assert [matrix.rank for matrix in plan] == [1, 3, 1, 3]  # each stack has a depth axis of its own


@pytest.mark.parametrize(
    "target, hint",
    [
        ("encoder.atention", "did you mean 'encoder.attention'?"),
        ("decoder.selfattention", "did you mean 'decoder.self_attention'?"),
        ("ctcs", "did you mean 'ctc'?"),
        ("zzz", "roles: decoder.cross_attention, decoder.feedforward, decoder.self_attention, encoder.attention, "),
    ],
)
def test_a_target_that_matches_nothing_is_refused_with_the_nearest_name(model, target, hint):
    with pytest.raises(ValueError, match=re.escape(f"'lowrank.targets': '{target}' matches no matrix; {hint}")):
        make_plan(model, LowRank(targets=("encoder.attention", target), ratio=0.5))


def test_fused_q_k_v_are_one_matrix(model):
    fused = chosen(model, "encoder.attention", qkv="fused")
    assert fused == names("encoder", LAYERS, "attention.qkv", "attention.position", "attention.out")
    matrix = next(m for m in list_matrices(model, fused=True) if m.name == "encoder.blocks.0.attention.qkv")
    assert (matrix.rows, matrix.columns, matrix.bias) == (48, 16, 48)
    plan = make_plan(model, LowRank(targets=("encoder.attention",), ratio=0.5, qkv="fused"))
    assert {matrix.rank for matrix in plan} == {None, 8}  # half of min(48, 16)


def test_fused_without_q_k_v_is_refused(model):
    with pytest.raises(
        ValueError, match=r"'lowrank.qkv' is 'fused', but the targets \['encoder.feedforward'\] reach no q"
    ):
        make_plan(model, LowRank(targets=("encoder.feedforward",), ratio=0.5, qkv="fused"))


def test_ranks_follow_depth_for_each_kind_of_matrix(model):
    plan = make_plan(model, LowRank(targets=("encoder.*",), ratio=0.5, mapping="linear", slope=-0.5))
    for kind in {matrix.kind for matrix in plan if matrix.rank is not None}:
        assert [matrix.rank for matrix in plan if matrix.kind == kind] == [12, 8, 4], kind


def test_parameters_and_break_even_of_a_matrix():
    matrix = Matrix("encoder.blocks.1.feedforward_in.expand", "encoder.feedforward", "encoder", 1, 12, 3072, 768, 3072)
    assert matrix.kind == "encoder.blocks.*.feedforward_in.expand"
    assert matrix.parameters == matrix.parameters_dense == 3072 * 768 + 3072
    assert matrix.break_even == pytest.approx(614.4)
    low = Matrix(**(vars(matrix) | {"rank": 614}))
    high = Matrix(**(vars(matrix) | {"rank": 615}))
    assert low.parameters == 614 * (3072 + 768) + 3072 < matrix.parameters_dense < high.parameters
    (entry,) = by_kind([low])
    assert (entry["parameters"], entry["ranks"], entry["break_even"]) == (low.parameters, [614], 614.4)
