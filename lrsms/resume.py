"""The state of a run in a checkpoint: all that it needs to go on, and putting it back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lrsms.checkpoint import Checkpoint, load_checkpoint
from lrsms.data.prepared import Prepared


def capture(
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    total_weights: Mapping[str, Tensor],
    extra: dict[str, Any],
) -> Checkpoint:
    """Everything a run needs to go on after ``step`` steps: random numbers are a function of seed and counters."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"sum/{name}": tensor for name, tensor in total_weights.items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer/{key}/{name}"] = value
    return Checkpoint(step, tensors, extra)


def resume(
    folder: Path,
    prepared: Prepared,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    total_weights: Mapping[str, Tensor],
) -> tuple[int, float]:
    """Puts the run's last checkpoint back, if there is one.

    Returns:
        The steps and the seconds of training that lie behind it.

    Raises:
        ValueError: it is of other data, or another version of the code wrote it.
    """
    checkpoint = load_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        return 0, 0.0
    if checkpoint.extra.get("data_hash") != prepared.data_hash:
        raise ValueError(f"{folder}: was begun on other data than {prepared.folder} holds now; delete it to start anew")
    try:
        restore(checkpoint, model, optimizer, total_weights)
        return checkpoint.step, float(checkpoint.extra["seconds"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{folder / 'checkpoints'}: do not fit this version of the model ({reason}); delete it to start anew"
        ) from None


def restore(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, total_weights: Mapping[str, Tensor]
) -> None:
    """Puts a checkpoint's tensors back, in place.

    Raises:
        KeyError: it lacks a tensor.
        RuntimeError: a tensor has another shape.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "sum": {}, "optimizer": {}}
    for name, tensor in checkpoint.tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = tensor
    model.load_state_dict(parts["model"])
    for name, total in total_weights.items():
        total.copy_(parts["sum"][name])
    for name, parameter in model.named_parameters():
        for key in ("step", "exp_avg", "exp_avg_sq"):
            value = parts["optimizer"][f"{key}/{name}"]
            optimizer.state[parameter][key] = value.to(parameter.device)  # fused AdamW keeps its step there too
