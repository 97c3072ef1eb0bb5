"""How a figure groups and names cells: which points one line joins, what the legend calls it, where points stand.

Every series has its own marker, so that colour is a help and not needed.
"""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import seaborn as sns

from lrsms.cells import Cell, Summary
from lrsms.tables import short_targets

LABEL_WIDTH = 48
"""Characters of a legend's line that fit into one column."""

_MARKERS = "osD^vP*X<>hd8p"
LINES: list[str | tuple[int, tuple[int, ...]]] = ["-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1))]


@dataclass(frozen=True)
class Series:
    """Low-rank cells that differ in the ratio only, and how they are drawn."""

    label: str
    cells: tuple[Cell, ...]
    color: tuple[float, float, float]
    line: str | tuple[int, tuple[int, ...]]
    marker: str


def all_series(summary: Summary) -> list[Series]:
    """How the low-rank cells are drawn: labels say what is unusual, colours and lines go by target set."""
    groups = _groups(summary)
    common = _most_common(groups)
    sets = list(dict.fromkeys(key[0] for key in groups))
    colors = sns.color_palette("colorblind", max(len(sets), 1))
    result = []
    for index, (key, cells) in enumerate(groups.items()):
        words = [key[0], *(text for text, usual in zip(key[1:], common, strict=True) if text and text != usual)]
        place = sets.index(key[0])
        ordered = tuple(sorted(cells, key=lambda cell: cell.ratio or 0))
        marker = _MARKERS[index % len(_MARKERS)]
        label = textwrap.fill(", ".join(words), LABEL_WIDTH)
        result.append(Series(label, ordered, colors[place], LINES[place % len(LINES)], marker))
    return result


def _groups(summary: Summary) -> dict[tuple[str, ...], list[Cell]]:
    """Low-rank cells that differ in the ratio only, by targets, mapping, initialisation and the study's other axes."""
    groups: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for cell, text in zip(summary.cells, short_targets(summary.cells)[0], strict=True):
        if cell.targets:
            axes = (_named(axis, value) for axis, value in cell.axes.items())
            groups[(text, f"{cell.mapping} mapping", f"{cell.init} init", *axes)].append(cell)
    return groups


def usual_settings(summary: Summary) -> list[str]:
    """What goes without saying in the legend, and belongs into the caption."""
    return [text for text in _most_common(_groups(summary)) if text]


def _most_common(groups: Iterable[tuple[str, ...]]) -> list[str]:
    """What most series share in each place after the targets: not worth a word in their labels."""
    return [Counter(values).most_common(1)[0][0] for values in list(zip(*groups, strict=True))[1:]]


def _named(axis: str, value: str) -> str:
    return f"{axis.split('.')[-1]} {value}" if value else ""


def dense_label(cell: Cell) -> str:
    """What the legend calls a dense cell: what it varies from the study's dense baseline, which is ``dense``."""
    settings = [] if cell.name == "dense" else [_named(axis, value) for axis, value in cell.axes.items() if value]
    return ", ".join(["dense", *settings])


def dodge(cells: Iterable[Cell], place: Callable[[Cell], float], spread: float, near: float) -> dict[str, float]:
    """Positions by cell name: what would lie on top of one another stands side by side around its true place.

    Args:
        cells: to be placed.
        place: true position of a cell.
        spread: distance between neighbours that stand side by side.
        near: largest distance from the first of a crowd to the last.
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
