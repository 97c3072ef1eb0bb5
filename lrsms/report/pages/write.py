"""Writes the pages of a study's report from its records and aggregates."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrsms.base.files import write_atomically
from lrsms.report import aggregate, tables, verdict_table
from lrsms.report.pages.landing import WIDTH, headline, landing_rst
from lrsms.report.pages.material import Material, load
from lrsms.report.pages.plan_page import plan_page
from lrsms.report.pages.run_page import run_page
from lrsms.report.pages.study_page import facts, provenance_page, table_page
from lrsms.report.summary import summarise
from lrsms.study.expand import Experiment
from lrsms.study.project import Project

SUMMARY = "summary.rst"


def write(
    folder: Path,
    output: Path,
    project: Project,
    question: str,
    experiments: Sequence[Experiment],
    records: Path,
    figures: Path,
) -> None:
    """Writes the pages, and removes pages of an earlier choice of runs.

    ``summary.rst`` is the report's first page, ``table.html`` the readable table, and ``provenance.html`` says where it
    comes from. ``plans/`` has a page for each cell, named after its first run, and ``runs/`` has one for each run. Each
    page is small, because Chromium does not show an embedded page of more than two megabytes.

    Args:
        folder: folder with ``runs.csv`` and ``speakers.csv``.
        output: folder for the pages; made if absent.
        project: the study, with its decoders and conditions.
        question: question of the study.
        experiments: the study's runs, at least one.
        records: folder of the runs' records.
        figures: folder of the study's figures; the first page shows the main one, if it is there.

    Raises:
        ValueError: one line: a file of the aggregates or of a record is missing or malformed.
    """
    summary = summarise(folder)
    rows = aggregate.read_runs(folder).drop_duplicates("run").to_dict("records")
    measured = {row["run"]: {str(name): value for name, value in row.items()} for row in rows}
    for earlier in [*output.glob("plans/*.html"), *output.glob("runs/*.html")]:
        earlier.unlink()
    cells: dict[str, list[Material]] = {}
    for experiment in experiments:
        run = load(experiment, records, project.decoding, measured.get(experiment.name, {}))
        write_page(output / "runs" / f"{experiment.name}.html", run_page(run, project.decoding))
        cells.setdefault(experiment.cell, []).append(run.without_scores())
    for runs in cells.values():
        write_page(output / "plans" / f"{runs[0].experiment.name}.html", plan_page(runs))
    everything = [run for runs in cells.values() for run in runs]
    write_page(output / "table.html", table_page(question or folder.name, tables.readable(summary, tables.WIDTH)))
    write_page(output / "provenance.html", provenance_page(folder.name, everything, summary))
    shown = tables.readable(summary, WIDTH)
    made_by = facts(project, everything, summary)
    text = landing_rst(question or project.study, _claims(folder), headline(figures), shown, made_by)
    write_atomically(output / SUMMARY, text.encode())


def _claims(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``claims.json`` that have a verdict, not those of other endpoints; none without claims."""
    path = folder / f"{verdict_table.NAME}.json"
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["claims"]
        return [{key: row[key] for key in ("claim", "verdict", "finding")} for row in rows if row["verdict"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path}: not readable ({error}); delete it and run the study again") from None


def write_page(path: Path, content: bytes) -> None:
    """Writes without waiting for the disk: pages can be made again, and there may be thousands of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
