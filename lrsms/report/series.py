"""Groups and names the cells of a figure: the points that a line joins, its label, and the places of points.

Every series of a panel has its own marker, so that the figure can be read without colour.
"""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import seaborn as sns

from lrsms.report.cells import Cell
from lrsms.report.summary import Summary
from lrsms.report.tables import short_targets
from lrsms.study.fields import short_name

LABEL_WIDTH = 48
"""Characters of a legend's line that fit into one column."""
MOST_SERIES = 6
"""More series than this in one panel cannot be told apart, so each set of targets gets its own panel."""

_LOW_RANK = "low rank"
_MARKERS = "osD^vP*X<>hd8p"
Dashes = str | tuple[int, tuple[int, ...]]
LINES: list[Dashes] = ["-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1))]


@dataclass(frozen=True)
class Look:
    """Colour, line and marker of a series."""

    color: tuple[float, float, float]
    line: Dashes
    marker: str


@dataclass(frozen=True)
class Series:
    """Low-rank cells that differ only in the ratio, from the lowest ratio on, and their look. A cell with a ratio for
    each target is a series of its own."""

    label: str
    cells: tuple[Cell, ...]
    look: Look


@dataclass(frozen=True)
class Panel:
    """Series that share a panel, with the dense cells that belong beside them.

    Attributes:
        title: what the series share, and series of other panels do not; empty if there is one panel.
        series: low-rank cells.
        dense: the dense cells that these are compared with, and dense cells without any comparison.
    """

    title: str
    series: tuple[Series, ...]
    dense: tuple[Cell, ...]


@dataclass(frozen=True)
class Setting:
    """A low-rank cell in words, without its ratio.

    Attributes:
        targets: the factorised targets.
        factors: rank mapping, initialisation of the factors, and the ratios where each target has its own.
        axes: values of the study's other fields.
    """

    targets: str
    factors: tuple[str, ...]
    axes: tuple[str, ...]


def all_panels(summary: Summary) -> list[Panel]:
    """Every cell of the study, in one panel; if that has too many series, in one panel for each set of targets."""
    groups = settings(summary)
    common = _common(groups)
    if len(groups) <= MOST_SERIES or len({_split(setting, common) for setting in groups}) == 1:
        return [joint_panel(summary)]
    varying = [len(set(texts)) > 1 for texts in zip(*(setting.factors for setting in groups), strict=True)]
    labels = {
        setting: ", ".join(text for text, varies in zip(setting.factors, varying, strict=True) if varies and text)
        or _LOW_RANK
        for setting in groups
    }
    looks = looks_of(labels.values())
    panels: dict[str, list[Series]] = defaultdict(list)
    for setting, cells in groups.items():
        label = labels[setting]
        panels[_split(setting, common)].append(Series(label, _by_ratio(cells), looks[label]))
    return [
        Panel(title, tuple(series), tuple(dense_cells(summary, [cell for one in series for cell in one.cells])))
        for title, series in panels.items()
    ]


def joint_panel(summary: Summary) -> Panel:
    """Every cell of the study in one panel, however many series that has."""
    groups = settings(summary)
    return Panel("", tuple(_joint_series(groups, _common(groups))), tuple(dense_cells(summary)))


def settings(summary: Summary) -> dict[Setting, list[Cell]]:
    """Low-rank cells that differ only in the ratio."""
    groups: dict[Setting, list[Cell]] = defaultdict(list)
    for cell, targets in zip(summary.cells, short_targets(summary.cells)[0], strict=True):
        if targets:
            axes = tuple(_named(axis, value) for axis, value in cell.varied.items())
            by_target = f"{cell.kept} kept" if cell.factored.by_target else ""
            factors = (f"{cell.mapping} mapping", f"{cell.init} init", by_target)
            groups[Setting(by_stack(targets), factors, axes)].append(cell)
    return groups


def by_targets(summary: Summary) -> dict[str, list[tuple[str, Cell]]]:
    """Low-rank cells by their targets and unusual values of the study's other axes, with their unusual factors."""
    groups = settings(summary)
    common = _common(groups)
    found: dict[str, list[tuple[str, Cell]]] = defaultdict(list)
    for setting, cells in groups.items():
        words = ", ".join(_unusual(setting.factors, common.factors))
        found[_split(setting, common)] += [(words, cell) for cell in _by_ratio(cells)]
    return found


def looks_of(labels: Iterable[str]) -> dict[str, Look]:
    """A look for each label, in the order of their first appearance."""
    names = list(dict.fromkeys(labels))
    colors = sns.color_palette("colorblind", max(len(names), 1))
    return {
        name: Look(colors[index], LINES[index % len(LINES)], _MARKERS[index % len(_MARKERS)])
        for index, name in enumerate(names)
    }


def usual_settings(summary: Summary) -> list[str]:
    """The common values that the legend leaves out, for the caption."""
    common = _common(settings(summary))
    return [text for text in (*common.factors, *common.axes) if text]


def dense_cells(summary: Summary, beside: Sequence[Cell] | None = None) -> list[Cell]:
    """The dense cells; with ``beside``, only those that these are compared with, and those without any comparison."""
    dense = [cell for cell in summary.cells if not cell.targets]
    if beside is None:
        return dense
    compared = {cell.baseline for cell in summary.cells if cell.targets}
    ours = {cell.baseline for cell in beside}
    return [cell for cell in dense if cell.name in ours or cell.name not in compared]


def dense_labels(summary: Summary) -> dict[str, str]:
    """Labels of dense cells by name: their difference from the dense baseline, which is ``dense``."""
    dense = dense_cells(summary)
    usual = next((cell.varied for cell in dense if not cell.baseline), {})
    labels = {}
    for cell in dense:
        varied = [_named(axis, value) for axis, value in cell.varied.items() if value and value != usual.get(axis)]
        labels[cell.name] = fold(", ".join(["dense", *(varied if cell.baseline else [])]), LABEL_WIDTH)
    return labels


def dodge(cells: Iterable[Cell], place: Callable[[Cell], float], spread: float, near: float) -> dict[str, float]:
    """Positions by cell name. Cells that would cover one another stand side by side around their true place.

    Args:
        cells: the cells to place.
        place: true position of a cell.
        spread: distance between neighbours that stand side by side.
        near: largest distance from the first to the last cell of such a group.
    """
    crowds: list[list[tuple[float, str]]] = []
    for point in sorted(((place(cell), cell.name) for cell in cells), key=lambda point: point[0]):
        if crowds and point[0] - crowds[-1][0][0] <= near:
            crowds[-1].append(point)
        else:
            crowds.append([point])
    return {
        name: at + spread * (index - (len(crowd) - 1) / 2) for crowd in crowds for index, (at, name) in enumerate(crowd)
    }


def by_stack(targets: Iterable[str]) -> str:
    """Targets with each stack named once: ``encoder attention + feedforward; decoder self attention``."""
    stacks: dict[str, list[str]] = defaultdict(list)
    for target in targets:
        stack, _, part = target.partition(".")
        stacks[stack if part else ""].append((part or stack).replace("_", " "))
    return "; ".join(f"{stack.replace('_', ' ')} {' + '.join(parts)}".strip() for stack, parts in stacks.items())


def fold(text: str, width: int) -> str:
    """The text in as few lines of at most ``width`` characters as possible, of about equal length."""
    lines = len(textwrap.wrap(text, width, break_long_words=False))
    fitting = [w for w in range(1, width + 1) if len(textwrap.wrap(text, w, break_long_words=False)) <= lines]
    return textwrap.fill(text, min(fitting), break_long_words=False)


def _joint_series(groups: dict[Setting, list[Cell]], common: Setting) -> Iterable[Series]:
    """Series of one panel. Labels name unusual values; each set of targets has its colour and line.

    If there is one set, labels leave it out and name what varies.
    """
    by_set = looks_of(setting.targets for setting in groups)
    varying = [len(set(texts)) > 1 for texts in zip(*((*s.factors, *s.axes) for s in groups), strict=True)]
    for index, (setting, cells) in enumerate(groups.items()):
        unusual = _unusual((*setting.factors, *setting.axes), (*common.factors, *common.axes))
        named = [setting.targets, *unusual]
        if len(by_set) == 1 and len(groups) > 1:
            named = [text for text, varies in zip((*setting.factors, *setting.axes), varying, strict=True) if varies]
        label = fold(", ".join(text for text in named if text) or _LOW_RANK, LABEL_WIDTH)
        look = by_set[setting.targets]
        if len(by_set) == 1:
            look = Look(sns.color_palette("colorblind")[index % 10], LINES[index % len(LINES)], look.marker)
        marked = Look(look.color, look.line, _MARKERS[index % len(_MARKERS)])
        yield Series(label, _by_ratio(cells), marked)


def _split(setting: Setting, common: Setting) -> str:
    return ", ".join([setting.targets, *_unusual(setting.axes, common.axes)])


def _unusual(words: Sequence[str], usual: Sequence[str]) -> list[str]:
    return [text for text, other in zip(words, usual, strict=True) if text and text != other]


def _common(groups: Iterable[Setting]) -> Setting:
    """The values that most series share; labels leave them out."""
    found = list(groups)
    factors = (_most_common(place) for place in zip(*(setting.factors for setting in found), strict=True))
    axes = (_most_common(place) for place in zip(*(setting.axes for setting in found), strict=True))
    return Setting("", tuple(factors), tuple(axes))


def _most_common(values: Iterable[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def _by_ratio(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    return tuple(sorted(cells, key=lambda cell: cell.ratio or 0))


def _named(axis: str, value: str) -> str:
    return f"{short_name(axis).replace('_', ' ')} {value}" if value else ""
