"""The effect of another initialisation, or of another rank mapping, on the word error rate: paired differences."""

import math
from collections import defaultdict
from collections.abc import Callable

from lrsms.report import paired
from lrsms.report.cells import Cell, Estimate
from lrsms.report.figures.bars import look, points
from lrsms.report.figures.layout import MOST_PANELS, Canvas, ratio_axis
from lrsms.report.figures.material import Drawn, Material, describe_rates, describe_without_ratio, title
from lrsms.report.figures.names import REFERENCE_INIT, REFERENCE_MAPPING
from lrsms.report.series import by_targets, dodge, looks_of
from lrsms.statistics.stats import Interval

Level = Callable[[Cell], str]


def by_init(material: Material) -> Drawn:
    """WER change (points) from spectral initialisation, paired by seed and unit, against the ratio."""
    return _draw(material, "initialisation", lambda cell: cell.init, lambda cell: cell.mapping, REFERENCE_INIT)


def by_mapping(material: Material) -> Drawn:
    """WER change (points) from uniform ranks of as many parameters, paired by seed and unit, against the ratio."""
    return _draw(material, "rank mapping", lambda cell: cell.mapping, lambda cell: cell.init, REFERENCE_MAPPING)


def _draw(material: Material, what: str, level: Level, other: Level, reference: str) -> Drawn:
    summary = material.summary
    groups = _groups(material, level, other, reference)
    labels = list(dict.fromkeys(level(cell) for pairs in groups.values() for cell, _ in pairs))
    looks = looks_of(labels)
    conditions = summary.conditions if len(groups) * len(summary.conditions) <= MOST_PANELS else summary.conditions[:1]
    spots = [(name, condition) for condition in conditions for name in groups]
    canvas = Canvas([title(material, name, condition) for name, condition in spots], labels)
    ratios = sorted({cell.ratio for pairs in groups.values() for cell, _ in pairs if cell.ratio is not None})
    unpaired: dict[str, None] = {}
    for axes, (name, condition) in zip(canvas.panels, spots, strict=False):
        scored = [pair for pair in groups[name] if len(material.scored(pair, condition)) == 2]
        pairs = [(cell, before) for cell, before in scored if _before(cell, before)]
        unpaired |= {cell.name: None for cell, before in scored if not _before(cell, before)}
        changes = {cell.name: _change(material, before, cell, condition) for cell, before in pairs}
        cells = [cell for cell, _ in pairs]
        at = dodge(cells, lambda cell: math.log2(cell.ratio or 1), spread=0.12, near=1e-9)
        axes.axhline(0, color="0.35", zorder=1)
        for label in labels:
            if ours := [cell for cell in cells if level(cell) == label]:
                ours.sort(key=lambda cell: cell.ratio or 0)
                estimates = [changes[cell.name] for cell in ours]
                style = look(looks[label]) | {"linestyle": "none"}
                points(axes, [at[cell.name] for cell in ours], estimates, label=label, **style)
        ratio_axis(axes, ratios)
    caption = [
        f"Change of the {summary.metric.name} by the {what}, against {reference} with the same targets, ratio and"
        f" seeds, in percentage points (above zero is worse); {material.decoder} decoding.",
        "Each difference is paired by seed and unit. Points of the same ratio are drawn side by side.",
    ]
    if len(conditions) < len(summary.conditions):
        caption.append(f"Condition {conditions[0]} only: with the others, there are too many panels.")
    caption += describe_without_ratio(material)
    if unpaired:
        caption.append(f"Not shown, because the {reference} cell lacks some of their seeds: {', '.join(unpaired)}.")
    figure = canvas.finish(
        "ratio kept", f"{summary.metric.short} change (points)", f"no run has finished beside its {reference} one"
    )
    return Drawn(figure, [*caption, *describe_rates(material)])


def _groups(material: Material, level: Level, other: Level, reference: str) -> dict[str, list[tuple[Cell, Cell]]]:
    """For each panel, the cells and the cell that each is compared with."""
    found: dict[str, list[tuple[Cell, Cell]]] = defaultdict(list)
    for name, members in by_targets(material.summary).items():
        cells = [cell for _, cell in members if cell.ratio is not None]
        for cell in cells:
            alike = [
                one for one in cells if (one.ratio, other(one), one.varied) == (cell.ratio, other(cell), cell.varied)
            ]
            before = next((one for one in alike if level(one) == reference), None)
            if before is not None and level(cell) != reference:
                several = len({other(one) for one in cells}) > 1 and other(cell) != other(cells[0])
                found[f"{name}, {other(cell)}" if several else name].append((cell, before))
    return found


def _change(material: Material, before: Cell, cell: Cell, condition: str) -> Estimate:
    runs = _before(cell, before), cell.runs
    both = paired.pair(material.edits, [runs], (material.decoder, condition))
    change = paired.change(both)
    return Estimate(100 * change.value, Interval(100 * change.interval.low, 100 * change.interval.high))


def _before(cell: Cell, before: Cell) -> dict[int, str]:
    """Runs of the other cell with this cell's seeds; none if it lacks one of them, as in the table."""
    ours, theirs = cell.runs, before.runs
    return {seed: theirs[seed] for seed in ours} if ours.keys() <= theirs.keys() else {}
