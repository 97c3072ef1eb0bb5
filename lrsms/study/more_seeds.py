"""More seeds of some cells of a study than its file says: what looks have added."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrsms.base.hints import did_you_mean

if TYPE_CHECKING:
    from lrsms.study.expand import Experiment


def with_more_seeds(experiments: Sequence["Experiment"], seeds: Mapping[str, int], where: Path) -> "list[Experiment]":
    """The same, with as many seeds of the named cells, which follow the largest that they have.

    Args:
        experiments: a study's.
        seeds: how many by cell; what the study has is never taken away.
        where: the study's file.

    Raises:
        ValueError: one line: the study has no such cell.
    """
    cells = by_cell(experiments)
    refuse_unknown_cells(seeds, cells, f"{where}: 'seeds'")
    for name, wanted in seeds.items():
        own = cells[name]
        known = {one.run.seed for one in own}
        added = range(max(known) + 1, max(known) + 1 + wanted - len(known))
        kinds = [one for one in own if one.run.seed == max(known)]
        own += [dataclasses.replace(one, run=one.run.model_copy(update={"seed": n})) for n in added for one in kinds]
    return [experiment for own in cells.values() for experiment in own]


def most_seeds(*given: Mapping[str, int] | str | None) -> dict[str, int] | None:
    """Merges several projects' ``seeds``: each cell has the largest of its numbers; None if no project names a cell."""
    found: dict[str, int] = {}
    for seeds in given:
        if isinstance(seeds, Mapping):
            found |= {cell: max(number, found.get(cell, 0)) for cell, number in seeds.items()}
    return found or None


def refuse_unknown_cells(names: Iterable[str], cells: Collection[str], where: str) -> None:
    """Refuses names of cells that a study does not have.

    Raises:
        ValueError: one line that begins with ``where``.
    """
    for name in names:
        if name not in cells:
            hint = did_you_mean(name, cells, "see the labels of its table")
            raise ValueError(f"{where} names cell '{name}', which the study does not have; {hint}")


def by_cell(experiments: Sequence["Experiment"]) -> "dict[str, list[Experiment]]":
    """A study's runs by the cell that they belong to, in their order."""
    cells: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        cells.setdefault(experiment.cell, []).append(experiment)
    return cells
