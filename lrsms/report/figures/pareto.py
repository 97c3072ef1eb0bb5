"""Word error rate against the cost of a model (parameters, multiply-adds or step time), with the Pareto front."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from lrsms.report.cells import Cell, Estimate
from lrsms.report.figures.bars import look, points
from lrsms.report.figures.layout import Canvas
from lrsms.report.figures.material import (
    NOTHING_FINISHED,
    Drawn,
    Material,
    by_condition,
    describe_devices,
    describe_rates,
    title,
)
from lrsms.report.series import Panel, all_panels, dense_labels, dodge, joint_panel
from lrsms.statistics.stats import UNKNOWN, Interval

FRONT = "Pareto front"
_STEP_TIME = "step time (dense = 1)"
_EXPLAINED = (
    "Dense models are stars. The Pareto front joins the models of a panel that no other model beats on one axis"
    " without being worse on the other, by their estimates. Points that coincide are drawn side by side."
)
Cost = Callable[[Cell], Estimate | None]


def by_parameters(material: Material) -> Drawn:
    """WER (%) against the model's parameters in millions; dense models as stars."""
    caption = f"{material.summary.metric.title} against the parameters of the whole model; {material.decoder} decoding."
    return _draw(material, _parameters, "parameters (M)", [caption])


def by_steptime(material: Material) -> Drawn:
    """WER (%) against the time of a training step over the dense baseline's; dense models as stars."""
    caption = [
        f"{material.summary.metric.title} against the time of a training step over the dense baseline's, both measured"
        f" in turns in one process; {material.decoder} decoding. Horizontal bars: 95% intervals of that ratio.",
        *describe_devices(material.summary),
    ]
    return _draw(material, relative, _STEP_TIME, [*caption, *_untimed(material)])


def by_cost(material: Material) -> Drawn:
    """WER (%) under the first condition against parameters, multiply-adds and step time, side by side."""
    summary, panel = material.summary, joint_panel(material.summary)
    condition = summary.conditions[0]
    costs: dict[str, Cost] = {"parameters (M)": _parameters, "multiply-adds (G/s)": _macs, _STEP_TIME: relative}
    labels = [*dense_labels(summary).values(), *(one.label for one in panel.series), FRONT]
    canvas = Canvas(["" for _ in costs], list(dict.fromkeys(labels)))
    for axes, cost in zip(canvas.panels, costs.values(), strict=True):
        _panel(axes, material, panel, condition, cost)
    figure = canvas.finish("", f"{summary.metric.name} (%)", NOTHING_FINISHED, from_zero=True)
    for axes, x in zip(canvas.panels, costs, strict=True):
        axes.set_xlabel(x)
    caption = [
        f"{summary.metric.title} under condition {condition} against the parameters of the whole model, its"
        " multiply-adds for a second of audio, and the time of a training step over the dense baseline's;"
        f" {material.decoder} decoding.",
        *describe_devices(summary),
        *_untimed(material),
        _EXPLAINED,
    ]
    return Drawn(figure, [*caption, *describe_rates(material)])


def _untimed(material: Material) -> list[str]:
    """Says which models have no place on an axis of step time."""
    scored = material.scored(material.summary.cells, material.summary.conditions[0])
    unknown = [cell.name for cell in scored if not relative(cell)]
    return [f"Step time not measured: {', '.join(unknown)}."] if unknown else []


def relative(cell: Cell) -> Estimate | None:
    """Time of the cell's training step over that of the dense baseline; None where it was not measured."""
    if cell.speedup is not None:
        speedup, interval = cell.speedup.value, cell.speedup.interval
        return Estimate(1 / speedup, Interval(1 / interval.high, 1 / interval.low))
    # A cell with the baseline's own step has no measurement beside it.
    return Estimate(1.0, UNKNOWN) if cell.step_ms is not None else None


def front(places: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the Pareto front, sorted by the first coordinate: no other place is at least as good in both."""
    best, found = float("inf"), []
    for index in sorted(range(len(places)), key=lambda index: places[index]):
        if places[index][1] < best:
            best = places[index][1]
            found.append(index)
    return found


def _parameters(cell: Cell) -> Estimate | None:
    return None if cell.parameters is None else Estimate(cell.parameters / 1e6, UNKNOWN)


def _macs(cell: Cell) -> Estimate | None:
    return None if cell.macs_per_second is None else Estimate(cell.macs_per_second / 1e9, UNKNOWN)


def _draw(material: Material, cost: Cost, x: str, caption: list[str]) -> Drawn:
    panels = all_panels(material.summary)
    spots, notes = by_condition(material, panels)
    dense = dense_labels(material.summary)
    labels = [*dense.values(), *(one.label for panel in panels for one in panel.series), FRONT]
    titles = [title(material, panel.title, condition) for panel, condition in spots]
    canvas = Canvas(titles, list(dict.fromkeys(labels)))
    for axes, (panel, condition) in zip(canvas.panels, spots, strict=True):
        _panel(axes, material, panel, condition, cost)
    caption.append(_EXPLAINED)
    return Drawn(
        canvas.finish(x, f"{material.summary.metric.name} (%)", NOTHING_FINISHED, from_zero=True),
        [*caption, *notes, *describe_rates(material)],
    )


def _panel(axes: Axes, material: Material, panel: Panel, condition: str, cost: Cost) -> None:
    labels = dense_labels(material.summary)
    costs = {
        cell.name: found
        for cell in material.scored([*(cell for one in panel.series for cell in one.cells), *panel.dense], condition)
        if (found := cost(cell))
    }
    if not costs:
        return
    values = [found.value for found in costs.values()]
    span = (max(values) - min(values)) or max(values)
    cells = [cell for cell in material.summary.cells if cell.name in costs]
    at = dodge(cells, lambda cell: costs[cell.name].value, spread=0.025 * span, near=0.02 * span)

    def mark(cells: Sequence[Cell], **style: Any) -> ErrorbarContainer:
        rates = [material.wer(cell, condition) for cell in cells]
        return points(axes, [at[cell.name] for cell in cells], rates, [costs[cell.name] for cell in cells], **style)

    for cell in panel.dense:
        if cell.name in costs:
            marks = mark([cell], color="black", marker="*", linestyle="none")
            marks[0].set_markersize(8)
            marks[0].set_markerfacecolor(str(min(list(labels).index(cell.name) * 0.3, 0.9)))
            marks.set_label(labels[cell.name])
    for one in panel.series:
        if shown := [cell for cell in one.cells if cell.name in costs]:
            mark(shown, label=one.label, **look(one.look))
    places = [(costs[cell.name].value, material.wer(cell, condition).value) for cell in cells]
    best = [cells[index] for index in front(places)]
    heights = [material.wer(cell, condition).value for cell in best]
    where = [at[cell.name] for cell in best]
    if best[1:]:  # one point makes no line
        axes.plot(where, heights, color="0.6", linewidth=3.5, alpha=0.5, zorder=1, label=FRONT, solid_capstyle="round")
