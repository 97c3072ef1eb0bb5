"""How soon runs begin to learn: Kaplan-Meier curves of the steps until WER on validation falls below 50%."""

import numpy as np

from lrsms.report import learning
from lrsms.report.figures.highlights import describe_choice, highlights, labels
from lrsms.report.figures.layout import MOST_PANELS, Canvas
from lrsms.report.figures.material import Drawn, Material, describe_absent, describe_factors
from lrsms.statistics.convergence import LEARNED
from lrsms.statistics.survival import kaplan_meier


def draw(material: Material) -> Drawn:
    """Share of a cell's runs that have not learned yet, against the step."""
    groups = highlights(material.summary)
    shown = groups[:MOST_PANELS]
    canvas = Canvas([group.title for group in shown], labels(groups))
    without: list[str] = []
    for axes, group in zip(canvas.panels, shown, strict=True):
        for line in group.finished:
            curves = material.curves(line.cell)
            if len(curves) < line.cell.seeds:
                without.append(line.cell.name)
                continue
            times = [learning.time_of(curve, None) for curve in curves]
            steps, shares = kaplan_meier(times)
            last = max(time.steps for time in times)
            at, share = np.append(steps, last), np.append(shares, shares[-1])
            look = line.look
            axes.step(at, 100 * share, where="post", color=look.color, linestyle=look.line, label=line.label)
    metric = material.summary.metric
    caption = [
        f"Share of runs whose {metric.short} on the valid split has not fallen below {100 * LEARNED:g}% yet, against"
        " the training step (Kaplan and Meier 1958): runs that never do so are censored at the end of training. It"
        " falls at snapshots only.",
        *describe_choice(material.summary, groups),
        *describe_factors(material),
        *describe_absent(material.summary.cells),
    ]
    if len(groups) > len(shown):
        caption.append(f"The first {len(shown)} panels of {len(groups)}.")
    if without:
        caption.append(f"Without a curve in the record of every seed: {', '.join(dict.fromkeys(without))}.")
    return Drawn(canvas.finish("step", "not learned yet (%)", "no finished run has a training curve", True), caption)
