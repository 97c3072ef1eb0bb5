"""A study that grows by its own results: Snakemake is run pass by pass, until nothing is to be added.

Values of nuisance fields are tuned first, by a few runs (``tune`` in a study). Then, with ``seeds: adaptive``, seeds
are added look by look until the study's claims are decided.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrsms.base.terminal import say
from lrsms.study import expand
from lrsms.study.project import Project
from lrsms.verbs.options import Verb, on_records, read_project, with_project

if TYPE_CHECKING:
    from lrsms.report.adaptive import Step
    from lrsms.report.tuning import Tuning

GROWN = "LRSMS_GROWN"
"""Environment variable by which a pass of Snakemake, and its jobs, are told what the study has grown to."""


def add(verb: Verb) -> None:
    """Adds the verb to the command line."""
    added = verb(stages, with_project(), on_records())
    added.add_argument("--results", type=Path, default=Path("results"), help="folder of all studies' results")
    added.add_argument("--once", action="store_true", help="a single pass; then say what the next one would take")
    added.add_argument(
        "--snakemake", nargs=argparse.REMAINDER, default=[], help="comes last: its options, such as --cores all"
    )


def stages(options: argparse.Namespace) -> None:
    """Runs Snakemake until each value is tuned and, with ``seeds: adaptive``, each claim is decided or past its end.

    It goes on where it was: which values are best follows from the records of the runs that choose, seeds that were
    added are in the study's project.json, and recorded runs are done.
    """
    from lrsms.report.tuning import look

    project = read_project(options.project, options.config_folder)
    is_adaptive = project.seeds == "adaptive"
    if is_adaptive:
        project = project.model_copy(update={"seeds": _added_before(project, options)})
    while True:
        tuning = look(project, options.config_folder, options.records)
        if tuning is not None:
            project = project.model_copy(update={"tuned": dict(tuning.tuned)})
            if not options.once:
                _say(project, tuning)
        _pass(project, is_adaptive, options)
        if tuning is not None and options.once:
            _say(project, tuning)
        if tuning is not None and tuning.missing:
            after = look(project, options.config_folder, options.records)
            if options.once or after == tuning:  # also where Snakemake was asked for something else than to run
                return
            continue
        step = _step(project, options) if is_adaptive else None
        if step is None:
            return
        say(_said(project.study, step))
        if options.once or not step.claims:
            return
        project = project.model_copy(update={"seeds": dict(step.seeds)})


def _pass(project: Project, is_adaptive: bool, options: argparse.Namespace) -> None:
    """Runs Snakemake once; ends this process where it fails."""
    content = project.model_dump(mode="json", include={"seeds", "tuned"}, exclude_none=True)
    grown: dict[str, Any] = {key: value for key, value in content.items() if key != "seeds" or is_adaptive}
    command = [sys.executable, "-m", "snakemake", *options.snakemake]
    passed = subprocess.run(command, env=os.environ | {GROWN: json.dumps(grown)}, check=False)
    if passed.returncode:
        sys.exit(passed.returncode)


def _say(project: Project, tuning: "Tuning") -> None:
    if tuning.missing or tuning.pending:
        for line in str(tuning).splitlines():
            say(f"study {project.study}: {line}")


def _added_before(project: Project, options: argparse.Namespace) -> dict[str, int]:
    from lrsms.report.results import FILE, folder_name, load_project

    folder = options.results / folder_name(project)
    if not (folder / FILE).is_file():
        return {}
    found = load_project(folder).seeds
    return dict(found) if isinstance(found, dict) else {}


def _step(project: Project, options: argparse.Namespace) -> "Step | None":
    """What the next looks take; None where the study has no results yet, or no claims."""
    from lrsms.report import claims, outcomes
    from lrsms.report.adaptive import next_step, spent
    from lrsms.report.results import Place

    place = Place.of(project)
    folder = options.results / place.folder
    if not (folder / "runs.csv").is_file():
        return None
    stated = claims.claims_of(claims.load(options.config_folder / claims.FILE), project.study, project.task)
    if not stated:
        raise ValueError(f"seeds: adaptive: no claim is over study '{project.study}' that could be decided")
    seeds = project.seeds if isinstance(project.seeds, dict) else {}
    planned = _compared(project.model_copy(update={"seeds": None}), options.config_folder)
    experiments = _compared(project, options.config_folder)
    budget = project.budget
    if budget is not None:
        budget = max(0.0, budget - spent(experiments, planned, options.records))
    return next_step(outcomes.verdicts(stated, folder, place), experiments, options.records, seeds, budget)


def _compared(project: Project, folder: Path) -> list[expand.Experiment]:
    """The study's runs without those that only choose."""
    return [one for one in expand.load(project, folder) if not one.tuning]


def _said(study: str, step: "Step") -> str:
    over = f"; the budget does not reach {', '.join(step.left)}" if step.left else ""
    if not step.claims:
        decided = "no claim is left" if step.left else "every claim is decided or past its last look"
        return f"study {study}: {decided}{over}"
    hours = f", about {step.hours:.1f} hours" if step.hours else ""
    return f"study {study}: next look of {', '.join(step.claims)}: {step.runs} more runs{hours}{over}"
