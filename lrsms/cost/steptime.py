"""Step time: dense and low-rank steps take turns in one process on one device, so that slow drift affects both."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lrsms.base.devices import device_name, forget_peak_memory, free, peak_memory_mb, synchronise, timed
from lrsms.base.progress import progress
from lrsms.base.provenance import provenance
from lrsms.cost.ceiling import ceiling
from lrsms.cost.random_data import FRAMES, num_tokens, random_batch, vocabulary
from lrsms.data.batch import network_inputs
from lrsms.methods.build import build_structure
from lrsms.methods.operations import multiply_adds_per_second
from lrsms.methods.plan import Matrix
from lrsms.models.recognizer import Recognizer, reset_buffers
from lrsms.study.expand import step_shape
from lrsms.study.run import Run
from lrsms.training.graphs import use_graphs
from lrsms.training.optimizer import make_optimizer
from lrsms.training.step import accumulate, clip_and_read, group_losses, take_step

WARMUP_STEPS = 3
MIN_PAIRS = 8
PRECISION = 0.03
"""Measuring ends once the interval of the speed-up lies within this share of it."""
PATIENCE = 8
"""On a machine whose times vary too much, measuring ends after this many times the given seconds."""


MOST_GROUPS = 4
"""A step of more groups is timed by so many of them: groups of one size take the same time, whichever they are."""
PARTS = ("data", "forward", "backward", "optimizer")
"""Parts of a training step: the work on a loaded batch before the network, and the three passes."""
PARTS_STEPS = 5


def step_time(run: Run, baseline: Run, device: torch.device, seconds: float, graphs: bool = False) -> dict[str, Any]:
    """Times whole training steps (features, forward, backward, clipping, optimizer) of a run and of its baseline.

    Random utterances fill each group to ``train.group_frames``. Of a step of more than ``MOST_GROUPS`` groups, only so
    many are computed; their time is multiplied, that of the update is not. Steps of both take turns. After warm-up,
    each is timed with the device synchronised, for about ``seconds``. If the speed-up is not yet known to within
    ``PRECISION``, measuring goes on until it is, or until ``PATIENCE`` is over. The parts of a step are timed
    separately, since waiting for the device between them slows a step.

    Where the network changes during training, ``run_ms`` is the time of the last phase. ``phases`` then holds the time
    of a step in each phase, and the share of the training that the phase takes.

    Args:
        run: the run to time.
        baseline: the run that it is compared with.
        device: the device.
        seconds: to measure, about.
        graphs: whether encoders and decoder run as CUDA graphs (``training.graphs``), where the device has them.

    Returns:
        The content of the measurement's file: milliseconds of every step of both, in pairs. If the run is the baseline
        itself, there is no second time. Peak memory is that of the run alone, over all of its phases; None on a CPU,
        which does not count its memory. ``ceiling``, counted, is how many times faster the run could be at most.
    """
    same = step_shape(run) == step_shape(baseline)
    forget_peak_memory(device)  # a worker measures one run after another in one process
    for phase in range(run.num_phases - 1):
        _take(TrainingStep(run, device, phase, graphs))  # the device remembers the peak
        free(device)
    first = TrainingStep(run, device, graphs=graphs)
    _take(first)
    memory = peak_memory_mb(device) if device.type == "cuda" else None
    steps = [first] if same else [TrainingStep(baseline, device, graphs=graphs), first]
    earlier = [TrainingStep(run, device, phase, graphs) for phase in range(run.num_phases - 1)]
    times = in_turns([*steps, *earlier], device, seconds, PATIENCE * seconds)
    parts = [parts_of(step, device) for step in steps]
    phases = {}
    if earlier:
        medians = [statistics.median(each) for each in (*times[len(steps) :], times[len(steps) - 1])]
        shares = zip(run.method.phase_shares, medians, strict=True)
        phases = {"phases": [{"share": share, "median_ms": median} for share, median in shares]}
    times = times[: len(steps)]
    decoded, _ = build_structure(run, first.size)
    return {
        "baseline": same,
        "baseline_ms": times[0],
        "run_ms": [] if same else times[1],
        "median_ms": statistics.median(times[-1]),
        **phases,
        "baseline_parts": parts[0],
        "run_parts": None if same else parts[1],
        "parameters": sum(parameter.numel() for parameter in decoded.parameters()),
        "macs_per_second": multiply_adds_per_second(run, decoded, FRAMES, first.num_tokens),
        "peak_memory_mb": memory,
        "shape": step_shape(run),
        "frames": run.train.group_frames * run.train.groups_per_step,
        "timed_groups": len(first.batches),
        "precision": run.train.precision,
        "mode": first.mode,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "provenance": provenance(),
        "ceiling": None if same else ceiling(run, baseline),
    }


def _take(step: "TrainingStep") -> None:
    """Takes a step; where steps run as graphs, a second one, which records them."""
    step()
    if step.mode == "graphs":
        step()


def in_turns(
    steps: Sequence[Callable[[], object]], device: torch.device, seconds: float, patience: float = 0.0
) -> list[list[float]]:
    """Milliseconds of every step of each network, measured in turns for about ``seconds``; equally many of each.

    With ``patience``, measuring goes on for up to that many seconds, until the interval of the ratio of the first two
    is narrow.
    """
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(WARMUP_STEPS):
        for step in steps:
            timed(step, device)
    began = time.monotonic()
    with progress("step time") as show:
        while (
            len(times[0]) < MIN_PAIRS
            or (elapsed := time.monotonic() - began) < seconds
            or (elapsed < patience and not _is_narrow(times))
        ):
            order = range(len(steps)) if len(times[0]) % 2 == 0 else reversed(range(len(steps)))
            for index in order:  # each goes first in turn
                times[index].append(milliseconds(steps[index], device))
            if (elapsed := time.monotonic() - began) < seconds:
                show(int(elapsed), round(seconds))
    return times


def milliseconds(step: Callable[[], object], device: torch.device) -> float:
    """Milliseconds of a whole step; where only some of its groups are computed, theirs count for all."""
    if not isinstance(step, TrainingStep) or len(step.batches) == step.run.train.groups_per_step:
        return timed(step, device)
    found: dict[str, Tensor] = {}
    groups = timed(lambda: found.update(step.losses()), device)
    update = timed(partial(step.update, found), device)
    return groups * step.run.train.groups_per_step / len(step.batches) + update


def _is_narrow(times: Sequence[Sequence[float]]) -> bool:
    """Whether the 95% interval of the ratio of two medians is within ``PRECISION`` of it; True if there is only one.

    An interval at which measuring stops because it is narrow is right nearly as often (Chow and Robbins 1965).
    """
    from lrsms.statistics.stats import median_ratio  # SciPy: too slow for `plan` to import

    if len(times) < 2:
        return True
    first, second, *_ = times
    ratio, interval = median_ratio(first, second)
    return max(ratio - interval.low, interval.high - ratio) <= PRECISION * ratio


@torch.no_grad()
def network(run: Run, device: torch.device, phase: int | None = None) -> tuple[Recognizer, list[Matrix]]:
    """A run's network with random weights, made where it is used, in training mode; and its plan.

    Only shapes matter for the time of a step. Decompositions would take half a minute at paper scale.
    """
    model, plan = build_structure(run, vocabulary(run), run.num_phases - 1 if phase is None else phase)
    model.to_empty(device=device)
    for parameter in model.parameters():
        parameter.uniform_(-0.05, 0.05)
    reset_buffers(model)
    return model.train(), plan


class TrainingStep:
    """A model with its optimizer, which takes one training step on random data whenever it is called.

    Args:
        run: the run to train.
        device: the device.
        phase: the phase of training, where the network changes; None: the last.
        graphs: whether encoders and decoder run as CUDA graphs, where the device has them.

    Attributes:
        mode: eager or graphs.
        batches: its groups, at most ``MOST_GROUPS``.
    """

    def __init__(self, run: Run, device: torch.device, phase: int | None = None, graphs: bool = False) -> None:
        self.run, self.device = run, device
        self.size = vocabulary(run)
        self.num_tokens = num_tokens(run)
        self.model, self.plan = network(run, device, phase)
        self.optimizer = make_optimizer(run.train, self.model, run.method)
        self.mode = "graphs" if graphs and use_graphs(self.model, device) else "eager"
        num_groups = min(run.train.groups_per_step, MOST_GROUPS)
        self.batches = [random_batch(run, self.size, self.num_tokens) for _ in range(num_groups)]

    def __call__(self) -> None:
        """Takes a step on these groups."""
        self.update(self.losses())

    def losses(self) -> dict[str, Tensor]:
        """Adds up the gradients of the groups."""
        return accumulate(self.model, self.run, self.batches, 0, self.device)

    def update(self, losses: Mapping[str, Tensor]) -> None:
        """Clips the gradients, reads the losses, moves the weights and ends the step."""
        clip_and_read(self.model, losses, self.run.train.clip)
        take_step(self.run, self.model, self.plan, self.optimizer, step=0, total=1)


def parts_of(step: TrainingStep, device: torch.device) -> dict[str, float]:
    """Median milliseconds of each of a step's ``PARTS``; the device is synchronised between them."""
    run, model = step.run, step.model
    scale = run.train.groups_per_step / len(step.batches)
    spent: list[dict[str, float]] = []
    for _ in range(PARTS_STEPS):
        sums = dict.fromkeys(PARTS, 0.0)
        for batch in step.batches:
            data = timed(partial(network_inputs, batch, run.model, device), device)
            began = time.perf_counter()
            loss = group_losses(model, run, batch, device).joint(run.train.ctc_weight)
            synchronise(device)
            sums["data"] += data
            sums["forward"] += (time.perf_counter() - began) * 1e3 - data  # it begins with the same
            sums["backward"] += timed(loss.backward, device)
        sums = {part: scale * value for part, value in sums.items()}
        sums["optimizer"] = timed(partial(step.update, {"loss": loss.detach()}), device)
        spent.append(sums)
    return {part: statistics.median(sums[part] for sums in spent) for part in PARTS}
