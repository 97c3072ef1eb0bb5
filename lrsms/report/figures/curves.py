"""Training curves: the loss, and the word error rate on validation, over the steps."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lrsms.report.figures.curve_panels import draw_panels
from lrsms.report.figures.highlights import Line
from lrsms.report.figures.layout import band, drawn
from lrsms.report.figures.material import Drawn, Material, describe_seeds

MOST_POINTS = 400
"""Most points of a line that a picture can show."""


def loss(material: Material) -> Drawn:
    """Training loss against the step."""
    what = "Training loss, averaged over the steps since the previous snapshot,"
    return _draw(material, "loss", 1.0, "training loss", what)


def valid_wer(material: Material) -> Drawn:
    """WER (%) on validation against the step."""
    metric = material.summary.metric
    what = f"{metric.title} on the valid split, measured at the snapshots of training (greedy decoding),"
    return _draw(material, "valid_wer", 100.0, f"validation {metric.short} (%)", what)


def _draw(material: Material, column: str, scale: float, y: str, what: str) -> Drawn:
    def draw_line(axes: Axes, line: Line, curves: list[pd.DataFrame]) -> bool:
        steps, rows = _common(curves, column)
        if len(steps) == 0:
            return False
        rows = scale * rows
        axes.plot(steps, drawn(rows.mean(axis=0)), color=line.look.color, linestyle=line.look.line, label=line.label)
        band(axes, steps, rows, line.look.color)
        return True

    what = f"{what} against the training step. {describe_seeds(material.summary.cells)}"
    return draw_panels(material, y, what, draw_line)


def _common(curves: list[pd.DataFrame], column: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps that all curves have, and the ``(seeds, steps)`` values there."""
    table = pd.concat([curve.set_index("step")[column].dropna() for curve in curves], axis=1, join="inner").sort_index()
    every = max(1, -(-len(table) // MOST_POINTS))
    kept = table.iloc[::-1].iloc[::every].iloc[::-1]  # keeps the last step
    return kept.index.to_numpy(), kept.to_numpy().T
