"""Figures of a study: word error rate against the ratio kept, and against parameters.

Drawn from ``runs.csv`` and ``speakers.csv`` only. Every series has its own marker, so that colour is a help and not
needed; the same data give the same bytes.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from lrsms.cells import Cell, Estimate, Summary, describe_samples, number, summarise
from lrsms.files import write_atomically
from lrsms.series import LINES, Series, all_series, dense_label, dodge, usual_settings
from lrsms.stats import Interval
from lrsms.tables import short_targets

COLUMN_WIDTH = 3.4
PAGE_WIDTH = 7.0
"""Inches: one column of a two-column paper, and both."""
PANEL_HEIGHT = 2.3
LEGEND_LINE = 0.16
"""Inches that a line of the legend takes."""

_STYLE: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "svg.hashsalt": "lrsms",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.5,
    "savefig.dpi": 200,
}
_LINE_OF_DENSE = "0.35"


def write(folder: Path, figures: Path, decoder: str | None = None) -> None:
    """Draws ``wer_by_ratio`` and ``wer_by_parameters`` as PDF and PNG, each with its caption as ``.rst`` beside it.

    Args:
        folder: of ``runs.csv`` and ``speakers.csv``.
        figures: where the files go; made if absent.
        decoder: whose hypotheses are scored; the last one of the configuration if None.

    Raises:
        ValueError: one line: a file is missing or malformed, has no rows, or does not know the decoder.
    """
    summary = summarise(folder)
    decoder = _decoder(summary, decoder, folder)
    for name, draw in DRAWINGS.items():
        with _style():
            figure = draw(summary, decoder)
            for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
                drawn = io.BytesIO()
                figure.savefig(drawn, format=kind, metadata=metadata)
                write_atomically(figures / f"{name}.{kind}", drawn.getvalue())
        write_atomically(figures / f"{name}.rst", f"{caption(summary, name, decoder)}\n".encode())


def by_ratio(summary: Summary, decoder: str) -> Figure:
    """WER (%) against the ratio kept, one panel per condition; dense models as horizontal lines with bands."""
    series = all_series(summary)
    ratios = sorted({cell.ratio for one in series for cell in one.cells if cell.ratio is not None})
    positions = dodge(_scored(summary, lowrank=True), lambda cell: math.log2(cell.ratio or 1), spread=0.09, near=1e-9)
    figure, panels, legend = _layout(summary, series)
    for axes, condition in zip(panels, summary.conditions, strict=True):
        for index, (cell, wer) in enumerate(_dense(summary, decoder, condition)):
            style = LINES[index % len(LINES)]
            axes.axhline(wer.value, color=_LINE_OF_DENSE, linestyle=style, zorder=1, label=dense_label(cell))
            if not math.isnan(wer.interval.low):
                axes.axhspan(wer.interval.low, wer.interval.high, color="black", alpha=0.1, zorder=0, linewidth=0)
        _draw(axes, series, positions, decoder, condition)
        axes.xaxis.set_major_locator(FixedLocator([math.log2(ratio) for ratio in ratios]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{ratio:g}" for ratio in ratios])
        if ratios:
            axes.set_xlim(math.log2(ratios[0]) - 0.45, math.log2(ratios[-1]) + 0.45)
        axes.set_xlabel("ratio kept")
    _finish(figure, panels, legend)
    return figure


def by_parameters(summary: Summary, decoder: str) -> Figure:
    """WER (%) against the model's parameters in millions, one panel per condition; dense models as stars."""
    series = all_series(summary)
    sizes = [cell.parameters / 1e6 for cell in summary.cells if cell.parameters is not None]
    span = (max(sizes) - min(sizes)) or max(sizes) if sizes else 1.0
    everyone = [*_scored(summary, lowrank=True), *_scored(summary, lowrank=False)]
    positions = dodge(everyone, lambda cell: (cell.parameters or 0) / 1e6, spread=0.025 * span, near=0.02 * span)
    figure, panels, legend = _layout(summary, series)
    for axes, condition in zip(panels, summary.conditions, strict=True):
        for index, (cell, wer) in enumerate(_dense(summary, decoder, condition)):
            bars = _bars(axes, [positions[cell.name]], [wer], color="black", marker="*", markersize=8, linestyle="none")
            bars[0].set_markerfacecolor(str(min(index * 0.3, 0.9)))
            bars.set_label(dense_label(cell))
        _draw(axes, series, positions, decoder, condition)
        axes.set_xlabel("parameters (M)")
    _finish(figure, panels, legend)
    return figure


DRAWINGS: dict[str, Callable[[Summary, str], Figure]] = {"wer_by_ratio": by_ratio, "wer_by_parameters": by_parameters}
_SUBJECTS = {
    "wer_by_ratio": "Word error rate against the ratio, the fraction of full rank that is kept",
    "wer_by_parameters": "Word error rate against the parameters of the whole model",
}


