"""The time of training steps on this device, from a few of them. Steps that would take minutes are extrapolated.

To extrapolate, a smaller step is timed, which gives a rate in multiply-adds per second. The multiply-adds of the whole
step over this rate are its time. Such a time is labelled extrapolated, since a device's rate depends on the size of its
work.
"""

import statistics
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lrsms.base.progress import progress
from lrsms.cost.counts import mean_over_phases, multiply_adds_per_step
from lrsms.cost.random_data import FRAMES
from lrsms.cost.steptime import TrainingStep, milliseconds
from lrsms.study.run import Run

SECONDS = 20.0
"""Seconds that the measurement of one shape may take, about."""
STEPS = 3
"""Number of timed steps, after one step of warm-up."""


@dataclass(frozen=True)
class StepRate:
    """Milliseconds of a training step, measured or extrapolated from a smaller step."""

    milliseconds: float
    extrapolated: bool


def measure_steps(runs: Mapping[str, Run], device: torch.device, seconds: float = SECONDS) -> dict[str, StepRate]:
    """Times a few training steps of each run; runs with the least work come first.

    For the first run, a step of one utterance and one of one group are timed before the whole step. A run whose steps
    would take more than ``seconds``, by the rate found so far, is timed on the part of a step that fits, or not at all.

    Args:
        runs: one of each shape, by any name.
        device: the device to measure on.
        seconds: time for each run, without building the network.
    """
    work = {name: multiply_adds_per_step(run) for name, run in runs.items()}
    result: dict[str, StepRate] = {}
    rate: float | None = None
    with progress("measure steps") as show:
        for number, name in enumerate(sorted(runs, key=lambda name: work[name])):
            run = runs[name]
            parts = {multiply_adds_per_step(part): part for part in _parts(run)}
            if rate is not None:  # straight to the largest part that fits
                fitting = [amount for amount in parts if (1 + STEPS) * amount / rate <= seconds]
                parts = {amount: parts[amount] for amount in fitting[-1:]}
            measured = 0.0
            for amount, part in parts.items():
                if rate is not None and (1 + STEPS) * amount / rate > seconds:
                    break
                milliseconds = _time(part, device, seconds)
                rate, measured = 1e3 * amount / milliseconds, amount
                result[name] = StepRate(milliseconds, extrapolated=False)
            if measured < work[name]:
                assert rate is not None, "the first run is measured in part at least"
                result[name] = StepRate(1e3 * work[name] / rate, extrapolated=True)
            show(number + 1, len(runs))
    longest = max((rate.milliseconds for rate in result.values() if rate.extrapolated), default=None)
    if longest is not None:
        warnings.warn(
            f"a training step would take up to {longest / 1e3:.0f} s here: times are extrapolated from multiply-adds;"
            " plan on the machine that will train",
            stacklevel=2,
        )
    return result


def _parts(run: Run) -> list[Run]:
    """The run with a step of one utterance, with a step of one group, and as it is."""
    utterance = {"group_frames": min(FRAMES, run.train.group_frames), "groups_per_step": 1}
    changes: list[dict[str, int]] = [utterance, {"groups_per_step": 1}, {}]
    return [run.model_copy(update={"train": run.train.model_copy(update=change)}) for change in changes]


def _time(run: Run, device: torch.device, seconds: float) -> float:
    """Median milliseconds of a few training steps, fewer if they are slow; the mean over phases of training."""
    of_phases = [_time_phase(run, phase, device, seconds / run.num_phases) for phase in range(run.num_phases)]
    return mean_over_phases(run, of_phases)


def _time_phase(run: Run, phase: int, device: torch.device, seconds: float) -> float:
    step = TrainingStep(run, device, phase=phase)
    times = [milliseconds(step, device)]
    began = time.monotonic()
    while len(times) < 1 + STEPS and time.monotonic() - began < seconds:
        times.append(milliseconds(step, device))
    return statistics.median(times[1:] or times)
