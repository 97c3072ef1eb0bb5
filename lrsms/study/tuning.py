"""Tuning in two stages: a few seeds choose the value of each cell's nuisance fields, then that value gets the seeds.

Trying every value with every seed would waste most of the runs. So a study may name seeds for tuning, which are not
among those by which its cells are compared. Each cell trains every value with them. The value with the lowest error
rate on validation gets the study's seeds. Where that is the last of the values tried, the next one is tried too.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from lrsms.base.strict import Frozen, parse
from lrsms.study.bounds import Seed
from lrsms.study.fields import overlay, value_of
from lrsms.study.more_seeds import by_cell, refuse_unknown_cells
from lrsms.study.run import Run

if TYPE_CHECKING:
    from lrsms.study.expand import Experiment

Stage = Literal["compared", "tuning", "extension", "open"]
"""What a run is for: to be compared; to choose, at a value of the study or at one that was added; or, ``open``, it
stands for a run that is to be compared once its value is chosen."""


class Tune(Frozen):
    """``tune`` in a study's file."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    """Of the runs that choose; below all seeds of the grids, and never part of a comparison."""
    times: dict[str, Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=2)]] = Field(
        default_factory=dict
    )
    """Values of nuisance fields in every grid that does not name them: these multiples of the preset's value."""
    extend: Annotated[int, Field(ge=0, le=10)] = 3
    """How many times a cell whose best value is the last of those tried gets one more."""


class Tuned(Frozen):
    """What tuning has come to in one cell. A value is a mapping from nuisance fields to their values."""

    added: tuple[dict[str, Any], ...] = ()
    """Values beyond the study's that are tried too, in the order in which they were added."""
    chosen: dict[str, Any] | None = None
    """The value that gets the study's seeds; None: it is not known yet, or every run diverged."""


def furthest(*given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Merges several projects' ``tuned``, as JSON has it: of each cell, what its tuning has come to furthest.

    Raises:
        ValueError: two contradict each other: neither is what the other was before.
    """
    found: dict[str, Any] = {}
    for tuned in given:
        for cell, one in (tuned or {}).items():
            before, after = sorted((found.get(cell, one), one), key=_how_far)
            same = before["added"] == after["added"][: len(before["added"])]
            if before != after and (before.get("chosen") is not None or not same):
                raise ValueError(f"'{cell}' is tuned to {before} and to {after}")
            found[cell] = after
    return found or None


def _how_far(one: Mapping[str, Any]) -> tuple[bool, int]:
    return one.get("chosen") is not None, len(one["added"])


def multiples(grid: Mapping[str, Any], tune: Tune | None, preset: Run, where: str) -> dict[str, Any]:
    """A grid with the fields of ``times`` that it does not name.

    Raises:
        ValueError: one line: the preset's value is no number.
    """
    named = {field.strip() for key in grid for field in key.split(",")}
    added: dict[str, list[float]] = {}
    for field, factors in (tune.times if tune else {}).items():
        if field in named:
            continue
        value = value_of(preset, field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(
                f"{where}: 'tune.times' multiplies '{field}', which the preset sets to no number ({value})"
            )
        added[field] = [type(value)(float(f"{factor * value:.12g}")) for factor in factors]
    return {**grid, **added}


def staged(
    experiments: Sequence["Experiment"], tune: Tune, tuned: Mapping[str, Tuned], where: Path
) -> list["Experiment"]:
    """The runs of both stages: first those that choose, then those that are compared.

    A cell whose value is not chosen yet has runs that are ``open``: they stand for those to come, at the middle value.
    A cell with one value has nothing to choose.

    Args:
        experiments: each cell at every value with the study's seeds.
        tune: how the study tunes.
        tuned: by cell, what tuning has come to.
        where: the study's file.

    Raises:
        ValueError: one line: seeds for tuning are among the study's, or there is no such cell.
    """
    cells = by_cell(experiments)
    _check(cells, tune, tuned, where)
    trying, compared = [], []
    for cell, own in cells.items():
        values = list({repr(one.nuisance): one.nuisance for one in own}.values())
        now = tuned.get(cell, Tuned())
        if not own[0].nuisance or len(values) == 1:
            compared += own
            continue
        for value in values:
            trying += _at(own[0], value, tune.seeds, "tuning")
        for value in now.added:
            trying += _at(own[0], value, tune.seeds, "extension")
        chosen = now.chosen or values[(len(values) - 1) // 2]
        seeds = list(dict.fromkeys(one.run.seed for one in own))
        compared += _at(own[0], chosen, seeds, "open" if now.chosen is None else "compared")
    return [*trying, *compared]


def ends(chosen: Mapping[str, Any], tried: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields in which a value is the last of those tried, with the neighbour's value there.

    Only values that are alike in all other fields are neighbours. A field whose values are not all numbers has no ends.
    """
    found = {}
    for field, best in chosen.items():
        line = {value[field] for value in tried if all(value[f] == chosen[f] for f in chosen if f != field)}
        if len(line) > 1 and all(map(_is_number, line)) and best in (min(line), max(line)):
            rising = sorted(line)
            found[field] = rising[1] if best == rising[0] else rising[-2]
    return found


def next_values(
    chosen: Mapping[str, Any], tried: Sequence[Mapping[str, Any]], experiment: "Experiment"
) -> list[dict[str, Any]]:
    """What is to be tried beyond a value that is the last in some field: as many times as much as it is its neighbour.

    Args:
        chosen: the best value.
        tried: all values up to now.
        experiment: any run of the cell; a value that it could not have is not tried.
    """
    values = []
    for field, neighbour in ends(chosen, tried).items():
        best = chosen[field]
        if best <= 0 or neighbour <= 0:  # no factor leads on
            continue
        beyond = float(f"{best * best / neighbour:.6g}")
        value = {**chosen, field: round(beyond) if isinstance(best, int) else beyond}
        if value not in tried and _is_allowed(experiment, value):
            values.append(value)
    return values


def _at(experiment: "Experiment", value: Mapping[str, Any], seeds: Sequence[int], stage: Stage) -> "list[Experiment]":
    """The same cell at a value of its nuisance fields, with these seeds."""
    content = experiment.run.model_dump(mode="json", exclude_none=True)
    run = parse(Run, overlay(content, value, "tune"), f"'{experiment.cell}' at {dict(value)}")
    own = {name: value_of(run, name) for name in experiment.nuisance}
    same = dataclasses.replace(experiment, axes=experiment.axes | own, nuisance=own, stage=stage)
    return [dataclasses.replace(same, run=run.model_copy(update={"seed": seed})) for seed in seeds]


def _is_allowed(experiment: "Experiment", value: Mapping[str, Any]) -> bool:
    try:
        _at(experiment, value, [experiment.run.seed], "extension")
    except ValueError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(cells: Mapping[str, Sequence["Experiment"]], tune: Tune, tuned: Mapping[str, Tuned], where: Path) -> None:
    least = min(one.run.seed for own in cells.values() for one in own)
    if max(tune.seeds) >= least:
        raise ValueError(
            f"{where}: 'tune.seeds' has {max(tune.seeds)}, but seeds for tuning must be below those of the grids"
            f" ({least} and above), which are never used to choose; write a smaller one, such as {least - 1}"
        )
    refuse_unknown_cells(tuned, cells, f"{where}: 'tuned'")
