"""How fast is a training step, of what the device could do, and what does low rank add?

The aims are for paper scale on a GPU, one for each precision. Low rank makes matrix products cheaper and little else.
Where these are fast already, as in bfloat16, it can gain less. On a CPU, a small network shows that it works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from benchmarks.figure import Figure
from lrsms.cost.case import Row
from lrsms.cost.stepbench import FULL, MOST, SMALL, measure_grid
from lrsms.study.expand import preset_run

SECONDS = 480.0
AIMS = {"paper-asr": "> 1.3", "paper-avsr": "> 1.15"}
"""Speed-up of low rank over dense that the paper reports."""


def measure(device: torch.device, small: bool) -> list[Figure]:
    """Speed-up by low rank, share of the matrix rate and steps per second of every setting."""
    grid = FULL if device.type == "cuda" else SMALL
    if small:
        grid = replace(SMALL, presets=("demo-asr",), frames=(100,))
    runs = {name: preset_run(name) for name in grid.presets}
    rows = measure_grid(grid, runs, device, SECONDS).rows
    largest = {(row.preset, row.precision): row.frames for row in rows if MOST in grid.frames}  # it is measured last
    return figures_of(rows, largest)


def figures_of(rows: Sequence[Row], largest: Mapping[tuple[str, str], int | str]) -> list[Figure]:
    """The figures of rows; where ``largest`` names a row's frames for its preset and precision, the device is full."""
    figures = []
    for row in rows:
        name = name_of(row)
        saturated = row.precision == "bfloat16" and largest.get((row.preset, row.precision)) == row.frames
        figures.append(_share(row, f"{name}: share of the measured matrix rate", saturated))
        if row.ratio is not None:
            aim = AIMS.get(row.preset, "")
            figures.append(Figure(f"{name}: speed over dense", row.speedup, "x", aim, _details(row)))
    return figures


def name_of(row: Row) -> str:
    """The case of a row in a figure's name: its setting, then its network."""
    network = "dense" if row.ratio is None else f"{row.ratio:g} kept"
    return f"{row.preset}, {row.frames} frames, {row.precision}, {row.mode}, {network}"


def _share(row: Row, name: str, saturated: bool) -> Figure:
    percent = None if row.share is None else 100 * row.share
    return Figure(name, percent, "%", "> 40" if saturated and row.ratio is None else "", _details(row))


def _details(row: Row) -> dict[str, object]:
    """The data behind a figure."""
    shown = ("why_not", "times_ms", "teraflops", "parts_ms", "estimated_speedup", "speedup_interval", "break_even")
    return {name: getattr(row, name) for name in shown}
