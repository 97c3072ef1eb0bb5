"""How soon runs begin to learn: Kaplan-Meier curves of the steps until WER on validation falls below 50%."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lrsms.report import learning
from lrsms.report.figures.curve_panels import draw_panels
from lrsms.report.figures.highlights import Line
from lrsms.report.figures.material import Drawn, Material
from lrsms.statistics.convergence import LEARNED
from lrsms.statistics.survival import kaplan_meier


def draw(material: Material) -> Drawn:
    """The share of a cell's runs that have not learned yet, against the step."""
    what = (
        f"Share of runs whose {material.summary.metric.short} on the valid split has not fallen below"
        f" {100 * LEARNED:g}% yet, against the training step (Kaplan and Meier 1958): runs that never do so are"
        " censored at the end of training. It falls at snapshots only."
    )
    return draw_panels(material, "not learned yet (%)", what, _draw_line)


def _draw_line(axes: Axes, line: Line, curves: list[pd.DataFrame]) -> bool:
    times = [learning.time_of(curve, None) for curve in curves]
    steps, shares = kaplan_meier(times)
    last = max(time.steps for time in times)
    at, share = np.append(steps, last), np.append(shares, shares[-1])
    axes.step(at, 100 * share, where="post", color=line.look.color, linestyle=line.look.line, label=line.label)
    return True
