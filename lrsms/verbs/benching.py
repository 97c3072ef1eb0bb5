"""The verb that measures a machine: training steps in every mode that it offers."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lrsms.study.expand import preset_run
from lrsms.verbs.options import Verb, chosen_device, on_device

if TYPE_CHECKING:
    import torch

    from lrsms.cost.stepbench import Grid


def add(verb: Verb) -> None:
    """Adds these verbs to the command line."""
    added = verb(stepbench, on_device())
    added.add_argument("presets", nargs="*", metavar="PRESET", help="on a GPU, paper-asr and paper-avsr; else tiny-asr")
    added.add_argument("--frames", nargs="+", metavar="N", help="video frames of a step; max: the most that fit a GPU")
    added.add_argument(
        "--ratios", nargs="+", type=float, metavar="R", help="fractions of full rank that are kept (0.25)"
    )
    added.add_argument("--precision", nargs="+", help="default, bfloat16, tf32 (a GPU's) or float32")
    added.add_argument("--modes", nargs="+", help="eager, graphs (on a GPU), compiled")
    added.add_argument("--seconds", type=float, default=480.0, help="time limit; the first cases are measured first")
    added.add_argument("--output", type=Path, help="JSON to write (results/stepbench-<device>.json)")


def stepbench(options: argparse.Namespace) -> None:
    """Times training steps on random data, dense and low rank, and estimates what limits them."""
    from lrsms.base.files import write_json
    from lrsms.cost.stepbench import measure_grid
    from lrsms.cost.stepbench_table import show

    device = chosen_device(options)
    grid = asked_grid(options, device)
    runs = {name: preset_run(name, [], options.config_folder) for name in grid.presets}
    output = options.output or Path(f"results/stepbench-{device.type}.json")
    show(measure_grid(grid, runs, device, options.seconds, lambda result: write_json(output, result.plain())))


def asked_grid(options: argparse.Namespace, device: "torch.device") -> "Grid":
    """The cases to measure: the options', or else those that suit the device.

    Raises:
        ValueError: one line: a value is out of range, or this device cannot measure it.
    """
    from lrsms.cost import stepbench

    usual = stepbench.FULL if device.type == "cuda" else stepbench.SMALL
    frames = usual.frames
    if options.frames:
        frames = tuple(text if text == stepbench.MOST else _frames(text) for text in options.frames)
    grid = stepbench.Grid(
        presets=tuple(options.presets) or usual.presets,
        frames=frames,
        ratios=tuple(options.ratios or usual.ratios),
        precisions=tuple(options.precision or usual.precisions),
        modes=tuple(options.modes or usual.modes),
    )
    for name, values, known in (
        ("--precision", grid.precisions, stepbench.PRECISIONS),
        ("--modes", grid.modes, stepbench.MODES),
    ):
        for value in values:
            if value not in known:
                raise ValueError(f"{name} {value}: use one of {', '.join(known)}")
    for ratio in grid.ratios:
        if not 0 < ratio <= 1:
            raise ValueError(f"--ratios {ratio:g}: must be more than 0 and at most 1")
    ours = (stepbench.MOST in grid.frames, "tf32" in grid.precisions, "graphs" in grid.modes)
    if device.type != "cuda" and any(ours):
        raise ValueError(
            f"--device {device}: '--frames max', '--precision tf32' and '--modes graphs' are for a CUDA device"
        )
    return grid


def _frames(text: str) -> int:
    from lrsms.cost.random_data import FRAMES

    if not text.isdigit() or not int(text) or int(text) % FRAMES:
        raise ValueError(f"--frames {text}: must be a multiple of {FRAMES}, the length of an utterance, or max")
    return int(text)
