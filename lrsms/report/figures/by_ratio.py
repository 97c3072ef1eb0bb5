"""Word error rate, and losses, against the ratio kept; dense models as horizontal lines with bands."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from matplotlib.axes import Axes

from lrsms.report.cells import Cell, Estimate
from lrsms.report.figures.bars import look, points
from lrsms.report.figures.layout import MOST_PANELS, Canvas, ratio_axis
from lrsms.report.figures.material import (
    NOTHING_FINISHED,
    Drawn,
    Material,
    by_condition,
    describe_rates,
    describe_without_ratio,
    title,
)
from lrsms.report.series import LINES, Panel, all_panels, dense_labels, dodge

_LINE_OF_DENSE = "0.35"
_DENSE = (
    "Dense models are horizontal lines; the first one of a panel has a band for its interval. Series"
    " that coincide are drawn side by side."
)
Value = Callable[[Cell], Estimate | None]


def wer(material: Material) -> Drawn:
    """WER (%) against log2 of the ratio, with panels by condition, and by targets if there are many."""
    panels = _panels(material)
    spots, notes = by_condition(material, panels)
    canvas = Canvas([title(material, panel.title, condition) for panel, condition in spots], _labels(material, panels))
    for axes, (panel, condition) in zip(canvas.panels, spots, strict=True):

        def rate(cell: Cell, condition: str = condition) -> Estimate | None:
            return material.wer(cell, condition) if material.scored([cell], condition) else None

        _draw(axes, material, panel, rate)
    caption = [
        f"{material.summary.metric.title} against the ratio, the fraction of full rank that is kept, by what is"
        f" factorised; {material.decoder} decoding.",
        _DENSE,
        *notes,
        *describe_without_ratio(material),
    ]
    return Drawn(
        canvas.finish("ratio kept", f"{material.summary.metric.name} (%)", NOTHING_FINISHED, from_zero=True),
        [*caption, *describe_rates(material)],
    )


def loss(material: Material) -> Drawn:
    """Losses (nats per token) against log2 of the ratio, one panel for each, and by targets if there are many."""
    panels, condition = _panels(material), material.summary.conditions[0]
    metrics = [metric for metric in material.summary.further if metric.source == "losses"]
    spots = [(metric, panel) for metric in metrics for panel in panels]
    left_out, spots = len(spots[MOST_PANELS:]), spots[:MOST_PANELS]
    titles = [", ".join(text for text in (metric.short, panel.title) if text) for metric, panel in spots]
    canvas = Canvas(titles, _labels(material, panels), share_y=False)
    for axes, (metric, panel) in zip(canvas.panels, spots, strict=False):
        _draw(axes, material, panel, lambda cell, metric=metric: material.measured(cell, metric, condition))  # type: ignore[misc]
    caption = [
        f"Losses against the ratio, the fraction of full rank that is kept, under condition {condition}, in nats per"
        " token of the reference. No decoding is part of them.",
        *(f"{metric.title}: {metric.explained}." for metric in metrics),
        _DENSE,
        *describe_without_ratio(material),
    ]
    if left_out:
        caption.append(f"{left_out} more panels are left out.")
    if any(cell.scores and not cell.further for cell in material.summary.cells):
        caption.append("Cells of which a record was made before losses were kept are not shown.")
    name = f"{metrics[0].short} (nats per token)" if len(metrics) == 1 else "nats per token"  # else titles name them
    figure = canvas.finish("ratio kept", name, "no loss is known", from_zero=True)
    return Drawn(figure, [*caption, *describe_rates(material)])


def _panels(material: Material) -> list[Panel]:
    """All panels, of the series that have a place on this axis; a panel without any is left out where another has."""
    panels = [
        replace(panel, series=tuple(one for one in panel.series if one.cells[0].ratio is not None))
        for panel in all_panels(material.summary)
    ]
    return [panel for panel in panels if panel.series] or panels[:1]


def _labels(material: Material, panels: Sequence[Panel]) -> list[str]:
    dense = dense_labels(material.summary).values()
    return list(dict.fromkeys([*dense, *(one.label for panel in panels for one in panel.series)]))


def _draw(axes: Axes, material: Material, panel: Panel, value: Value) -> None:
    """Draws one panel with the cells that have a value."""
    dense = dense_labels(material.summary)
    for place, (cell, height) in enumerate(_known(panel.dense, value)):
        style = LINES[list(dense).index(cell.name) % len(LINES)]
        axes.axhline(height.value, color=_LINE_OF_DENSE, linestyle=style, zorder=1, label=dense[cell.name])
        if place == 0 and not math.isnan(height.interval.low):
            axes.axhspan(height.interval.low, height.interval.high, color="black", alpha=0.1, zorder=0, linewidth=0)
    everyone = [cell for one in panel.series for cell, _ in _known(one.cells, value)]
    at = dodge(everyone, lambda cell: math.log2(cell.ratio or 1), spread=0.09, near=1e-9)
    for one in panel.series:
        if known := _known(one.cells, value):
            heights = [height for _, height in known]
            points(axes, [at[cell.name] for cell, _ in known], heights, label=one.label, **look(one.look))
    ratio_axis(axes, material.ratios)


def _known(cells: Sequence[Cell], value: Value) -> list[tuple[Cell, Estimate]]:
    return [(cell, found) for cell in cells if (found := value(cell)) is not None]
