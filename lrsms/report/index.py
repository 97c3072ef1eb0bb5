"""Writes ``results/README.md``: the studies in the folder of results, and the origin of their results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json, write_atomically
from lrsms.record.run_files import OUTCOME
from lrsms.report.hours import seconds_of_trainings
from lrsms.study.expand import Experiment
from lrsms.study.project import Project

FILE = "README.md"
_HEAD = """# Results
Made by `snakemake --cores all regenerate` from `records/` and `steptime/`, this page included. A run is done when
its errors are counted, or its step is timed where nothing is trained. `-`: not known.

"""
COLUMNS = ("study", "runs done", "made by", "device", "training hours", "date", "versions", "commit")


@dataclass(frozen=True)
class Entry:
    """A study that has results.

    Attributes:
        project: its project.
        folder: folder of its results, under ``results``.
        experiments: its runs.
    """

    project: Project
    folder: Path
    experiments: Sequence[Experiment]


def write(entries: Iterable[Entry], results: Path, records: Path, steptimes: Path) -> None:
    """Writes the page.

    Args:
        entries: the studies, in the order of their rows.
        results: the folder of the page.
        records: folder of the runs' records.
        steptimes: folder of measured step times.

    Raises:
        ValueError: one line: a record is not readable.
    """
    rows = []
    for entry in entries:
        name, done, made, *others = described(entry, records, steptimes)
        rows.append([f"[{name}]({name}/table.md)", done, f"`{made}`", *others])
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *map(_line, rows)]
    write_atomically(results / FILE, (_HEAD + "\n".join(lines) + "\n").encode())


def described(entry: Entry, records: Path, steptimes: Path) -> list[str]:
    """What the page says of a study, as plain text: one text for each of ``COLUMNS``.

    Raises:
        ValueError: one line: a record is not readable.
    """
    found: list[Mapping[str, Any]] = []
    done = 0
    for experiment in entry.experiments:
        record, steptime = records / experiment.name, steptimes / f"{experiment.steptime}.json"
        path = record / OUTCOME if experiment.trained else steptime
        goal = record / entry.project.decoding.scores if experiment.trained else steptime
        if goal.is_file() and not experiment.open:
            done += 1
            found.append(read_json(path, "restore it, or run again"))
    origins = [origin for outcome in found if isinstance(origin := outcome.get("provenance"), dict)]
    seconds = seconds_of_trainings(found)
    project = entry.project
    made = " ".join(f"{key}={getattr(project, key)}" for key in ("study", "task", "scale", "corpus"))
    versions = [f"torch {packages['torch']}" for o in origins if (packages := o.get("packages", {})).get("torch")]
    return [
        entry.folder.name,
        f"{done} of {len(entry.experiments)}",
        f"snakemake --cores all --config {made}",
        _listed(outcome.get("device") for outcome in found),
        f"{sum(seconds) / 3600:.1f}" if seconds else "-",
        _listed(origin.get("date") for origin in origins),
        _listed(versions),
        _listed(str(commit)[:7] for origin in origins if (commit := origin.get("commit"))),
    ]


def _listed(values: Iterable[Any]) -> str:
    """The known values, each once, sorted."""
    return ", ".join(sorted({str(value) for value in values if value})) or "-"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
