"""Runs of a method under an optimizer, moved by gradients that are given: a training without recordings."""

from typing import Any

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_run

from lrsms.base.random_streams import stream
from lrsms.study.files_as_values import OPTIMIZERS
from lrsms.study.run import Run
from lrsms.training.state import State

LOWRANK: dict[str, Any] = {"targets": ["encoder.attention", "decoder.feedforward"], "ratio": 0.5, "qkv": "fused"}
TOTAL = 8
"""Steps of a training."""


def _marks(optimizer: str, task: str) -> tuple[pytest.MarkDecorator, ...]:
    return () if optimizer == "adamw" or task == "asr" else (pytest.mark.slow,)


CASES = pytest.mark.parametrize(
    ("optimizer", "model"),
    [
        pytest.param(optimizer, model, id=f"{optimizer}-{task}", marks=_marks(optimizer, task))
        for optimizer in OPTIMIZERS
        for task, model in (("asr", {}), ("vsr", VISUAL), ("avsr", AUDIOVISUAL))
    ],
)
"""Every optimizer and every task; quick are all optimizers with sound, and all tasks under AdamW."""


def run_of(method: dict[str, Any] | None, optimizer: str = "adamw", decay: float = 0.3, **model: Any) -> Run:
    """A small run; without a method, of plain low rank."""
    run = small_run(LOWRANK | ({"method": method} if method else {}), **model)
    settings = {"weight_decay": decay, "optimizer": optimizer if optimizer != "adamw" else None, "steps": TOTAL}
    return run.model_copy(update={"train": run.train.model_copy(update=settings)})


def stepped(run: Run, steps: int) -> State:
    """The state of a run after its first steps."""
    state = State.at(run, SIZE, torch.device("cpu"), 0, TOTAL)
    for _ in range(steps):
        take(state)
    return state


def take(state: State, scale: float = 1.0) -> None:
    """Takes the next step, by random gradients that the step and the names of the parameters decide."""
    for name, parameter in state.model.named_parameters():
        parameter.grad = scale * torch.randn(parameter.shape, generator=stream(state.step, name))
    state.update(1e-2)
