"""Says how a study was made: facts for the report's first page, and the pages of its table and its provenance."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from lrsms.report.pages.markup import Table, page
from lrsms.report.pages.material import Material
from lrsms.report.pages.run_page import HASHES, described
from lrsms.report.readable import Readable
from lrsms.report.samples import number
from lrsms.report.summary import Summary
from lrsms.study.fields import as_text
from lrsms.study.project import Project

_BODY = """
{% for heading, table in tables %}
<h2>{{ heading }}</h2>
{{ show(table) }}
{% endfor %}
"""
_TABLE_BODY = """
{{ show(table) }}
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
"""
_NOTHING = "No run is recorded yet."


def table_page(title: str, table: Readable) -> bytes:
    """The page of a study's readable table, with its notes below."""
    numeric = frozenset(index for index, column in enumerate(table.columns) if column.numeric)
    rows = list(zip(*(column.texts for column in table.columns), strict=True))
    shown = Table([column.header for column in table.columns], rows, numeric)
    return page(title, _TABLE_BODY, table=shown, notes=table.notes)


def provenance_page(title: str, runs: Sequence[Material], summary: Summary) -> bytes:
    """The page on the data, the code and the machines behind a study.

    Args:
        title: the study's folder.
        runs: all runs of the study.
        summary: its cells.
    """
    tables = provenance_tables(runs, summary) or [(_NOTHING, Table((), ()))]
    return page(f"Provenance of {title}", _BODY, tables=tables)


def provenance_tables(runs: Sequence[Material], summary: Summary | None = None) -> list[tuple[str, Table]]:
    """Headings and tables on the code, the machines and, with the summary of a study, its data; those with rows."""
    tables = [("Code", _origins(runs)), ("Devices", _devices(runs))]
    tables += [("Data", _data(runs, summary))] if summary is not None else []
    return [(heading, table) for heading, table in tables if table.rows]


def facts(project: Project, runs: Sequence[Material], summary: Summary) -> dict[str, str]:
    """Facts about how a study was made, as names and sentences.

    Args:
        project: study, task, scale and corpus.
        runs: all runs of the study, in its order.
        summary: its cells.
    """
    statuses = Counter(run.status for run in runs)
    counted = ", ".join(f"{count} {status}" for status, count in statuses.items())
    said = {"Study": f"{project.study}; task {project.task}, scale {project.scale}, corpus {project.corpus}"}
    num_cells = len({run.experiment.cell for run in runs})
    seeds = sorted({run.experiment.run.seed for run in runs})
    said["Runs"] = f"{len(runs)} of {number(num_cells, 'cell')} ({counted}); seeds {', '.join(map(str, seeds))}"
    corpus = runs[0].experiment.run.corpus
    said["Corpus"] = f"{corpus.name}, kind {corpus.kind}"
    if any(run.experiment.trained for run in runs):
        steps = dict.fromkeys(str(run.outcome["steps"]) for run in runs if run.outcome.get("steps"))
        said["Trained"] = f"from scratch{', ' if steps else ''}{' or '.join(steps)}{' steps' if steps else ''}"
        said["Decoded"] = f"with {', '.join(project.decoding.decoders)} under {', '.join(project.decoding.conditions)}"
        if samples := summary.described_samples:
            said["Counted on"] = " ".join([*samples, *summary.left_out])
    else:
        said["Trained"] = "nothing: training steps are timed, parameters and multiply-adds counted"
    for choice in summary.choices:
        said["Tuned"] = f"{said.get('Tuned', '')} {choice}".strip()
    devices = Counter(str(run.outcome["device"]) for run in runs if run.outcome.get("device"))
    if devices:
        said["Trained on"] = ", ".join(f"{device} ({number(count, 'run')})" for device, count in devices.items())
    if summary.devices:
        said["Step times measured on"] = "; ".join(summary.devices)
    if commits := _commits(runs):
        said["Code"] = "; ".join(f"commit {commit} ({number(count, 'run')})" for commit, count in commits.items())
    hashes = list(dict.fromkeys(str(run.outcome["data_hash"]) for run in runs if run.outcome.get("data_hash")))
    if hashes:
        said["Data"] = f"hash {', '.join(hashes)}"
    return said


def _commits(runs: Sequence[Material]) -> Counter[str]:
    found = (described(run.outcome.get("provenance")).get("commit") for run in runs)
    return Counter(commit for commit in found if commit is not None)


def _origins(runs: Sequence[Material]) -> Table:
    """A row for each state of the code and of the packages that runs were trained with."""
    groups: dict[tuple[str, str], int] = defaultdict(int)
    for run in runs:
        if origin := described(run.outcome.get("provenance")):
            groups[(origin.get("commit", "unknown commit"), origin.get("versions", ""))] += 1
    rows = [(commit, versions, str(count)) for (commit, versions), count in groups.items()]
    return Table(("commit", "versions", "runs"), rows, frozenset({2}), "As run.json of each record says.")


def _devices(runs: Sequence[Material]) -> Table:
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        if device := run.outcome.get("device"):
            seconds = run.outcome.get("seconds")
            groups[(str(device), str(run.outcome.get("threads", "")))].append(_seconds(seconds))
    rows = [
        (device, threads, str(len(times)), str(timedelta(seconds=round(sum(times)))))
        for (device, threads), times in groups.items()
    ]
    return Table(
        ("device", "threads", "runs", "training time"), rows, frozenset({1, 2, 3}), "All sessions of a run count."
    )


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _data(runs: Sequence[Material], summary: Summary) -> Table:
    outcome: Mapping[str, Any] = next((run.outcome for run in runs if run.outcome), {})
    rows = [(name.replace("_", " "), str(outcome[name])) for name in HASHES if outcome.get(name) is not None]
    if rows:  # what is known about a corpus before it was read is no provenance
        content = runs[0].experiment.run.corpus.model_dump(mode="json", exclude_none=True)
        rows = [(f"corpus {name}", as_text(value)) for name, value in content.items()] + rows
    rows += [(f"condition {name}", str(sample)) for name, sample in summary.samples.items()]
    return Table((), rows, caption="Aggregation refuses records of different data.")
