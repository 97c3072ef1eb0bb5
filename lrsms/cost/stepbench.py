"""Step times over presets, frames, precisions and modes, dense beside low rank, in limited time.

Each case builds the dense network and one low-rank network for each ratio, and times their training steps in turns. The
cases come in the order in which their values are given, so that the most important are measured before the time is up.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import torch

from lrsms.base.devices import device_name, free
from lrsms.base.kernels import arithmetic
from lrsms.base.provenance import provenance
from lrsms.cost.case import Row, measure_case, variant
from lrsms.cost.random_data import FRAMES
from lrsms.cost.roofline import Device, measure_device
from lrsms.cost.steptime import TrainingStep
from lrsms.study.run import Run
from lrsms.training.memory import is_out_of_memory

PRECISIONS = ("default", "bfloat16", "tf32", "float32")
"""``default`` is PyTorch's own setting: matrix products in float32, convolutions in TF32. A run of ``train.precision:
float32`` and Auto-AVSR's code train in it on a GPU. ``tf32`` has both in TF32, ``float32`` neither."""
MODES = ("eager", "graphs", "compiled")
"""``graphs`` is eager mode with encoders and decoder replayed as CUDA graphs (``training.graphs``)."""
MOST = "max"
"""Given in place of a number of frames, it stands for the largest number that fits."""
TIME_WAS_UP = "the time was up"
RESERVE = {"eager": 20.0, "graphs": 25.0, "compiled": 120.0}
"""Seconds that the first case of a mode may need."""


@dataclass(frozen=True)
class Grid:
    """The cases to measure; the most important values of each axis come first.

    Attributes:
        presets: names of presets; their runs are given separately.
        frames: video frames (40 ms) in a step, or ``MOST``.
        ratios: shares of full rank that are kept; the dense network is always measured.
        precisions: some of ``PRECISIONS``.
        modes: some of ``MODES``.
    """

    presets: tuple[str, ...]
    frames: tuple[int | str, ...]
    ratios: tuple[float, ...]
    precisions: tuple[str, ...]
    modes: tuple[str, ...]


FULL = Grid(("paper-asr", "paper-avsr"), (1600, 6400, MOST), (0.25,), PRECISIONS, MODES)
SMALL = Grid(("tiny-asr",), (400,), (0.25,), ("float32",), ("eager",))
"""A small grid for a CPU, to see in less than a minute that it works."""


@dataclass
class Result:
    """Rows so far, and the roofs of the device in each precision."""

    device: torch.device
    roofs: dict[str, Device]
    rows: list[Row]

    def plain(self) -> dict[str, Any]:
        """The content as JSON."""
        return {
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            "roofs": {precision: asdict(roof) for precision, roof in self.roofs.items()},
            "rows": [asdict(row) for row in self.rows],
            "provenance": provenance(),
        }


def measure_grid(
    grid: Grid,
    runs: Mapping[str, Run],
    device: torch.device,
    seconds: float,
    keep: Callable[[Result], object] = lambda result: None,
) -> Result:
    """Measures case after case. A case for which no time is left becomes a row that says so.

    Args:
        grid: the cases.
        runs: the presets, dense.
        device: the device to measure on.
        seconds: time limit. A case begins only if there is time for one as long as the longest so far.
        keep: called after every case with all results so far.
    """
    began = time.monotonic()
    result = Result(device, {}, [])
    longest = dict(RESERVE)
    seen = dict.fromkeys(grid.modes, 0.0)
    most: dict[tuple[str, str], int] = {}
    for precision, frames, mode, preset in product(grid.precisions, grid.frames, grid.modes, grid.presets):
        cases = [Row(preset, frames, precision, mode, ratio) for ratio in (None, *grid.ratios)]
        started = time.monotonic()
        if started - began + longest[mode] > seconds:
            result.rows += [replace(row, why_not=TIME_WAS_UP) for row in cases]
            continue
        if precision not in result.roofs:
            with arithmetic(precision):
                dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
                result.roofs[precision] = measure_device(device, dtype)
        if frames == MOST:
            if (preset, precision) not in most:
                most[preset, precision] = most_frames(runs[preset], grid.ratios, precision, device)
            cases = [replace(row, frames=most[preset, precision]) for row in cases]
        result.rows += measure_case(cases, runs[preset], device, result.roofs[precision])
        seen[mode] = max(seen[mode], time.monotonic() - started)
        longest[mode] = 1.25 * seen[mode]
        keep(result)
    keep(result)
    return result


def most_frames(run: Run, ratios: Sequence[float], precision: str, device: torch.device) -> int:
    """The largest number of frames, by doubling, at which every network takes a step with the others in memory."""
    frames = FRAMES
    while _fits([variant(run, Row("", 2 * frames, precision, "eager", ratio)) for ratio in (None, *ratios)], device):
        frames *= 2
    return frames


def _fits(runs: Sequence[Run], device: torch.device) -> bool:
    """Whether the networks of these runs take a step each, all of them in memory; after it nothing holds them."""
    steps: list[TrainingStep] = []
    try:
        for run in runs:
            steps.append(TrainingStep(run, device))
            steps[-1]()
        for step in steps:
            step()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        steps.clear()
        free(device)
    return True
