"""The state of a run in a checkpoint: all that it needs to go on, and putting it back."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lrsms.data.identity import difference, warn_of_unknown_pieces
from lrsms.data.prepared import Prepared
from lrsms.training.checkpoint import Checkpoint, load_checkpoint
from lrsms.training.distributed import ALONE, Ranks


@dataclass(frozen=True)
class Begun:
    """What lies behind a run.

    Attributes:
        step: steps.
        sessions: the content of ``ending.Session`` for each process that took them.
        row: what is to be logged of the last step, if that step is still to be validated.
    """

    step: int = 0
    sessions: Sequence[Mapping[str, Any]] = ()
    row: dict[str, float] | None = None


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
    ranks: Ranks = ALONE,
) -> Begun:
    """Puts the run's last checkpoint back, if there is one, at every rank; how many ranks wrote it does not matter.

    Raises:
        ValueError: it is of other data, another version of the code wrote it, or ranks do not see the same one.
    """
    with nullcontext() if ranks.first else warnings.catch_warnings():
        if not ranks.first:
            warnings.simplefilter("ignore")  # the first rank warns for all
        checkpoint = load_checkpoint(folder / "checkpoints")
    step = 0 if checkpoint is None else checkpoint.step
    if ranks.totals([step * (ranks.rank == rank) for rank in range(ranks.size)]) != [step] * ranks.size:
        raise ValueError(f"{folder / 'checkpoints'}: not every process sees the same; run again")
    if checkpoint is None:
        return Begun()
    if other := difference(checkpoint.extra, prepared.identity):
        raise ValueError(
            f"{folder}: was begun {other} than {prepared.folder} holds now; bring back the corpus as it was, or move "
            "the run's folder elsewhere to start anew"
        )
    if ranks.first:
        warn_of_unknown_pieces(folder, checkpoint.extra, prepared)
    try:
        restore(checkpoint, model, optimizer, total_weights)
        sessions, row = checkpoint.extra["sessions"], checkpoint.extra["row"]
        return Begun(step, [dict(session) for session in sessions], None if row is None else dict(row))
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{folder / 'checkpoints'}: do not fit this version of the model ({reason}); delete it to start anew"
        ) from None


def restore(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, total_weights: Mapping[str, Tensor]
) -> None:
    """Puts a checkpoint's tensors back, in place.

    A parameter that never had a gradient, of a modality that was absent from every step so far, has no moments.

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
    moments = parts["optimizer"]
    for name, parameter in model.named_parameters():
        if not any(f"{key}/{name}" in moments for key in _MOMENTS):
            continue
        for key in _MOMENTS:
            value = moments[f"{key}/{name}"]
            optimizer.state[parameter][key] = value.to(parameter.device)  # fused AdamW keeps its step there too


_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
