"""How far tuning is: which value each cell has chosen, by the records of the runs that choose.

Nothing is remembered but records: asked again, they give the same answer, whenever and wherever a study was stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrsms.base.files import read_json
from lrsms.base.strict import parse
from lrsms.record.run_files import OUTCOME
from lrsms.record.score import EDITS, read_scores
from lrsms.report.hours import hours_of
from lrsms.report.nuisance import Candidate, choose
from lrsms.study import expand
from lrsms.study.expand import Experiment
from lrsms.study.fields import as_text, short_name
from lrsms.study.project import Project
from lrsms.study.tuning import Tuned, furthest, next_values

_COLUMNS = ["run", "status", "decoder", "condition", "words", *EDITS]


@dataclass(frozen=True)
class Tuning:
    """What tuning has come to.

    Attributes:
        tuned: by cell.
        experiments: the study's runs as they follow from it.
        missing: names of runs that are to choose and are not recorded yet.
        pending: names of runs that are to be compared and are not recorded yet, as far as their values are chosen.
        diverged: cells of which every such run diverged; they have no value, and so no runs that are compared.
        extend: how many values may be added to a cell.
        hours: of training that the runs to be compared will take, as those took that chose; 0 while none says so.
    """

    tuned: Mapping[str, Tuned]
    experiments: tuple[Experiment, ...]
    missing: tuple[str, ...]
    pending: tuple[str, ...]
    diverged: tuple[str, ...]
    extend: int
    hours: float

    def __str__(self) -> str:
        """A line for each thing that a reader must know."""
        tuning = [one for one in self.experiments if one.tuning]
        seeds = ", ".join(str(seed) for seed in dict.fromkeys(one.run.seed for one in tuning))
        lines = [
            f"stage 1 of 2, tuning: {len(tuning) - len(self.missing)} of {len(tuning)} runs are recorded (seed {seeds})"
            f"; {len(self.chosen)} of {len(self.tuned)} cells have their value"
        ]
        for cell, one in self.tuned.items():
            if one.added:
                values = ", ".join(_words(value) for value in one.added)
                lines.append(f"'{cell}' was best at the last of its values, so it tries more: {values}")
        lines += [f"'{cell}' has no value: every run that was to choose it diverged" for cell in self.diverged]
        later = [one for one in self.experiments if not one.tuning and one.cell not in self.diverged]
        hours = f" about {self.hours:.1f} hours" if self.hours else ""
        done = len(later) - sum(one.open for one in later) - len(self.pending)
        lines.append(
            f"stage 2 of 2, at the value that was best on validation in each cell: {done} of {len(later)} runs are"
            f" recorded{hours and f'; the others take{hours}'}"
        )
        return "\n".join(lines)

    @property
    def chosen(self) -> dict[str, str]:
        """By cell, its value in words."""
        return {cell: _words(one.chosen) for cell, one in self.tuned.items() if one.chosen is not None}


def look(project: Project, folder: Path, records: Path) -> Tuning | None:
    """What the records say now; None where the study does not tune.

    Args:
        project: which study, and how its runs are decoded.
        folder: ``workflow/config``.
        records: folder of the runs' records.

    Raises:
        ValueError: one line: the study or a record is malformed.
    """
    _, study = expand.load_study(project.study, folder)
    if study.tune is None:
        return None
    rows: dict[str, pd.DataFrame] = {}
    tuned: dict[str, Tuned] = {}
    for _ in range(study.tune.extend + 2):  # the last one reads what the one before has added
        experiments = expand.load(project.model_copy(update={"tuned": tuned}), folder)
        tuning = [one for one in experiments if one.tuning]
        for one in tuning:
            if one.name not in rows:
                rows[one.name] = _read(records / one.name, project)
        found = pd.concat([pd.DataFrame(columns=_COLUMNS), *rows.values()])
        candidates = choose(tuning, found, project.decoding)
        before, tuned = tuned, _advance(candidates, tuning, tuned, study.tune.extend)
        if tuned == before:
            break
    missing = tuple(one.name for one in tuning if (rows[one.name]["status"] == "missing").all())
    scores = project.decoding.scores
    pending = tuple(
        one.name for one in experiments if one.stage == "compared" and not (records / one.name / scores).is_file()
    )
    diverged = tuple(cell for cell in tuned if {one.status for one in candidates if one.cell == cell} == {"diverged"})
    return Tuning(
        tuned, tuple(experiments), missing, pending, diverged, study.tune.extend, _hours(experiments, diverged, records)
    )


def known(project: Project, folder: Path, records: Path) -> Project:
    """The project with what tuning has come to, where its study tunes and that is not known."""
    if project.tuned is not None or (tuning := look(project, folder, records)) is None:
        return project
    return project.model_copy(update={"tuned": dict(tuning.tuned)})


def caught_up(project: Project, folder: Path, records: Path) -> Project:
    """A saved project with what its records say of tuning by now: they may have come after it was saved.

    Raises:
        ValueError: one line: they contradict what was saved.
    """
    tuning = look(project, folder, records)
    if tuning is None:
        return project
    said = {cell: one.model_dump(mode="json", exclude_none=True) for cell, one in tuning.tuned.items()}
    saved = {cell: one.model_dump(mode="json", exclude_none=True) for cell, one in (project.tuned or {}).items()}
    try:
        tuned = furthest(saved, said) or {}
    except ValueError as error:
        what = "restore these records, or run the study again"
        raise ValueError(f"study '{project.study}': {error}, the latter by its records; {what}") from None
    return project.model_copy(update={"tuned": {cell: parse(Tuned, one, cell) for cell, one in tuned.items()}})


def _advance(
    candidates: list[Candidate], tuning: list[Experiment], before: Mapping[str, Tuned], most: int
) -> dict[str, Tuned]:
    """What follows for each cell from the runs that there are; a value beyond the last one, where that was the best."""
    result = {}
    for cell in dict.fromkeys(candidate.cell for candidate in candidates):
        own = [candidate for candidate in candidates if candidate.cell == cell]
        best = next((candidate.values for candidate in own if candidate.chosen), None)
        added = before.get(cell, Tuned()).added
        beyond = []
        if best is not None and len(added) < most:
            first = next(one for one in tuning if one.cell == cell)
            beyond = next_values(best, [candidate.values for candidate in own], first)
        result[cell] = Tuned(added=(*added, *beyond)) if beyond else Tuned(added=added, chosen=best)
    return result


def _read(record: Path, project: Project) -> pd.DataFrame:
    """The rows of a run from which ``choose`` chooses; one row without numbers where there are none."""
    path = record / project.decoding.scores
    if not path.is_file():
        return pd.DataFrame([{"run": record.name, "status": "missing"}])
    status = read_json(record / OUTCOME, "restore it, or delete the folder to run it again").get("status")
    if status != "finished":
        return pd.DataFrame([{"run": record.name, "status": "diverged"}])
    return read_scores(path).assign(run=record.name, status="finished")


def _hours(experiments: list[Experiment], diverged: tuple[str, ...], records: Path) -> float:
    """Hours of all runs to be compared and not recorded: as the cell's other runs took, else as all others did."""
    total, usual = 0.0, hours_of([one for one in experiments if not one.open], records)
    for cell in dict.fromkeys(one.cell for one in experiments):
        own = [one for one in experiments if one.cell == cell]
        pending = [one for one in own if not one.tuning and (one.open or not (records / one.name / OUTCOME).is_file())]
        each = hours_of([one for one in own if not one.open], records) or usual
        total += 0.0 if cell in diverged else len(pending) * each
    return total


def _words(value: Mapping[str, object]) -> str:
    return ", ".join(f"{short_name(name)} {as_text(one)}" for name, one in value.items())
