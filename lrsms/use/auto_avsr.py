"""Weights of Auto-AVSR's networks (github.com/mpc001/auto_avsr), of its main branch and of tag v1.0.0, under our names.

Both have ESPnet's names. The main branch has the front end and its projection beside the encoder, the tag inside, and
audio-visual networks are of the tag alone. Our networks are the same to the logits, so only names and layouts change: a
pointwise convolution is a matrix here, and the fusion reads audio before video, where theirs reads video first.

What weights do not show is taken to be as in the published configurations: SiLU in the front ends, ReLU in the
feed-forward modules, no mask over later frames, one vector for each 40 ms.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lrsms.base.strict import parse
from lrsms.study.run import MODALITIES, Model, Task

_COUNTER = "num_batches_tracked"
"""Batches that a norm has seen; PyTorch uses it only where a norm has no momentum."""

_ATTENTION = {"linear_q": "qkv.q", "linear_k": "qkv.k", "linear_v": "qkv.v", "linear_out": "out"}
_ENCODER_BLOCK = {
    **{f"self_attn.{theirs}": f"attention.{ours}" for theirs, ours in _ATTENTION.items()},
    "self_attn.linear_pos": "attention.position",
    "self_attn.pos_bias_u": "attention.content_bias",
    "self_attn.pos_bias_v": "attention.position_bias",
    "feed_forward_macaron.w_1": "feedforward_in.expand",
    "feed_forward_macaron.w_2": "feedforward_in.contract",
    "feed_forward.w_1": "feedforward_out.expand",
    "feed_forward.w_2": "feedforward_out.contract",
    "conv_module.pointwise_cov1": "convolution.expand",
    "conv_module.depthwise_conv": "convolution.depthwise",
    "conv_module.norm": "convolution.norm",
    "conv_module.pointwise_cov2": "convolution.contract",
    "norm_ff_macaron": "norm_feedforward_in",
    "norm_mha": "norm_attention",
    "norm_conv": "norm_convolution",
    "norm_ff": "norm_feedforward_out",
    "norm_final": "norm",
}
_DECODER_BLOCK = {
    **{f"self_attn.{theirs}": f"self_attention.{ours}" for theirs, ours in _ATTENTION.items()},
    **{f"src_attn.{theirs}": f"cross_attention.{ours.removeprefix('qkv.')}" for theirs, ours in _ATTENTION.items()},
    "feed_forward.w_1": "feedforward.expand",
    "feed_forward.w_2": "feedforward.contract",
    "norm1": "norm_self",
    "norm2": "norm_cross",
    "norm3": "norm_feedforward",
}
_RESIDUAL_BLOCK = {
    "conv1": "conv1",
    "bn1": "norm1",
    "conv2": "conv2",
    "bn2": "norm2",
    "downsample.0": "shortcut",
    "downsample.1": "shortcut_norm",
}
_STEMS = {
    "audio": {"trunk.conv1": "stem", "trunk.bn1": "norm"},
    "video": {"frontend3D.0": "stem", "frontend3D.1": "norm"},
}
_REST = {
    "decoder.embed.0": "decoder.embedding",
    "decoder.after_norm": "decoder.norm",
    "decoder.output_layer": "decoder.output",
    "ctc.ctc_lo": "ctc",
}
_FUSION = {"fusion.fc1": "fusion.hidden", "fusion.bn1": "fusion.norm", "fusion.fc2": "fusion.out"}


@dataclass(frozen=True)
class Mapped:
    """Weights under our names.

    Attributes:
        weights: float32, of the whole dense network.
        model: what the network is, as far as its weights show it.
        vocabulary: size V.
        called: what each of the weights is called in the checkpoint.
    """

    weights: dict[str, Tensor]
    model: Model
    vocabulary: int
    called: dict[str, str]


def mapped(theirs: Mapping[str, Tensor], task: Task, where: str) -> Mapped:
    """Maps every tensor of a checkpoint.

    Args:
        theirs: a state dict of the network.
        task: of the network.
        where: what errors begin with.

    Raises:
        ValueError: one line: a tensor is missing, has no place in the network, or has another shape than it needs.
    """
    names = _Names(task)
    weights: dict[str, Tensor] = {}
    given_by: dict[str, str] = {}
    for theirs_name, tensor in theirs.items():
        owner, _, leaf = theirs_name.rpartition(".")
        if leaf == _COUNTER and names.ours(f"{owner}.weight") is not None:
            continue
        name = names.ours(theirs_name)
        if name is None:
            raise ValueError(
                f"{where}: key '{theirs_name}' has no place in a network of task '{task}'; {_hint(theirs, task)}"
            )
        if name in weights:
            raise ValueError(f"{where}: keys '{given_by[name]}' and '{theirs_name}' are of the same tensor")
        weights[name], given_by[name] = _laid_out(name, tensor, f"{where}: key '{theirs_name}'"), theirs_name
    model = _model_of(weights, task, where, theirs)
    if "ctc.bias" not in weights:
        raise ValueError(f"{where}: lacks 'ctc.ctc_lo.bias', which every such network has; {_hint(theirs, task)}")
    return Mapped(weights, model, len(weights["ctc.bias"]), given_by)


class _Names:
    """Our names of the tensors of a task's network.

    Args:
        task: the task.
    """

    def __init__(self, task: Task) -> None:
        both = len(MODALITIES[task]) == 2
        self._places = dict(_REST) | (_FUSION if both else {})
        self._blocks: dict[str, tuple[str, Mapping[str, str]]] = {
            "decoder.decoders": ("decoder.blocks", _DECODER_BLOCK)
        }
        for modality in MODALITIES[task]:
            theirs = "aux_encoder" if both and modality == "audio" else "encoder"
            ours = f"{modality}_" if both else ""
            # The tag has the front end and its matrix inside the encoder; the main branch, of one modality, beside it.
            fronts = [(f"{theirs}.frontend", f"{theirs}.embed.0"), *([] if both else [("frontend", "proj_encoder")])]
            for front, projection in fronts:
                names = _STEMS[modality] | {
                    f"trunk.layer{stage + 1}.{place}.{part}": f"blocks.{2 * stage + place}.{name}"
                    for stage, place in itertools.product(range(4), range(2))
                    for part, name in _RESIDUAL_BLOCK.items()
                }
                self._places |= {f"{front}.{part}": f"{ours}frontend.{name}" for part, name in names.items()}
                self._places[projection] = f"{ours}frontend.projection"
            self._places[f"{theirs}.after_norm"] = f"{ours}encoder.norm"
            self._blocks[f"{theirs}.encoders"] = f"{ours}encoder.blocks", _ENCODER_BLOCK

    def ours(self, theirs: str) -> str | None:
        """Our name; None for what is no part of such a network."""
        found = re.fullmatch(r"(.+?)\.(\d+)\.(.+)", theirs)
        if found and found[1] in self._blocks:
            stack, parts = self._blocks[found[1]]
            name = _renamed(found[3], parts)
            return None if name is None else f"{stack}.{found[2]}.{name}"
        return _renamed(theirs, self._places)


def _renamed(name: str, parts: Mapping[str, str]) -> str | None:
    """A name whose beginning is one of the ``parts``, with our name for that."""
    for theirs, ours in parts.items():
        if name == theirs or name.startswith(f"{theirs}."):
            return f"{ours}{name.removeprefix(theirs)}"
    return None


def _laid_out(name: str, tensor: Tensor, where: str) -> Tensor:
    """A tensor as our network has it."""
    if not tensor.is_floating_point():
        raise ValueError(f"{where} holds {tensor.dtype}, not floating-point numbers; weights are needed")
    if re.search(r"convolution\.(expand|contract)\.weight$", name):
        if tensor.ndim != 3 or tensor.shape[2] != 1:
            raise ValueError(f"{where} is {tuple(tensor.shape)}, not a pointwise convolution; no such network is known")
        tensor = tensor.squeeze(2)
    if name == "fusion.hidden.weight":
        video, audio = tensor.chunk(2, dim=1)
        tensor = torch.cat([audio, video], dim=1)
    return tensor.detach().to("cpu", torch.float32).contiguous()


def _model_of(weights: Mapping[str, Tensor], task: Task, where: str, theirs: Mapping[str, Tensor]) -> Model:
    """The dimensions of a network, by the shapes of its weights; which tensors are missing is found out later."""
    first = next(iter(MODALITIES[task]))
    prefix = f"{first}_" if len(MODALITIES[task]) == 2 else ""
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}

    def shape(name: str) -> tuple[int, ...]:
        if name not in shapes:
            raise ValueError(
                f"{where}: lacks what becomes '{name}', which a network of task '{task}' has; {_hint(theirs, task)}"
            )
        return shapes[name]

    def depth(stack: str) -> int:
        places = {int(found[1]) for name in shapes if (found := re.match(rf"{stack}\.blocks\.(\d+)\.", name))}
        return max(places, default=-1) + 1

    def channels(modality: str) -> int:
        return shape(f"{modality}_frontend.stem.weight" if prefix else "frontend.stem.weight")[0]

    attention = f"{prefix}encoder.blocks.0."
    hears, sees = "audio" in MODALITIES[task], "video" in MODALITIES[task]
    try:
        content = {
            "frontend": "wave" if hears else None,
            "channels": channels("audio") if hears else None,
            "video_channels": channels("video") if sees else None,
            "fusion": shape("fusion.hidden.weight")[0] if prefix else None,
            "dim": shape(f"{prefix}encoder.norm.weight")[0],
            "heads": shape(f"{attention}attention.content_bias")[0],
            "feedforward": shape(f"{attention}feedforward_in.expand.weight")[0],
            "layers": depth(f"{prefix}encoder"),
            "kernel": shape(f"{attention}convolution.depthwise.weight")[-1],
            "decoder_layers": depth("decoder"),
            "dropout": 0.1,
            "initialiser": "default",
        }
    except IndexError:
        raise ValueError(f"{where}: a tensor has fewer dimensions than it needs; no such network is known") from None
    return parse(Model, content, where)


def _hint(theirs: Mapping[str, Tensor], task: Task) -> str:
    """What a checkpoint that does not fit a task may be instead."""
    names = " ".join(theirs)
    marks: dict[Task, str] = {"avsr": "aux_encoder.", "vsr": "frontend3D.", "asr": "frontend.trunk.conv1."}
    seems = next((other for other, mark in marks.items() if mark in names), None)
    if seems is None or seems == task:
        return "known are networks of Auto-AVSR's main branch and of its tag v1.0.0, unchanged"
    return f"it seems to be of another task: --task {seems}"
