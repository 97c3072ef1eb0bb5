"""The page of a study: its question, verdicts, tables, figures, runs and notes, and how it was made."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lrsms.report import tables, verdict_table
from lrsms.report.figures.write import DRAWINGS
from lrsms.report.pages.landing import HEADLINES
from lrsms.report.pages.markup import Table
from lrsms.report.pages.study_page import facts
from lrsms.report.readable import Readable
from lrsms.report.site.content import Listed, Study
from lrsms.report.site.figure import Sheet
from lrsms.report.site.findings_page import test_parts
from lrsms.report.site.render import link

_ALL = 10**6
"""Characters of a table that leaves no column out."""


def parts(study: Study, runs: Sequence[Listed], figures: Path) -> dict[str, Any]:
    """What the template shows.

    Args:
        study: which one.
        runs: all of its runs.
        figures: its folder of figures; those that are there are shown.
    """
    sheet = Sheet()
    shown = [figure(sheet, figures, name) for name in DRAWINGS if (figures / f"{name}.svg").is_file()]
    claims = verdict_table.readable(study.outcomes)
    short, everything = (tables.readable(study.summary, width) for width in (tables.WIDTH, _ALL))
    return {
        "study": study,
        "verdicts": [test_parts(outcome, pages={}) for outcome in study.outcomes],
        "verdict_notes": claims.notes[len(study.outcomes) :],
        "others": as_table(verdict_table.sensitivity(study.outcomes)),
        "table": as_table(short),
        "everything": as_table(everything),
        "notes": everything.notes,
        "figures": shown,
        "shapes": sheet.shapes,
        "runs": runs_table(runs, study.summary.metric.short),
        "facts": facts(study.project, [one.run for one in runs], study.summary),
    }


def figure(sheet: Sheet, figures: Path, name: str) -> dict[str, Any]:
    """A figure and its caption: the first sentence, and the others."""
    caption = figures / f"{name}.rst"
    text = " ".join(caption.read_text(encoding="utf-8").split()) if caption.is_file() else name
    first, _, rest = text.partition(". ")
    return {"name": name, "svg": sheet.take(figures / f"{name}.svg", first), "first": first.rstrip("."), "rest": rest}


def headline(sheet: Sheet, figures: Path) -> dict[str, Any] | None:
    """The main figure of a study; None where none is drawn."""
    drawn = (name for name in HEADLINES if (figures / f"{name}.svg").is_file())
    return next((figure(sheet, figures, name) for name in drawn), None)


def as_table(readable: Readable) -> Table:
    """A readable table for a page."""
    numeric = frozenset(index for index, column in enumerate(readable.columns) if column.numeric)
    rows = list(zip(*(column.texts for column in readable.columns), strict=True))
    return Table([column.header for column in readable.columns], rows, numeric)


def runs_table(runs: Iterable[Listed], metric: str) -> Table:
    """A row for each run; those that are recorded link to their page."""
    rows = []
    for one in runs:
        experiment, outcome = one.run.experiment, one.run.outcome
        seconds = outcome.get("seconds")
        hours = f"{seconds / 3600:.2f}" if isinstance(seconds, int | float) else "-"
        cell: str | Markup = link(f"../{one.page}", experiment.cell) if one.page else experiment.cell
        rows.append((cell, str(experiment.run.seed), one.run.status, one.rate or "-", hours))
    return Table(("run", "seed", "status", f"{metric} %", "training hours"), rows, frozenset({1, 3, 4}))
