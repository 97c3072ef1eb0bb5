"""What does a device do during a training step: which kernels take how long, and for how long is it idle?

A step that leaves the device idle waits for the host. Where it is busy, the kinds say what a faster step must have less
of. On a GPU the steps are those of the paper's scale; on a CPU a small network's operations show that it works.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.figure import Figure
from benchmarks.stepbench import name_of
from lrsms.base.devices import free, timed
from lrsms.base.kernels import arithmetic
from lrsms.cost.case import Row, variant
from lrsms.cost.steptime import TrainingStep
from lrsms.study.expand import preset_run

KINDS = {
    "convolutions": r"conv|cudnn|implicit_gemm|dgrad|wgrad",
    "attention": r"flash|fmha|attention",
    "matrix products": r"gemm|nvjet|cutlass|xmma|mm$|bmm|matmul|linear",
    "normalisations": r"norm",
    "CTC": r"ctc",
    "optimizer and sums of gradients": r"multi_tensor|foreach|adam",
    "sums and means": r"reduce|sum|mean",
    "copies and casts": r"copy|memcpy|memset|fill|cat|_to_copy",
    "dropout": r"dropout|bernoulli|philox|distribution",
}
"""Kind -> pattern in the name of a kernel; the first that is found counts."""
REST = "other element by element"
SETTINGS = [
    Row(name, 1600, "bfloat16", "graphs", ratio) for name in ("paper-asr", "paper-avsr") for ratio in (None, 0.25)
]
SMALL = [Row("demo-asr", 100, "float32", "eager", ratio) for ratio in (None, 0.25)]
STEPS = 4


def measure(device: torch.device, small: bool) -> Iterator[Figure]:
    """Milliseconds a step for each kind of kernel, and the idle share; dense and low rank."""
    for row in SETTINGS if device.type == "cuda" else SMALL:
        run = variant(preset_run(row.preset), row)
        with arithmetic(row.precision):
            step = TrainingStep(run, device, graphs=row.mode == "graphs")
            several(step)  # graphs are recorded in the second
            elapsed = timed(partial(several, step), device) / STEPS
            spent, launches = of_kinds(step, device)
        name = name_of(row)
        busy = sum(spent.values())
        idle = 100 * max(0.0, 1 - busy / elapsed) if device.type == "cuda" else None
        details = {"step_ms": elapsed, "busy_ms": busy}
        yield Figure(f"{name}: idle", idle, "%", "", details)
        yield Figure(f"{name}: kernels", launches, "a step")
        for kind in sorted(spent, key=spent.__getitem__)[::-1]:
            yield Figure(f"{name}: {kind}", spent[kind], "ms")
        del step
        free(device)


def of_kinds(step: TrainingStep, device: torch.device) -> tuple[dict[str, float], float]:
    """Milliseconds of each kind of kernel in a step, and how many kernels a step has."""
    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity], acc_events=True) as events:
        timed(partial(several, step), device)
    spent: dict[str, float] = defaultdict(float)
    launches = 0
    for event in events.key_averages():
        microseconds = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
        if microseconds > 0:
            spent[kind_of(event.key)] += microseconds / 1e3 / STEPS
            launches += event.count
    return dict(spent), launches / STEPS


def several(step: TrainingStep) -> None:
    """Takes a few steps."""
    for _ in range(STEPS):
        step()


def kind_of(kernel: str) -> str:
    """The kind of a kernel, by its name."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, kernel, re.IGNORECASE)), REST)
