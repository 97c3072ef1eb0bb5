"""What a training leaves, and ways to end one before its time."""

import json

import pytest
import torch

from lrsms.training import loop as training


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def outcome(folder) -> dict:
    return json.loads((folder / "run.json").read_text())


def same_result(one, other) -> bool:
    return all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in ("weights.safetensors", "metrics.jsonl")
    )


class Killed(BaseException):
    """As if by a signal: nothing catches it."""


def killed_after(monkeypatch, steps: int, checkpoints: int | None = None):
    """Ends training after a number of steps; with ``checkpoints``, none is written after that many."""
    real, saved = training.summed_step, []

    def dying(model, run, batches, step, *rest):
        if step == steps:
            raise Killed
        return real(model, run, batches, step, *rest)

    monkeypatch.setattr(training, "summed_step", dying)
    if checkpoints is not None:
        save = training.save_checkpoint

        def saving(folder, checkpoint):
            saved.append(checkpoint.step)
            if len(saved) <= checkpoints:
                save(folder, checkpoint)

        monkeypatch.setattr(training, "save_checkpoint", saving)


def whole_and_killed(run, prepared, make_folder, monkeypatch, *kills: int) -> tuple:
    """The folders of a training without interruption, and of one that was killed after each of these steps."""
    device = torch.device("cpu")
    whole, killed = make_folder(run), make_folder(run)
    training.train(run, prepared, whole, device)
    for steps in kills:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_after(patch, steps)
            training.train(run, prepared, killed, device, checkpoint_seconds=0)
    training.train(run, prepared, killed, device)
    return whole, killed
