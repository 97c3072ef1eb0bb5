"""The plan: each role reaches exactly its matrices, and a target that reaches none is refused with the nearest name."""

import dataclasses
import re
from typing import Any, ClassVar

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_model
from torch import nn

from lrsms.methods.matrices import list_matrices
from lrsms.methods.plan import Matrix, by_kind, make_plan
from lrsms.models.layers import Block, Stack
from lrsms.models.recognizer import Recognizer
from lrsms.study.lowrank import LowRank

LAYERS, DECODER_LAYERS = 3, 2


@pytest.fixture(scope="module")
def model() -> Recognizer:
    with torch.device("meta"):
        return Recognizer(small_model(), SIZE)


@pytest.fixture(scope="module")
def audiovisual() -> Recognizer:
    with torch.device("meta"):
        return Recognizer(small_model(**AUDIOVISUAL), SIZE)


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


def both(names: set[str]) -> set[str]:
    """Of a model of audio and video, the matrices called like these of a model of one."""
    return {f"{modality}_{name}" for modality in ("audio", "video") for name in names}


FUSION = {"fusion.hidden", "fusion.out"}
PROJECTIONS = both({"frontend.projection"})


@pytest.mark.parametrize(
    "target, expected",
    [
        ("encoder.attention", both(ATTENTION)),
        ("encoder.attention.position", both(names("encoder", LAYERS, "attention.position"))),
        ("encoder.*", both(ENCODER)),
        ("audio_encoder.*", {name for name in both(ENCODER) if name.startswith("audio")}),
        ("video_encoder.*", {name for name in both(ENCODER) if name.startswith("video")}),
        ("video_encoder.feedforward", {name for name in both(FEEDFORWARD) if name.startswith("video")}),
        ("frontend.projection", PROJECTIONS),
        ("video_frontend.projection", {"video_frontend.projection"}),
        ("fusion", FUSION),
        ("fusion.*", FUSION),
        ("fusion.hidden", {"fusion.hidden"}),
        ("decoder.*", DECODER),
        ("*", both(ENCODER) | DECODER | FUSION | PROJECTIONS | {"ctc", "decoder.output"}),
    ],
)
def test_targets_of_a_model_of_audio_and_video(audiovisual, target, expected):
    assert chosen(audiovisual, target) == expected


def test_a_model_of_video_alone_has_the_targets_of_one_of_audio():
    with torch.device("meta"):
        visual = Recognizer(small_model(**VISUAL), SIZE)
    assert {m.name for m in make_plan(visual, None)} == ENCODER | DECODER | OUTSIDE
    assert chosen(visual, "encoder.attention") == ATTENTION


def test_each_stack_has_a_depth_axis_of_its_own(audiovisual):
    plan = make_plan(audiovisual, LowRank(targets=("encoder.*",), ratio=0.5, mapping="linear", slope=-0.5))
    for stack in ("audio_encoder", "video_encoder"):
        assert [m.rank for m in plan if m.kind == f"{stack}.blocks.*.attention.out"] == [12, 8, 4]


@pytest.mark.parametrize("target", ["fusion", "frontend.projection", "ctc", "*"])
def test_a_mapping_over_depth_is_refused_for_a_matrix_that_has_no_depth(audiovisual, target):
    with pytest.raises(ValueError, match=r"'linear', but '.*' is in no stack of blocks") as caught:
        make_plan(audiovisual, LowRank(targets=("encoder.*", target), ratio=0.5, mapping="linear", slope=-0.5))
    assert "\n" not in str(caught.value)
    ranks = [m.rank for m in make_plan(audiovisual, LowRank(targets=("fusion",), ratio=0.5)) if m.role == "fusion"]
    assert ranks == [12, 8]


class Layer(Block):
    """A block of its own kind: an attention-like part and two feed-forward parts."""

    roles: ClassVar = {"mix": "attention", "first": "feedforward", "second": "feedforward"}

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix, self.first, self.second = (nn.Linear(dim, dim) for _ in range(3))


class Stage(nn.Module):
    """A stack of its own, with a matrix before it that is in no block."""

    def __init__(self, dim: int, layers: int) -> None:
        super().__init__()
        self.resample = nn.Linear(dim, dim)
        self.layers = Stack(Layer(dim) for _ in range(layers))


def nested(*stages: tuple[int, int]) -> nn.Module:
    """An encoder of stages, as Zipformer has them, each of a width and a number of blocks."""
    encoder = nn.Module()
    encoder.stages = Stack(Stage(*stage) for stage in stages)
    model = nn.Module()
    model.encoder = encoder
    return model


