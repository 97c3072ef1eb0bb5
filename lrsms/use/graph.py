"""A trained network as one graph from samples and pictures to CTC log-probabilities, for PyTorch alone and for ONNX.

The graph holds no weights: they are its first input, by name, so that they are kept once, in their own file. It is of
any number of utterances and frames.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lrsms.data.audio import log_mel, normalise_waves
from lrsms.data.batch import normalise_video
from lrsms.models.frontends import ResidualBlock, padding_mask
from lrsms.models.recognizer import Recognizer
from lrsms.models.video_frontend import VideoFrontend
from lrsms.study.frames import CROP, SAMPLES_PER_FRAME
from lrsms.study.run import Model

_MOST_FRAMES = 1_000_000
_EXAMPLE = 3, 37
"""Utterances and frames that a graph is traced with; another number of either is as good."""


class PureNetwork(nn.Module):
    """``(weights, inputs, lengths)`` -> CTC log-probabilities ``(B, T, V)``; see ``Network`` for inputs and lengths."""

    def __init__(self, network: "Network") -> None:
        super().__init__()
        self._network = network

    def forward(self, weights: Mapping[str, Tensor], inputs: tuple[Tensor, ...], lengths: Tensor) -> Tensor:
        """The network with ``weights`` in place of its own."""
        named = {f"model.{name}": weight for name, weight in weights.items()}
        return torch.func.functional_call(self._network, named, (inputs, lengths))


class Network(nn.Module):
    """Encoder and CTC head of a recogniser, and what lies before them.

    Args:
        recognizer: in eval mode. Its video front end is exchanged for one that computes the padding too.
        model: its dimensions.
    """

    def __init__(self, recognizer: Recognizer, model: Model) -> None:
        super().__init__()
        self.model = recognizer
        self._mels = model.mels
        self.modalities = model.modalities
        for name, module in list(recognizer.named_children()):
            if isinstance(module, VideoFrontend):
                setattr(recognizer, name, _Unpacked(module))

    def forward(self, inputs: tuple[Tensor, ...], lengths: Tensor) -> Tensor:
        """CTC log-probabilities ``(B, T, V)``.

        Args:
            inputs: by modality, audio first: samples ``(B, 640 T)`` at 16 kHz in [-1, 1], pictures ``(B, T, 88, 88)``
                uint8.
            lengths: ``(B,)`` frames of 40 ms.
        """
        given = dict(zip(self.modalities, inputs, strict=True))
        audio, video = given.get("audio"), given.get("video")
        if audio is not None:
            audio = normalise_waves(audio, lengths) if self._mels is None else log_mel(audio, lengths, self._mels)
        if video is not None:
            video = normalise_video(video, lengths)
        memory, _ = self.model.encode(audio, video, lengths)
        return self.model.ctc_log_probs(memory)

    def example(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs and lengths of some utterances, the same each time."""
        utterances, frames = _EXAMPLE
        generator = torch.Generator().manual_seed(0)
        inputs: list[Tensor] = []
        if "audio" in self.modalities:
            inputs.append(0.1 * torch.randn((utterances, SAMPLES_PER_FRAME * frames), generator=generator))
        if "video" in self.modalities:
            pictures = utterances, frames, CROP, CROP
            inputs.append(torch.randint(256, pictures, generator=generator, dtype=torch.uint8))
        return tuple(inputs), frames - torch.arange(utterances)

    def shapes(self) -> tuple[tuple[dict[int, Any], ...], dict[int, Any]]:
        """The dimensions of inputs and lengths that may have any size, for ``torch.export``."""
        utterances, frames = Dim("utterances", max=4096), Dim("frames", min=5, max=_MOST_FRAMES)
        sizes = {"audio": {0: utterances, 1: SAMPLES_PER_FRAME * frames}, "video": {0: utterances, 1: frames}}
        return tuple(sizes[modality] for modality in self.modalities), {0: utterances}


class _Unpacked(nn.Module):
    """A video front end in eval mode that drops no padding: how many frames are left is no question to a graph."""

    def __init__(self, frontend: VideoFrontend) -> None:
        super().__init__()
        self.shrink = frontend.shrink
        for name, module in frontend.named_children():
            self.add_module(name, module)

    def forward(self, video: Tensor, lengths: Tensor) -> Tensor:
        """The same as in ``VideoFrontend``: ``video (B, T, H, W)``, ``lengths (B,)`` -> ``(B, T, D)``."""
        mask = padding_mask(lengths, video.shape[1])
        video = video.masked_fill(mask[:, :, None, None], 0.0)
        if self.shrink is not None:
            video = F.avg_pool2d(video, self.shrink)
        pictures = self.get_submodule("stem")(video.unsqueeze(1)).transpose(1, 2).flatten(0, 1)
        pictures = F.silu(self.get_submodule("norm")(pictures, None))
        pictures = F.max_pool2d(pictures, 3, stride=2, padding=1)
        for block in cast("Iterable[ResidualBlock]", self.get_submodule("blocks")):
            pictures = block(pictures)
        vectors = pictures.mean((2, 3)).unflatten(0, (video.shape[0], video.shape[1]))
        return self.get_submodule("projection")(vectors.masked_fill(mask.unsqueeze(-1), 0.0))


def weights_of(recognizer: nn.Module) -> dict[str, Tensor]:
    """Everything that the network's function depends on, by name, in the order of the names."""
    return {name: weight.detach().contiguous() for name, weight in sorted(recognizer.state_dict().items())}


@torch.no_grad()
def trace(network: Network, weights: Mapping[str, Tensor]) -> ExportedProgram:
    """The graph of ``PureNetwork`` on a CPU, for ``torch.export.save``."""
    inputs, lengths = network.example()
    network(inputs, lengths)  # what it keeps for all calls, such as mel filters, is then made of real numbers
    shapes = {"weights": dict.fromkeys(weights), "inputs": None, "lengths": None}
    shapes["inputs"], shapes["lengths"] = network.shapes()  # type: ignore[assignment]
    arguments = (dict(weights), inputs, lengths)
    found = torch.export.export(PureNetwork(network).eval(), arguments, dynamic_shapes=shapes, strict=False)
    found.example_inputs = None  # which would be saved, weights and all
    return found
