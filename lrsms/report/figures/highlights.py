"""Selects the cells that get a curve each: few enough that one panel can show them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lrsms.report.cells import Cell
from lrsms.report.series import Look, by_targets, dense_cells, dense_labels, looks_of
from lrsms.report.summary import Summary

DENSE = Look((0.0, 0.0, 0.0), "-", "*")


@dataclass(frozen=True)
class Line:
    """A cell with its label and its look."""

    label: str
    cell: Cell
    look: Look


@dataclass(frozen=True)
class Highlights:
    """Lines that share a panel: dense cells, then low-rank ones of the same targets."""

    title: str
    lines: tuple[Line, ...]

    @property
    def finished(self) -> list[Line]:
        """The lines of cells in which every seed has finished."""
        return [line for line in self.lines if line.cell.status == "finished"]


def highlights(summary: Summary) -> list[Highlights]:
    """A panel for each set of targets.

    If initialisation and rank mapping do not vary, it has every ratio. If they vary, it has all of them at one ratio:
    the ratio with most finished cells, or the middle ratio if several have as many. Cells with a ratio for each target
    are added.
    """
    panels = {name: _chosen(members) for name, members in by_targets(summary).items()} or {"": []}
    dense = dense_labels(summary)
    greys = dict(zip(dense, _greys(len(dense)), strict=True))
    looks = looks_of(label for members in panels.values() for label, _ in members)
    found = []
    for name, members in panels.items():
        beside = dense_cells(summary, [cell for _, cell in members] if members else None)
        lines = [Line(dense[cell.name], cell, greys[cell.name]) for cell in beside]
        found.append(Highlights(name, (*lines, *(Line(label, cell, looks[label]) for label, cell in members))))
    return found


def labels(panels: Sequence[Highlights]) -> list[str]:
    """The labels of all lines, dense ones first."""
    lines = [line for panel in panels for line in panel.lines]
    return list(dict.fromkeys(line.label for line in sorted(lines, key=lambda line: bool(line.cell.targets))))


def describe_choice(summary: Summary, panels: Sequence[Highlights]) -> list[str]:
    """A sentence if a panel leaves cells out."""
    shown = {line.cell.name for panel in panels for line in panel.lines}
    if all(cell.name in shown for cell in summary.cells):
        return []
    return ["Where initialisation or rank mapping vary, they are shown at one ratio."]


def _chosen(members: Sequence[tuple[str, Cell]]) -> list[tuple[str, Cell]]:
    if len({words for words, cell in members if cell.ratio is not None}) > 1:
        ratios = sorted({cell.ratio for _, cell in members if cell.ratio is not None})
        finished = Counter(cell.ratio for _, cell in members if cell.status == "finished")
        middle = ratios[len(ratios) // 2]
        best = max([middle, *ratios], key=lambda ratio: finished[ratio])  # if several have as many, the middle one
        members = [(words, cell) for words, cell in members if cell.ratio in (best, None)]
    ordered = sorted(members, key=lambda member: (member[0] != "", -(member[1].ratio or 0)))
    return [(_label(words, cell), cell) for words, cell in ordered]


def _label(words: str, cell: Cell) -> str:
    """What is kept, and what is unusual: the ratios of the targets are both."""
    if cell.factored.by_target and words:
        return words
    return ", ".join(text for text in (f"{cell.kept} kept", words) if text)


def _greys(number: int) -> list[Look]:
    dashes = ("-", "--", ":", "-.")
    return [
        Look((0.25 * (i % 3),) * 3, dashes[i % 4], "*ph8"[i % 4]) if i else DENSE  # type: ignore[arg-type]
        for i in range(number)
    ]
