"""The panels of a figure, at most three side by side, with one legend below all of them."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrsms.report.series import fold

COLUMN_WIDTH = 3.4
PAGE_WIDTH = 7.0
"""Width in inches of one column of a two-column paper, and of both."""
SINGLE_HEIGHT, PANEL_HEIGHT = 2.3, 1.75
"""Height in inches of a panel in a single row, and of a panel among several rows."""
MOST_PANELS = 12
"""Largest number of panels that fit on a page."""
LEGEND_LINE = 0.16
TITLE_LINE = 0.13
"""Height of a line in inches."""
_CHARACTER, _HANDLE = 0.055, 0.55
"""Width in inches of a letter of the legend, and of the mark beside its text."""


class Canvas:
    """A figure with a panel per title and room for a legend below.

    Attributes:
        figure: the figure; one column wide if it has one panel, else as wide as a page.
        panels: one axes for each title.
    """

    def __init__(
        self, titles: Sequence[str], labels: Sequence[str], share_y: bool = True, height: float | None = None
    ) -> None:
        """An empty figure.

        Args:
            titles: titles of the panels; a single panel shows none.
            labels: labels of the legend, in order; a label for which nothing is drawn is left out in the end.
            share_y: whether panels have the same vertical axis.
            height: height of a panel in inches.
        """
        number = max(1, len(titles))
        columns = 2 if number in (2, 4) else min(number, 3)
        rows = math.ceil(number / columns)
        width = COLUMN_WIDTH if number == 1 else PAGE_WIDTH
        self._labels = list(labels)
        self._legend_columns, legend_lines = _legend(self._labels, width)
        wrapped = [fold(title, int(width / columns / 0.068)) for title in titles] if number > 1 else []
        title_lines = rows * max((title.count("\n") + 1 for title in wrapped), default=0)
        height = height or (SINGLE_HEIGHT if rows == 1 else PANEL_HEIGHT)
        total = rows * height + TITLE_LINE * title_lines + LEGEND_LINE * legend_lines + 0.1
        self.figure = Figure(figsize=(width, total), layout="constrained")
        grid = self.figure.subplots(rows, columns, sharey=share_y, squeeze=False)
        self._columns = columns
        self.panels: list[Axes] = grid.flatten().tolist()[:number]
        for axes in grid.flatten().tolist()[number:]:
            axes.set_axis_off()
        for axes, title in zip(self.panels, wrapped, strict=False):
            axes.set_title(title)

    def finish(self, x: str, y: str, empty: str, from_zero: bool = False) -> Figure:
        """Labels the axes, and draws the grid and the legend. An empty panel gets a text.

        Args:
            x: label of the horizontal axes.
            y: label of the vertical axes.
            empty: text for a panel in which nothing is drawn.
            from_zero: whether the vertical axes begin at zero.
        """
        sns.despine(fig=self.figure)
        entries: dict[Any, Any] = {}
        for index, axes in enumerate(self.panels):
            axes.grid(axis="y", color="0.92", linewidth=0.6)
            axes.set_axisbelow(True)
            if from_zero:  # only after all is drawn: it fixes the upper end too
                axes.set_ylim(bottom=0)
            if index % self._columns == 0:
                axes.set_ylabel(y)
            if index + self._columns >= len(self.panels):
                axes.set_xlabel(x)
            handles, labels = axes.get_legend_handles_labels()
            entries |= dict(zip(labels, handles, strict=True))
            if not handles:
                message = textwrap.fill(empty, 30)
                axes.text(0.5, 0.5, message, transform=axes.transAxes, ha="center", va="center", fontsize=7)
                if axes.get_autoscalex_on():  # ticks of nothing
                    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
        shown = [label for label in dict.fromkeys([*self._labels, *entries]) if label in entries]
        if shown:
            self.figure.legend(
                [entries[label] for label in shown],
                shown,
                loc="outside lower center",
                ncols=min(self._legend_columns, len(shown)),
                frameon=False,
                handlelength=2.6,
                columnspacing=1.4,
                borderaxespad=0.2,
            )
        return self.figure


def ratio_axis(axes: Axes, ratios: Sequence[float]) -> None:
    """Puts ticks at the ratios on a horizontal axis whose unit is log2 of the ratio."""
    axes.set_xticks([math.log2(ratio) for ratio in ratios], [f"{ratio:g}" for ratio in ratios], minor=False)
    axes.set_xticks([], minor=True)
    if ratios:
        axes.set_xlim(math.log2(min(ratios)) - 0.45, math.log2(max(ratios)) + 0.45)


def drawn(values: Any) -> np.ndarray:
    """``values`` of a curve to eight digits: more than a picture can show, and the same on every processor.

    Logarithms and sums may differ in the last bit on a processor with other vector instructions. This changes a
    picture: points on a line are drawn differently from points beside it.
    """
    numbers = np.asarray(values, dtype=np.float64)
    return np.array([float(f"{value:.8g}") for value in numbers.flat]).reshape(numbers.shape)


def band(axes: Axes, x: Sequence[float] | np.ndarray, rows: np.ndarray, color: object) -> None:
    """Draws the range of the ``rows``, ``(seeds, points)``; nothing for one seed."""
    rows = drawn(rows)
    if len(rows) > 1:
        axes.fill_between(x, rows.min(axis=0), rows.max(axis=0), color=color, alpha=0.18, linewidth=0, zorder=1)


def _legend(labels: Sequence[str], width: float) -> tuple[int, int]:
    """Columns and lines of a legend with these labels, within a width in inches; a label may have several lines."""
    if not labels:
        return 1, 0
    longest = max(len(line) for label in labels for line in label.splitlines())
    columns = max(1, min(len(labels), int(width / (_HANDLE + _CHARACTER * longest))))
    rows = math.ceil(len(labels) / columns)
    # It is filled column by column; each column is as high as the lines of its labels.
    heights = [sum(label.count("\n") + 1 for label in labels[i : i + rows]) for i in range(0, len(labels), rows)]
    return columns, max(heights)
