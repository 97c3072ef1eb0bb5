"""Small networks and runs for tests: every part of the real ones, few numbers."""

from typing import Any

import torch
from torch import nn

from lrsms.base.strict import parse
from lrsms.models.recognizer import Recognizer, build
from lrsms.study.run import MODALITIES, Model, Run

SIZE = 11
"""Vocabulary: blank, nine units, sos/eos."""
VISUAL: dict[str, Any] = {"frontend": None, "video_channels": 2, "video_shrink": 2}
"""What makes a small model or run one of video alone."""
AUDIOVISUAL: dict[str, Any] = {"video_channels": 2, "video_shrink": 2, "fusion": 24}
"""What makes it one of both."""


def small_model(frontend: str | None = "logmel", **changes: Any) -> Model:
    """A ``config.Model`` of 3 encoder and 2 decoder layers, 16 wide."""
    fields: dict[str, Any] = {
        "frontend": frontend,
        "mels": 20 if frontend == "logmel" else None,
        "channels": 4 if frontend is not None else None,
        "dim": 16,
        "heads": 4,
        "feedforward": 32,
        "layers": 3,
        "kernel": 5,
        "decoder_layers": 2,
        "dropout": 0.0,
        "initialiser": "default",
    }
    return Model(**(fields | changes))


def small_run(lowrank: dict[str, Any] | None = None, seed: int = 1, **changes: Any) -> Run:
    """A ``config.Run`` of that model; ``changes`` are of the model."""
    model = small_model(**changes)
    data = {
        "scale": "small",
        "task": next(task for task, modalities in MODALITIES.items() if modalities == model.modalities),
        "corpus": {"kind": "manifest", "name": "none"},
        "tokenizer": {"kind": "characters"},
        "model": model.model_dump(),
        "lowrank": lowrank,
        "train": {
            "steps": 2,
            "group_frames": 40,
            "groups_per_step": 2,
            "lr": 1e-3,
            "betas": [0.9, 0.98],
            "weight_decay": 0.01,
            "warmup": 0.1,
            "clip": 5.0,
            "ctc_weight": 0.3,
            "label_smoothing": 0.1,
            "precision": "float32",
            "snapshots": 1,
            "average": 1,
        },
        "seed": seed,
    }
    return parse(Run, data, "small run")


def lived_in(model: nn.Module) -> nn.Module:
    """The model in float64 with biases, norms and running statistics away from the 0 and 1 at which they start.

    There, one taken for another would go unnoticed.
    """
    generator = torch.Generator().manual_seed(7)
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.2, generator=generator)
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return model


def small_recognizer(frontend: str | None = "logmel", **changes: Any) -> Recognizer:
    """A recogniser in float64, in eval mode, lived in."""
    recognizer = build(small_model(frontend, **changes), SIZE, seed=1)
    lived_in(recognizer).eval()
    return recognizer


def small_inputs(frontend: str, batch: int, frames: int) -> torch.Tensor:
    """Features ``(B, 4T, 20)`` or waves ``(B, 640 T)``, float64."""
    shape = (batch, 4 * frames, 20) if frontend == "logmel" else (batch, 640 * frames)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def small_video(batch: int, frames: int) -> torch.Tensor:
    """Pictures ``(B, T, 40, 40)``, float64: networks take any size."""
    return torch.randn(batch, frames, 40, 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
