"""Draws points with intervals, the common mark of every figure that shows estimates."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from lrsms.report.cells import Estimate
from lrsms.report.series import Look


def points(
    axes: Axes, x: Sequence[float], y: Sequence[Estimate], across: Sequence[Estimate] | None = None, **style: Any
) -> ErrorbarContainer:
    """Draws points at ``x`` and ``y`` with the intervals of ``y``, and with ``across`` if ``x`` are estimates too."""
    return axes.errorbar(
        x,
        [one.value for one in y],
        yerr=_lengths(y),
        xerr=None if across is None else _lengths(across),
        capsize=2,
        elinewidth=0.8,
        markeredgecolor="black",
        markeredgewidth=0.5,
        zorder=3,
        **style,
    )


def look(of: Look) -> dict[str, Any]:
    """The look as keywords of a plot."""
    return {"color": of.color, "linestyle": of.line, "marker": of.marker}


def _lengths(estimates: Sequence[Estimate]) -> list[list[float]]:
    below = [0 if math.isnan(one.interval.low) else one.value - one.interval.low for one in estimates]
    above = [0 if math.isnan(one.interval.high) else one.interval.high - one.value for one in estimates]
    return [below, above]