def caption(summary: Summary, name: str, decoder: str) -> str:
    """What the figure called ``name`` shows, on what it was counted, and what its bars are."""
    sentences = [f"{_SUBJECTS[name]}, by what is factorised; {decoder} decoding."]
    dense = {"wer_by_ratio": "line and band", "wer_by_parameters": "star"}[name]
    sentences.append(f"The dense model is the {dense}; series are drawn side by side where they coincide.")
    if short_targets(summary.cells)[1]:
        sentences.append("Targets are matrices of the encoder.")
    if usual := usual_settings(summary):
        sentences.append(f"Unless named otherwise: {', '.join(usual)}.")
    sentences += describe_samples(summary)
    absent = sum(cell.status == "missing" for cell in summary.cells)
    diverged = sum(cell.status == "diverged" for cell in summary.cells)
    if absent or diverged:
        sentences.append(f"Not shown: {number(absent, 'unfinished cell')}, {number(diverged, 'diverged cell')}.")
    return " ".join(sentences)


def _decoder(summary: Summary, decoder: str | None, folder: Path) -> str:
    if decoder is None:
        return summary.decoders[-1]
    if decoder not in summary.decoders:
        raise ValueError(f"{folder / 'runs.csv'}: no decoder '{decoder}'; known: {', '.join(summary.decoders)}")
    return decoder


def _scored(summary: Summary, lowrank: bool) -> list[Cell]:
    return [cell for cell in summary.cells if cell.scores and bool(cell.targets) == lowrank]


def _dense(summary: Summary, decoder: str, condition: str) -> Iterator[tuple[Cell, Estimate]]:
    for cell in _scored(summary, lowrank=False):
        if (decoder, condition) in cell.scores:
            yield cell, _percent(cell, decoder, condition)


def _percent(cell: Cell, decoder: str, condition: str) -> Estimate:
    wer = cell.scores[(decoder, condition)].wer
    # Bars end at zero: a t interval of a small rate may go below.
    return Estimate(100 * wer.value, Interval(float(np.maximum(0, 100 * wer.interval.low)), 100 * wer.interval.high))


def _draw(axes: Axes, series: Sequence[Series], positions: dict[str, float], decoder: str, condition: str) -> None:
    for one in series:
        cells = [cell for cell in one.cells if (decoder, condition) in cell.scores]
        if cells:
            rates = [_percent(cell, decoder, condition) for cell in cells]
            at = [positions[cell.name] for cell in cells]
            _bars(axes, at, rates, color=one.color, linestyle=one.line, marker=one.marker, label=one.label)


def _bars(axes: Axes, at: list[float], rates: list[Estimate], **style: Any) -> ErrorbarContainer:
    values = [rate.value for rate in rates]
    below = [0 if math.isnan(rate.interval.low) else rate.value - rate.interval.low for rate in rates]
    above = [0 if math.isnan(rate.interval.high) else rate.interval.high - rate.value for rate in rates]
    return axes.errorbar(
        at,
        values,
        yerr=[below, above],
        capsize=2,
        elinewidth=0.8,
        markeredgecolor="black",
        markeredgewidth=0.5,
        zorder=3,
        **style,
    )


def _layout(summary: Summary, series: Sequence[Series]) -> tuple[Figure, list[Axes], int]:
    """A figure with a panel per condition and room for a legend below, and the legend's number of columns."""
    num_panels = len(summary.conditions)
    width = COLUMN_WIDTH if num_panels == 1 else PAGE_WIDTH
    num_entries = len(series) + len(_scored(summary, lowrank=False))
    longest = max((len(line) for one in series for line in one.label.splitlines()), default=5)
    # A character of the legend takes about 0.055 in, its handle and margins 0.5 in.
    num_columns = max(1, min(num_entries, int(width / (0.5 + 0.055 * longest))))
    lines = math.ceil(num_entries / num_columns) + sum(one.label.count("\n") for one in series)
    columns = min(num_panels, 3)
    rows = math.ceil(num_panels / columns)
    size = (width, rows * PANEL_HEIGHT + LEGEND_LINE * lines + 0.1)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten().tolist()
    for axes in grid[num_panels:]:
        axes.set_axis_off()
    panels = grid[:num_panels]
    for index, (axes, condition) in enumerate(zip(panels, summary.conditions, strict=True)):
        if index % columns == 0:
            axes.set_ylabel("word error rate (%)")
        if num_panels > 1:
            axes.set_title(condition)
    return figure, panels, num_columns


def _finish(figure: Figure, panels: Sequence[Axes], num_columns: int) -> None:
    sns.despine(fig=figure)
    for axes in panels:
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
    entries = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=num_columns,
            frameon=False,
            handlelength=2.6,
            borderaxespad=0.2,
        )
    else:
        panels[0].text(0.5, 0.5, "no run has finished", transform=panels[0].transAxes, ha="center", va="center")


@contextmanager
def _style() -> Iterator[None]:
    with sns.axes_style("ticks"), sns.plotting_context("paper"), mpl.rc_context(_STYLE):
        yield
