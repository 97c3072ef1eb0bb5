"""Verbs that make tables, verdicts, figures and pages from records, and show how far a study is."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrsms.base.terminal import say
from lrsms.base.yamlfile import read_yaml
from lrsms.study import expand
from lrsms.study.config_files import named
from lrsms.study.expand import Experiment
from lrsms.study.project import Project
from lrsms.verbs.options import (
    Verb,
    asked_project,
    asked_study,
    on_corpora,
    on_logs,
    on_records,
    on_steptimes,
    read_project,
    with_place,
    with_project,
    with_study,
)

if TYPE_CHECKING:
    from lrsms.report.outcomes import Outcome
    from lrsms.watch.status import Status


def add(verb: Verb) -> None:
    """Adds these verbs to the command line."""
    added = verb(aggregate, with_project(), on_records(), on_steptimes(), workflow=True)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument("selection", type=Path, help="list of the study's runs to write")

    added = verb(status, with_study(), on_corpora(), on_records(), on_logs())
    added.add_argument("--json", action="store_true", help="machine-readable")

    added = verb(partial, with_project(), on_corpora(), on_records(), on_steptimes(), on_logs(), workflow=True)
    added.add_argument("folder", type=Path, help="folder to write")

    added = verb(tables, workflow=True)
    added.add_argument("folder", type=Path, help="the study's folder of results")

    added = verb(figures, on_records(), on_steptimes(), workflow=True)
    added.add_argument("folder", type=Path, help="the study's folder of results, with its project.json")
    added.add_argument("output", type=Path, help="folder for the figures")

    added = verb(claims, with_place())
    added.add_argument(
        "studies", nargs="*", help="files in workflow/config/studies; if none is given, all that have claims"
    )
    added.add_argument("--results", type=Path, default=Path("results"), help="folder of all studies' results")

    added = verb(power)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument(
        "--difference", type=float, default=1.0, help="difference of word error rates to detect, in points"
    )

    added = verb(pages, with_project(), on_records(), workflow=True)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument("output", type=Path, help="folder for the pages")
    added.add_argument("--figures", type=Path, default=Path("figures"), help="folder of all studies' figures")

    added = verb(regenerate, on_records(), on_steptimes())
    added.add_argument(
        "folders", type=Path, nargs="*", help="folders of results; if none is given, all with a project.json"
    )
    added.add_argument("--results", type=Path, default=Path("results"), help="folder of all studies' results")
    added.add_argument("--figures", type=Path, default=Path("figures"), help="folder of all studies' figures")

    added = verb(show)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument("also", nargs="*", help="paths to name below the table")


def aggregate(options: argparse.Namespace) -> None:
    """Gathers the records of a study's runs into runs.csv, speakers.csv and pairs.csv, and lists the runs."""
    project = read_project(options.project, options.config_folder)
    experiments = expand.load(project, options.config_folder)
    _aggregate(project, experiments, options.folder, options.selection, options)


def status(options: argparse.Namespace) -> None:
    """Says whether each run of a study is done, running, failed, diverged or missing, and why."""
    from lrsms.watch.status import show as show_status

    project, experiments, tuning = asked_study(options)
    show_status(_statuses(project, experiments, options), options.json)
    if tuning is not None and not options.json:
        say(tuning)


def partial(options: argparse.Namespace) -> None:
    """Prints and writes the table of the finished runs, and says why the others are missing."""
    from lrsms.report.aggregate import aggregate as aggregate_records
    from lrsms.report.tables import render_terminal
    from lrsms.report.tables import write as write_tables
    from lrsms.watch.status import write_reasons

    project = read_project(options.project, options.config_folder)
    experiments = expand.load(project, options.config_folder)
    aggregate_records(experiments, options.records, options.steptimes, project.decoding, options.folder)
    write_tables(options.folder)
    statuses = _statuses(project, experiments, options)
    if any(status.state in ("done", "diverged") for status in statuses):
        render_terminal(options.folder)
    for line in write_reasons(statuses, options.folder / "table.md"):
        say(line)


def tables(options: argparse.Namespace) -> None:
    """Writes a study's table as CSV, Markdown and LaTeX."""
    from lrsms.report.tables import write

    write(options.folder)


def figures(options: argparse.Namespace) -> None:
    """Draws the figures of a study that has a project.json, as PDF, PNG and SVG."""
    from lrsms.report.results import load_project

    project = load_project(options.folder)
    _figures(options.folder, options.output, expand.load(project, options.config_folder), project, options)


def claims(options: argparse.Namespace) -> None:
    """Says whether a study's results support each of the paper's findings; writes claims.* beside its tables."""
    from lrsms.report.verdict_table import sentence

    project = asked_project(options)
    for outcome in _claims(project, options.studies, options.results, options.config_folder):
        say(f"[{outcome.place.folder}] {sentence(outcome)}\n")