def test_nested_stacks_are_one_axis_of_depth():
    plan = make_plan(nested((8, 2), (8, 1), (8, 2)), LowRank(targets=("encoder.feedforward",), ratio=0.5))
    layers = [(m.name, m.layer, m.layers) for m in plan if m.role == "encoder.attention"]
    assert [layer for _, layer, _ in layers] == [0, 1, 2, 3, 4]
    assert {number for *_, number in layers} == {5}
    assert layers[3][0] == "encoder.stages.2.layers.0.mix"
    mapped = make_plan(
        nested((8, 2), (8, 1), (8, 2)),
        LowRank(targets=("encoder.feedforward",), ratio=0.5, mapping="linear", slope=0.5),
    )
    kind = "encoder.stages.*.layers.*.first"
    assert [m.rank for m in mapped if m.kind == kind] == [2, 3, 4, 5, 6]
    entry = next(entry for entry in by_kind(mapped) if entry["name"] == kind)
    assert (entry["layers"], entry["ranks"]) == ([0, 1, 2, 3, 4], [2, 3, 4, 5, 6])


def test_stages_of_different_widths_have_ranks_of_their_own_and_share_no_budget():
    model = nested((8, 1), (16, 2))
    plan = make_plan(model, LowRank(targets=("encoder.feedforward",), ratio=0.5))
    assert [m.rank for m in plan if m.role == "encoder.feedforward"] == [4, 4, 8, 8, 8, 8]
    assert [entry["rows"] for entry in by_kind(plan) if entry["name"].endswith("first")] == [8, 16]
    with pytest.raises(ValueError, match=r"'encoder\.stages\.0\.layers\.0\.first' is 8 x 8 and .* is 16 x 16"):
        make_plan(model, LowRank(targets=("encoder.feedforward",), ratio=0.5, mapping="linear", slope=0.5))


def test_a_matrix_between_the_blocks_of_a_stack_has_no_depth():
    model = nested((8, 1), (8, 1))
    targets = ("encoder.stages.1.resample",)
    assert [m.rank for m in make_plan(model, LowRank(targets=targets, ratio=0.5)) if m.name in targets] == [4]
    with pytest.raises(ValueError, match=r"'encoder\.stages\.1\.resample' is in no stack of blocks"):
        make_plan(model, LowRank(targets=targets, ratio=0.5, mapping="linear", slope=0.5))
    assert chosen(model, "encoder.*") == {
        f"encoder.stages.{stage}.layers.0.{part}" for stage in (0, 1) for part in ("mix", "first", "second")
    }


def test_an_ambiguous_target_is_refused():
    """The name of one matrix that is the role of others."""
    model = nested((8, 1))
    model.encoder.attention = nn.Linear(8, 8)
    with pytest.raises(ValueError, match=r"is ambiguous: it is the role of .* and the name of") as caught:
        chosen(model, "encoder.attention")
    assert "\n" not in str(caught.value)
    assert chosen(model, "encoder.stages.*.mix") == {"encoder.stages.0.layers.0.mix"}


@pytest.mark.parametrize(
    "target, hint",
    [
        ("encoder.atention", "did you mean 'encoder.attention'?"),
        ("video_encoder.atention", "did you mean 'video_encoder.attention'?"),
        ("visual_encoder.feedforward", "did you mean 'video_encoder.feedforward'?"),
        ("encoder", "did you mean 'encoder.*'?"),
        ("fussion", "did you mean 'fusion'?"),
        ("fusion.hiden", "did you mean 'fusion.hidden'?"),
        ("zzz", "roles: audio_encoder.attention, audio_encoder.convolution, audio_encoder.feedforward, decoder."),
        ("zzz", "video_encoder.feedforward"),
    ],
)
def test_hints_of_a_model_of_audio_and_video(audiovisual, target, hint):
    with pytest.raises(ValueError, match=f"'{target}' matches no matrix; .*{re.escape(hint)}"):
        make_plan(audiovisual, LowRank(targets=(target,), ratio=0.5))


def test_targets_of_audio_and_video_are_refused_where_there_is_one(model):
    with pytest.raises(
        ValueError, match=r"'audio_encoder.attention' matches no matrix; did you mean 'encoder.attention'"
    ):
        chosen(model, "audio_encoder.attention")
    with pytest.raises(ValueError, match="'fusion' matches no matrix"):
        chosen(model, "fusion")


@pytest.mark.parametrize(
    "target, hint",
    [
        ("encoder.atention", "did you mean 'encoder.attention'?"),
        ("decoder.selfattention", "did you mean 'decoder.self_attention'?"),
        ("decoder", "did you mean 'decoder.*'?"),
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
    assert matrix.kind == matrix.name
    matrix = dataclasses.replace(matrix, kind="encoder.blocks.*.feedforward_in.expand")
    assert matrix.kind == "encoder.blocks.*.feedforward_in.expand"
    assert matrix.parameters == matrix.parameters_dense == 3072 * 768 + 3072
    assert matrix.break_even == pytest.approx(614.4)
    low = Matrix(**(vars(matrix) | {"rank": 614}))
    high = Matrix(**(vars(matrix) | {"rank": 615}))
    assert low.parameters == 614 * (3072 + 768) + 3072 < matrix.parameters_dense < high.parameters
    (entry,) = by_kind([low])
    assert (entry["parameters"], entry["ranks"], entry["break_even"]) == (low.parameters, [614], 614.4)
