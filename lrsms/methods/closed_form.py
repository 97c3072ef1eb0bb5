"""Works out the parameters of a run's network from its configuration alone: it builds nothing and needs no PyTorch.

Readers of a record use it to count the record's ``plan.json`` again. A test compares it with the network that is built,
so a new part of the network must be added here too.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from lrsms.methods.plan import Matrix, is_fused, summary, with_ranks
from lrsms.study.frames import CROP, FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from lrsms.study.lowrank import LowRank
from lrsms.study.run import Modality, Model, Run

Shape = tuple[str, str, int, int, bool]
"""A matrix in a block: name and role within the block, rows, columns, and whether it has a bias."""

_KERNEL_3X3 = 9
_WAVE_STEM = 80
"""Samples that the first convolution of the ``wave`` front end spans."""
_VIDEO_STEM = 5 * 7 * 7
"""Frames and pixels that the first convolution of the video front end spans."""
_WAVE_PLACES = SAMPLES_PER_FRAME // 4
"""Positions per frame of 40 ms at which that convolution is computed; later ones have fewer."""
_VIDEO_PLACES = (CROP // 2) ** 2
"""The same for pictures."""


def plan_of(run: Run, size: int) -> dict[str, Any]:
    """The content that the ``plan.json`` of a run must have (see ``methods.plan.summary``).

    Args:
        run: the run. Only its model and its low rank matter.
        size: vocabulary size V of its tokenizer.

    Raises:
        ValueError: a low-rank target matches nothing or a rank leaves [1, full].
    """
    return _plan(run.model, run.lowrank, size)[1]


def vocabulary_of(run: Run) -> int | None:
    """Vocabulary size V, if the configuration says it; None for characters, which depend on the transcripts."""
    return None if run.tokenizer.pieces is None else run.tokenizer.pieces + 2


def multiply_adds_bounds(run: Run, size: int) -> tuple[float, float]:
    """The least and the most multiply-adds of a second of speech, whatever the utterances are.

    At least, every encoder matrix is used once a frame. At most, convolutions are computed at as many positions as
    their first layer, relative positions twice a frame, the decoder on a token for each frame, and attention over a
    whole group's frames.
    """
    matrices, plan = _plan(run.model, run.lowrank, size)
    model = run.model
    once = [matrix for matrix in matrices if not matrix.name.startswith("decoder.")]
    least = sum(matrix.operations for matrix in once)
    places = sum(_convolved(model, modality)[0] * _convolved(model, modality)[1] for modality in model.modalities)
    attended = 8 * run.train.group_frames * model.dim * (2 * model.layers + 2 * model.decoder_layers)
    parameters = plan["parameters"] + sum(max(0, matrix.operations - matrix.parameters) for matrix in matrices)
    most = places + 4 * parameters + attended
    return float(FRAMES_PER_SECOND * least), float(FRAMES_PER_SECOND * most)


@lru_cache(1024)  # a study has many runs of one structure
def _plan(model: Model, lowrank: LowRank | None, size: int) -> tuple[list[Matrix], dict[str, Any]]:
    plan = with_ranks(list(_matrices(model, size, is_fused(lowrank))), lowrank)
    return plan, summary(_others(model, size) + sum(matrix.parameters for matrix in plan), plan)


def _matrices(model: Model, size: int, fused: bool) -> Iterator[Matrix]:
    """Every matrix of the dense network, in model order."""
    dim = model.dim
    for modality in model.modalities:
        prefix = f"{modality}_" if len(model.modalities) > 1 else ""
        yield _outside(f"{prefix}frontend.projection", dim, _convolved(model, modality)[2])
        yield from _stack(f"{prefix}encoder", model.layers, list(_conformer_block(model, fused)))
    if model.fusion is not None:
        yield _outside("fusion.hidden", model.fusion, 2 * dim, role="fusion")
        yield _outside("fusion.out", dim, model.fusion, role="fusion")
    yield _outside("ctc", size, dim)
    yield from _stack("decoder", model.decoder_layers, list(_decoder_block(model, fused)))
    if model.decoder_layers:
        yield _outside("decoder.output", size, dim)


def _outside(name: str, rows: int, columns: int, role: str = "") -> Matrix:
    """A matrix outside any stack, with a bias."""
    return Matrix(name, role or name, "", 0, 1, rows, columns, rows)


def _stack(stack: str, layers: int, block: list[Shape]) -> Iterator[Matrix]:
    """The matrices of ``layers`` equal blocks."""
    for layer in range(layers):
        for part, role, rows, columns, bias in block:
            name, kind = (f"{stack}.blocks.{place}.{part}" for place in (layer, "*"))
            yield Matrix(name, f"{stack}.{role}", stack, layer, layers, rows, columns, rows * bias, kind=kind)


def _conformer_block(model: Model, fused: bool) -> Iterator[Shape]:
    dim = model.dim
    yield from _feedforward("feedforward_in", model)
    yield from _self_attention("attention", dim, fused)
    yield "attention.position", "attention", dim, dim, False
    yield "attention.out", "attention", dim, dim, True
    yield "convolution.expand", "convolution", 2 * dim, dim, True
    yield "convolution.contract", "convolution", dim, dim, True
    yield from _feedforward("feedforward_out", model)


def _decoder_block(model: Model, fused: bool) -> Iterator[Shape]:
    dim = model.dim
    yield from _self_attention("self_attention", dim, fused)
    yield "self_attention.out", "self_attention", dim, dim, True
    for part in ("q", "k", "v", "out"):
        yield f"cross_attention.{part}", "cross_attention", dim, dim, True
    yield from _feedforward("feedforward", model)


def _feedforward(name: str, model: Model) -> Iterator[Shape]:
    yield f"{name}.expand", "feedforward", model.feedforward, model.dim, True
    yield f"{name}.contract", "feedforward", model.dim, model.feedforward, True


def _self_attention(name: str, dim: int, fused: bool) -> Iterator[Shape]:
    if fused:
        yield f"{name}.qkv", name, 3 * dim, dim, True
    else:
        yield from ((f"{name}.qkv.{part}", name, dim, dim, True) for part in "qkv")


def _others(model: Model, size: int) -> int:
    """Parameters outside the matrices: convolutions, norms, position biases, embeddings."""
    dim = model.dim
    norm = 2 * dim
    # Five norms and one over channels, two biases of positions, the depthwise convolution.
    block = 5 * norm + norm + 2 * dim + dim * (model.kernel + 1)
    total = sum(_convolved(model, modality)[0] + model.layers * block + norm for modality in model.modalities)
    if model.fusion is not None:
        total += 2 * model.fusion
    if model.decoder_layers:
        total += size * dim + model.decoder_layers * 3 * norm + norm
    return total


def _convolved(model: Model, modality: Modality) -> tuple[int, int, int]:
    """A front end's convolutions: parameters, largest number of positions per frame, and output numbers per frame."""
    if modality == "video":
        assert model.video_channels is not None
        return _resnet(model.video_channels, _VIDEO_STEM, _KERNEL_3X3), _VIDEO_PLACES, 8 * model.video_channels
    channels = model.channels
    assert channels is not None
    if model.mels is None:
        return _resnet(channels, _WAVE_STEM, 3), _WAVE_PLACES, 8 * channels
    parameters = channels * (_KERNEL_3X3 + 1) + channels * (channels * _KERNEL_3X3 + 1)
    return parameters, 2 * model.mels, channels * ((model.mels + 3) // 4)


def _resnet(channels: int, stem: int, kernel: int) -> int:
    """Parameters of a ResNet-18 (He et al. 2016) of four stages of two blocks, norms included."""
    total = channels * stem + 2 * channels
    widths = [channels, *(channels * 2**stage for stage in range(4) for _ in range(2))]
    for inputs, outputs in pairwise(widths):
        total += inputs * outputs * kernel + outputs * outputs * kernel + 4 * outputs
        if inputs != outputs:
            total += inputs * outputs + 2 * outputs
    return total
