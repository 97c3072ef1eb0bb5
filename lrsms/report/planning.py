"""Works out how large a study must be to detect a difference of a given size, from the variance that it found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from lrsms.base.terminal import open_console
from lrsms.report.cells import Cell
from lrsms.report.summary import Summary, summarise
from lrsms.statistics.power import TARGET, Requirement, power, seeds_needed, units_needed


@dataclass(frozen=True)
class Need:
    """The seeds or speakers that one comparison with the dense baseline needs.

    Attributes:
        cell: the compared cell.
        power: probability that the study detects the difference at its present size; None with one seed, which says
            nothing about the variance between seeds.
        seeds: number of seeds that would be enough, with the same units.
        units: number of speakers or utterances that would be enough, with the same seeds.
    """

    cell: Cell
    power: float | None
    seeds: Requirement
    units: Requirement


def needs(summary: Summary, difference: float) -> list[Need]:
    """The needs of every comparison of a study, with its primary decoder and condition.

    Args:
        summary: the study's results.
        difference: difference of word error rates, as a fraction.
    """
    return [
        _need(cell, difference, summary.keys[0]) for cell in summary.cells if cell.baseline and cell.status != "missing"
    ]


def _need(cell: Cell, difference: float, key: tuple[str, str]) -> Need:
    effect = cell.scores[key].effect if key in cell.scores else None
    if effect is None or effect.seeds < 2:
        unknown = Requirement(None, "at least two seeds of it and of the dense model are needed to tell")
        return Need(cell, None, unknown, unknown)
    components = effect.components
    return Need(
        cell,
        power(components, difference, effect.seeds, effect.units, effective_units=effect.effective_units),
        seeds_needed(components, difference, effect.units, effective_units=effect.effective_units),
        units_needed(components, difference, effect.seeds, evenness=effect.effective_units / effect.units),
    )


def show(folder: Path, difference: float) -> None:
    """Prints what the comparisons of the study in ``folder`` need to detect ``difference`` (a fraction).

    Raises:
        ValueError: one line: the results are missing or malformed, or the difference is not above 0.
    """
    if not 0 < difference < 1:
        raise ValueError(f"--difference {100 * difference:g}: must be a number of points between 0 and 100")
    summary = summarise(folder)
    found = needs(summary, difference)
    if not found:
        raise ValueError(f"{folder}: compares nothing with a dense model yet; there is no variance to plan with")
    console = open_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("cell", "seeds", f"power at {100 * difference:g} points", "seeds needed", "or units needed"):
        table.add_column(heading, justify="left" if heading == "cell" else "right", overflow="fold")
    for need in found:
        shown = "-" if need.power is None else f"{need.power:.2f}"
        table.add_row(need.cell.name, str(need.cell.seeds), shown, _number(need.seeds), _number(need.units))
    console.print(table)
    for line in _notes(summary, found):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _number(requirement: Requirement) -> str:
    return "-" if requirement.number is None else f"{requirement.number:,}"


def _notes(summary: Summary, found: Sequence[Need]) -> list[str]:
    decoder, condition = summary.keys[0]
    sample = summary.samples.get(condition)
    units = f"{sample.unit}s of the {sample.place}" if sample else "speakers or utterances"
    notes = [
        f"{decoder} decoding, {condition}; units are {units}. Needed: for a two-sided 5% test to see it with"
        f" probability {TARGET:g}. A variance from few seeds is uncertain itself: read these as orders of magnitude."
    ]
    reasons = {one.reason: None for need in found for one in (need.seeds, need.units) if one.reason}
    return notes + [f"'-': {reason}." for reason in reasons]
