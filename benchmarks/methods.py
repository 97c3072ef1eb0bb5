"""Does a training step of each method of the arena take as long as its multiply-adds say, beside plain low rank's?

Each method's step takes turns with one of plain low rank under AdamW: on a GPU at the paper's scale, on a CPU at that
of `tiny`. A method whose network changes has a figure for each phase. The aim of a figure is the counted ratio of
multiply-adds, and a tenth more. What a method does at some steps only is measured by itself, as a mean over all steps.
"""

from collections.abc import Sequence
from functools import partial
from statistics import median

import torch

from benchmarks.figure import Figure
from benchmarks.shipped import experiments_of
from lrsms.base.devices import free, timed
from lrsms.cost.counts import multiply_adds_of_phases
from lrsms.cost.steptime import TrainingStep, in_turns
from lrsms.statistics.stats import median_ratio
from lrsms.study.files_as_values import ADAMW
from lrsms.study.method import Method
from lrsms.study.run import Run

PLAIN = "plain low rank"
TOTAL = 1000
"""Steps of the training over which work at some steps only is averaged."""


def measure(device: torch.device, small: bool) -> list[Figure]:
    """The time of a step over that of plain low rank, with its 95% interval; and work at some steps over a step."""
    runs = arena("demo" if small else "paper" if device.type == "cuda" else "tiny")
    if small:
        runs = {
            label: run for label, run in runs.items() if label in (PLAIN, "self_guided", "semi_orthogonal", "truncated")
        }
    graphs = device.type == "cuda"
    plain = TrainingStep(runs[PLAIN], device, graphs=graphs)
    (counted_plain,) = multiply_adds_of_phases(runs[PLAIN])
    figures = []
    for label, run in runs.items():
        counts = multiply_adds_of_phases(run)
        for phase, counted in enumerate(counts):
            step = TrainingStep(run, device, phase, graphs)
            times, theirs = in_turns([step, plain], device, seconds=0.0 if small else 20.0)
            ratio, interval = median_ratio(times, theirs)
            bound = counted / counted_plain
            details = {"interval": interval, "counted": bound, "times_ms": times, "plain_ms": theirs}
            name = label if len(counts) == 1 else f"{label}, phase {phase + 1} of {len(counts)}"
            figures.append(Figure(f"{name}: a step", ratio, "x plain low rank's", f"< {1.1 * bound:.3g}", details))
            if phase == len(counts) - 1 and acts(run.method):
                share = at_some_steps(step) / median(theirs)
                figures.append(Figure(f"{label}: at some steps", 100 * share, "% of a step"))
            del step
            free(device)
    return figures


def arena(scale: str) -> dict[str, Run]:
    """One run of each method and of each optimizer of the arena, by what it is called; plain low rank first."""
    experiments = experiments_of("arena", scale, "librispeech" if scale == "paper" else "commands")
    dim = experiments[0].baseline.model.dim
    runs = {label_of(e.run, dim): e.run for e in reversed(experiments)}
    return {PLAIN: runs[PLAIN]} | dict(reversed(runs.items()))


def label_of(run: Run, dim: int) -> str:
    """Names a run; ``dim`` is the preset's. Runs that differ in numbers of a method have one name."""
    if run.lowrank is None:
        label = "dense" if run.model.dim == dim else "narrower dense"
    elif run.lowrank.method is not None:
        label = str(run.lowrank.method).split()[0]
    else:
        label = PLAIN if run.lowrank.mapping == "uniform" else "LR-SMS"
    optimizer = run.train.optimizer
    return label if optimizer in (None, ADAMW) else f"{label}, {optimizer}"


def acts(method: Method) -> bool:
    """Whether a method may do something at some steps that it does not do at others."""
    return type(method).after_step is not Method.after_step or type(method).before_step is not Method.before_step


@torch.no_grad()
def at_some_steps(step: TrainingStep) -> float:
    """Milliseconds a step, over the last phase of a training, that a method takes beyond what it does at every step."""
    method, plan, optimizer = step.run.method, step.plan, step.optimizer
    begin = round(TOTAL * sum(method.phase_shares[:-1]))

    def at(numbers: Sequence[int]) -> None:
        for number in numbers:
            method.before_step(step.model, plan, number, TOTAL)
            method.after_step(step.model, plan, optimizer, number, TOTAL)

    of_phase = range(begin, TOTAL)
    every, first = (timed(partial(at, numbers), step.device) for numbers in (of_phase, [begin] * len(of_phase)))
    return max(0.0, every - first) / len(of_phase)
