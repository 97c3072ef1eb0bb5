"""Panels in which each highlighted cell is a line that is made from its seeds' training curves."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes

from lrsms.report.figures.highlights import Line, describe_choice, highlights, labels
from lrsms.report.figures.layout import MOST_PANELS, Canvas
from lrsms.report.figures.material import Drawn, Material, describe_absent, describe_factors

DrawLine = Callable[[Axes, Line, list[pd.DataFrame]], bool]
"""Draws the line of one cell from the curves of its seeds; False where the curves hold nothing to draw."""


def draw_panels(material: Material, y: str, what: str, draw_line: DrawLine) -> Drawn:
    """A panel for each set of targets, with the training step on the x axis.

    Args:
        material: the study.
        y: label of the y axis.
        what: first lines of the caption: what is drawn.
        draw_line: draws one cell.
    """
    groups = highlights(material.summary)
    shown = groups[:MOST_PANELS]
    canvas = Canvas([group.title for group in shown], labels(groups))
    without: list[str] = []
    for axes, group in zip(canvas.panels, shown, strict=True):
        for line in group.finished:
            curves = material.curves(line.cell)
            if len(curves) < line.cell.seeds or not draw_line(axes, line, curves):
                without.append(line.cell.name)
    caption = [
        what,
        *describe_choice(material.summary, groups),
        *describe_factors(material),
        *describe_absent(material.summary.cells),
    ]
    if len(groups) > len(shown):
        caption.append(f"Only the first {len(shown)} of {len(groups)} panels are shown.")
    if without:
        caption.append(f"Not shown, because the record of some seed has no curve: {', '.join(dict.fromkeys(without))}.")
    return Drawn(canvas.finish("step", y, "no finished run has a training curve", from_zero=True), caption)
