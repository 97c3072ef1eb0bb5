"""Plans the next seeds of each cell: a cell gets more where a claim is undecided and has a look left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrsms.report.hours import hours_of, outcomes_of, seconds_of_trainings
from lrsms.report.outcomes import Outcome
from lrsms.statistics import looks
from lrsms.study.expand import Experiment
from lrsms.study.more_seeds import by_cell


@dataclass(frozen=True)
class Step:
    """The next looks of some claims, and their cost.

    Attributes:
        seeds: seeds after this step, of each cell that has more than the study says.
        claims: ids of the claims that come to their next look, the cheapest first.
        runs: number of new runs.
        hours: their training time, by the finished runs of their cells; 0 where none has finished.
        left: ids of the claims that the budget does not reach.
    """

    seeds: Mapping[str, int]
    claims: tuple[str, ...] = ()
    runs: int = 0
    hours: float = 0.0
    left: tuple[str, ...] = ()


def next_step(
    outcomes: Sequence[Outcome],
    experiments: Sequence[Experiment],
    records: Path,
    before: Mapping[str, int],
    budget: float | None = None,
) -> Step:
    """The seeds that bring undecided claims to their next look, the cheapest claim first, within the budget.

    Args:
        outcomes: outcomes of the study's claims. A claim that is decided, or past its last look, asks for nothing.
        experiments: the study's runs, with the seeds that it has now.
        records: folder of the runs' records, which say how long they took.
        before: the seeds that were added up to now, by cell.
        budget: hours of training that are left; None: no limit.
    """
    cells = by_cell(experiments)
    now = {cell: len({one.run.seed for one in own}) for cell, own in cells.items()}
    kinds = {cell: len(own) // now[cell] for cell, own in cells.items()}
    hours = {cell: hours_of(own, records) for cell, own in cells.items()}

    def takes(wanted: Mapping[str, int]) -> tuple[int, float]:
        """Runs and hours that still have to be added."""
        more = {cell: kinds[cell] * max(0, seeds - now[cell]) for cell, seeds in wanted.items()}
        return sum(more.values()), sum(hours[cell] * runs for cell, runs in more.items())

    asked = {outcome.id: wanted for outcome in outcomes if takes(wanted := _wanted(outcome))[0]}
    step = Step(before)
    for name in sorted(asked, key=lambda name: takes(asked[name])[1]):
        runs, more = takes(asked[name])
        if budget is not None and step.hours + more > budget:
            step = Step(step.seeds, step.claims, step.runs, step.hours, (*step.left, name))
            continue
        added = {cell: seeds for cell, seeds in asked[name].items() if seeds > now[cell]}
        now |= added
        step = Step({**step.seeds, **added}, (*step.claims, name), step.runs + runs, step.hours + more, step.left)
    return step


def spent(experiments: Sequence[Experiment], planned: Sequence[Experiment], records: Path) -> float:
    """Training hours of the recorded runs that were added to those of the study's file."""
    own = {one.name for one in planned}
    added = [one for one in experiments if one.name not in own]
    return sum(seconds_of_trainings(outcomes_of(added, records))) / 3600


def _wanted(outcome: Outcome) -> dict[str, int]:
    """The seeds of each cell at the next look of a claim that is undecided."""
    if outcome.verdict != "undecided":
        return {}
    # The look, not the seeds: members of a family may have more of these than the look that all have reached.
    look = looks.next_look(looks.plan(outcome.claim.looks), outcome.look.seeds if outcome.look is not None else 0)
    return {} if look is None else dict.fromkeys(outcome.cells, look.seeds)
