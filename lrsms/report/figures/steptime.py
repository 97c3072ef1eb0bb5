"""The time of a training step divided by the dense baseline's, and the time of its parts."""

import math
import statistics
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lrsms.report.cells import Cell, Estimate
from lrsms.report.figures.layout import MOST_PANELS, Canvas
from lrsms.report.figures.material import Drawn, Material, describe_devices, describe_factors
from lrsms.report.figures.pareto import relative
from lrsms.report.series import by_targets, dense_cells, dense_labels, fold

PARTS = {"data": "0.85", "forward": "#56b4e9", "backward": "#0173b2", "optimizer": "#de8f05"}
"""Parts of a step in their order, with colours that also differ in lightness."""
_HATCHES = {"data": "", "forward": "", "backward": "////", "optimizer": "...."}
WHOLE = "whole step"
_EDGE: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.4}
_BAR = 0.15
"""Height in inches of a bar with the gap to the next."""
_LABEL_WIDTH = 24
"""Characters in a line beside a bar."""
Bar = tuple[str, Cell]


def draw(material: Material) -> Drawn:
    """Horizontal bars, one for each ratio, with dense models at the top; a panel for each set of targets."""
    panels, alike = _panels(material)
    shown = dict(list(panels.items())[:MOST_PANELS])
    highest = max((len(bars) for bars in shown.values()), default=1)
    lines = max((label.count("\n") + 1 for bars in shown.values() for label, _ in bars), default=1)
    canvas = Canvas(list(shown), [*PARTS, WHOLE], share_y=False, height=0.45 + _BAR * lines * max(highest, 4))
    times = [relative(cell) for bars in shown.values() for _, cell in bars]
    longest = max((float(np.nanmax([one.value, one.interval.high])) for one in times if one), default=1.0)
    divided = set()
    for axes, bars in zip(canvas.panels, shown.values(), strict=False):
        for place, (_, cell) in enumerate(bars):
            divided.add(_bar(axes, place, cell, material.steptime(cell)))
        axes.set_yticks(range(len(bars)), [label for label, _ in bars])
        axes.set_ylim(max(highest, 2) - 0.4, -0.6)
        axes.set_xlim(0, 1.08 * longest)
        if bars:
            axes.axvline(1, color="0.35", linewidth=0.8, linestyle="--", zorder=3)
    caption = [
        "Time of a training step divided by the dense baseline's: the ratio of the medians of steps that were taken in"
        " turns in one process on one device. Lines are 95% intervals of this ratio.",
        *describe_devices(material.summary),
    ]
    if True in divided:
        caption.append("Bars are divided in proportion to the medians of the parts of a step.")
    if False in divided:
        caption.append("Undivided bars are from measurements that did not time the parts of a step.")
    if alike:
        caption.append("Cells that differ only in initialisation or seed share one measurement.")
    if len(panels) > len(shown):
        caption.append(f"Only the first {len(shown)} of {len(panels)} panels are shown.")
    unknown = [cell.name for cell in material.summary.cells if relative(cell) is None]
    if unknown:
        caption.append(f"Not measured: {', '.join(unknown)}.")
    caption += describe_factors(material)
    figure = canvas.finish("step time (dense = 1)", "ratio kept", "no step time was measured")
    for axes in canvas.panels:
        axes.grid(False, axis="y")
        axes.grid(axis="x", color="0.92", linewidth=0.6)
        if not axes.get_legend_handles_labels()[0]:
            axes.set_yticks([])
    return Drawn(figure, caption)


def _panels(material: Material) -> tuple[dict[str, list[Bar]], bool]:
    """Bars by targets, each measurement once, dense first; and whether cells share a measurement."""
    dense = dense_labels(material.summary)
    groups = by_targets(material.summary) or {"": []}
    found: dict[str, list[Bar]] = {}
    alike = False
    for name, members in groups.items():
        cells = [cell for _, cell in members]
        beside = dense_cells(material.summary, cells) if cells else dense_cells(material.summary)
        several = len({cell.mapping for cell in cells}) > 1
        # A panel with one dense model says how that differs.
        bars = [(fold(dense[cell.name], _LABEL_WIDTH) if beside[1:] else "dense", cell) for cell in beside]
        for cell in sorted(cells, key=lambda cell: -(cell.ratio or 0)):
            label = f"{cell.kept}{f' {cell.mapping}' if several else ''}"
            bars.append((fold(label, _LABEL_WIDTH) if cell.factored.by_target else label, cell))
        once: dict[Any, Bar] = {}
        for label, cell in bars:
            if relative(cell) is not None:
                run = next(iter(cell.runs.values()))
                alike |= material.steptimes.get(run, run) in once
                once.setdefault(material.steptimes.get(run, run), (label, cell))
        found[name] = list(once.values())
    return found, alike


def _bar(axes: Axes, place: int, cell: Cell, content: dict[str, Any] | None) -> bool:
    """Draws one bar, and returns whether it is divided into parts."""
    time = relative(cell)
    assert time is not None
    parts = _parts(content)
    left, total = 0.0, sum(parts.values())
    for name, milliseconds in parts.items():
        width = time.value * milliseconds / total
        style: dict[str, Any] = {"color": PARTS[name], "hatch": _HATCHES[name], **_EDGE}
        axes.barh(place, width, height=0.7, left=left, label=name, zorder=2, **style)
        left += width
    if not parts:
        axes.barh(place, time.value, height=0.7, color="0.7", label=WHOLE, zorder=2, **_EDGE)
    _interval(axes, place, time)
    return bool(parts)


def _interval(axes: Axes, place: int, time: Estimate) -> None:
    if not math.isnan(time.interval.low):
        lengths = [[time.value - time.interval.low], [time.interval.high - time.value]]
        axes.errorbar([time.value], [place], xerr=lengths, color="black", capsize=1.5, linewidth=0.8, zorder=4)


def _parts(content: dict[str, Any] | None) -> dict[str, float]:
    """Median milliseconds of the parts of a step, in order; nothing for an old file, from before they were timed."""
    if content is None:
        return {}
    times = content.get("baseline_parts" if content.get("baseline") else "run_parts") or {}
    medians = {
        name: statistics.median(times[name]) if isinstance(times[name], list) else float(times[name])
        for name in PARTS
        if times.get(name)
    }
    return medians if sum(medians.values()) > 0 else {}