def power(options: argparse.Namespace) -> None:
    """Says how many seeds, or speakers, a study needs to detect a given difference of word error rates."""
    from lrsms.report.planning import show

    show(options.folder, options.difference / 100)


def pages(options: argparse.Namespace) -> None:
    """Writes the pages of a study's report: summary, table, plans, provenance and a page for each run."""
    from lrsms.report.pages.write import write

    project = read_project(options.project, options.config_folder)
    _, study = expand.load_study(project.study, options.config_folder)
    experiments = [one for one in expand.load(project, options.config_folder) if one.stage == "compared"]
    if not (options.folder / "runs.csv").is_file() or not experiments:
        done = sum((options.records / e.name / project.decoding.scores).is_file() for e in experiments if e.trained)
        trained = sum(e.trained for e in experiments)
        raise ValueError(
            f"{options.folder}: study '{project.study}' has no table yet: {done} of {trained} runs are recorded;"
            " run it to its end (make study), then ask for the report"
        )
    figures = options.figures / options.folder.name
    write(options.folder, options.output, project, study.question, experiments, options.records, figures)


def regenerate(options: argparse.Namespace) -> None:
    """Makes the tables, verdicts and figures again, from the records, for every study that has a project.json."""
    from lrsms.report import claims as hypotheses
    from lrsms.report import findings, index
    from lrsms.report.results import committed, load_project, selection_name
    from lrsms.report.tables import write as write_tables
    from lrsms.report.tuning import caught_up

    everything = hypotheses.load(options.config_folder / hypotheses.FILE)
    folders = options.folders or committed(options.results)
    if not folders:
        say(f"nothing to regenerate: there is no {options.results}/*/project.json; run a study first")
    entries, decided = [], []
    for folder in folders:
        project = caught_up(load_project(folder), options.config_folder, options.records)
        experiments = expand.load(project, options.config_folder)
        stated = hypotheses.claims_of(everything, project.study, project.task)
        _aggregate(project, experiments, folder, folder / selection_name(project, experiments, stated), options)
        write_tables(folder)
        outcomes = _claims(project, [project.study], folder.parent, options.config_folder) if stated else []
        if project.scale != "demo":  # results of the demo are never committed
            entries.append(index.Entry(project, folder, experiments))
            decided += outcomes
        _figures(folder, options.figures / folder.name, experiments, project, options)
        say(f"regenerated {folder}")
    if entries and not options.folders:
        index.write(entries, options.results, options.records, options.steptimes)
        findings.write(decided, everything, options.results)


def show(options: argparse.Namespace) -> None:
    """Prints a study's table, and the given paths below it."""
    from lrsms.report.tables import render_terminal

    render_terminal(options.folder)
    for path in options.also:
        say(path)


def _aggregate(
    project: Project, experiments: list[Experiment], folder: Path, selection: Path, options: argparse.Namespace
) -> None:
    from lrsms.base.files import write_atomically
    from lrsms.report.aggregate import aggregate as aggregate_records
    from lrsms.report.results import save_project

    for earlier in folder.glob("runs-*.txt"):
        earlier.unlink()
    aggregate_records(experiments, options.records, options.steptimes, project.decoding, folder)
    save_project(project, folder)
    write_atomically(selection, "".join(f"{experiment.name}\n" for experiment in experiments).encode())


def _statuses(project: Project, experiments: Sequence[Experiment], options: argparse.Namespace) -> "list[Status]":
    from lrsms.watch.status import Folders, study_status

    folders = Folders(options.records, options.runs, options.corpora, options.logs)
    return study_status(experiments, project.decoding, folders)


def _figures(
    folder: Path, output: Path, experiments: list[Experiment], project: Project, options: argparse.Namespace
) -> None:
    from lrsms.report.figures.material import load
    from lrsms.report.figures.write import write

    write(load(folder, experiments, project.decoding, options.records, options.steptimes), output)


def _claims(project: Project, studies: list[str], results: Path, config_folder: Path) -> "list[Outcome]":
    """Verdicts on the claims over these studies, or over all, for the project's task, scale and corpus."""
    from lrsms.report import claims as hypotheses
    from lrsms.report import outcomes, verdict_table
    from lrsms.report.results import Place

    path = config_folder / hypotheses.FILE
    everything = hypotheses.load(path)
    known = list(dict.fromkeys(claim.study for claim in everything.values()))
    found = []
    for name in studies or known:
        if name not in known:
            named(config_folder / "studies", name, "study")
            raise ValueError(f"{path}: no claim is over study '{name}'; known: {', '.join(known)}")
        place = Place.of(project.model_copy(update={"study": name}))
        folder = results / place.folder
        ours = hypotheses.claims_of(everything, name, project.task)
        decided = outcomes.verdicts(ours, folder, place)
        if decided and (folder / "runs.csv").is_file():
            question = read_yaml(named(config_folder / "studies", name, "study")).get("question", "")
            verdict_table.write(decided, folder, question)
        found += decided
    return found
