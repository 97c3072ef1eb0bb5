"""The verb that adds seeds: it runs Snakemake look by look until the claims of a study are decided."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lrsms.base.terminal import say
from lrsms.study import expand
from lrsms.study.project import Project
from lrsms.verbs.options import Verb, on_records, read_project, with_project

if TYPE_CHECKING:
    from lrsms.report.adaptive import Step

SEEDS = "LRSMS_SEEDS"
"""Environment variable that tells a pass of Snakemake, and its jobs, the seeds of this look."""


def add(verb: Verb) -> None:
    """Adds the verb to the command line."""
    added = verb(adaptive, with_project(), on_records())
    added.add_argument("--results", type=Path, default=Path("results"))
    added.add_argument("--once", action="store_true", help="one pass only; then say what the next look would cost")
    added.add_argument(
        "--snakemake", nargs=argparse.REMAINDER, default=[], help="comes last: its options, such as --cores all"
    )


def adaptive(options: argparse.Namespace) -> None:
    """Runs Snakemake until each claim of the study is decided, or past its last look, or the budget is spent.

    A later call continues: project.json of the study holds the added seeds, and recorded runs are done.
    """
    project = read_project(options.project, options.config_folder)
    seeds = _added_before(project, options)
    while True:
        passed = subprocess.run(
            [sys.executable, "-m", "snakemake", *options.snakemake],
            env=os.environ | {SEEDS: json.dumps(seeds)},
            check=False,
        )
        if passed.returncode:
            sys.exit(passed.returncode)
        step = _step(project, seeds, options)
        if step is None:
            return
        say(_said(project.study, step))
        if options.once or not step.claims:
            return
        seeds = dict(step.seeds)


def _added_before(project: Project, options: argparse.Namespace) -> dict[str, int]:
    from lrsms.report.results import FILE, folder_name, load_project

    folder = options.results / folder_name(project)
    if not (folder / FILE).is_file():
        return {}
    found = load_project(folder).seeds
    return dict(found) if isinstance(found, dict) else {}


def _step(project: Project, seeds: dict[str, int], options: argparse.Namespace) -> "Step | None":
    """The cost of the next looks; None if the study has no results yet, or no claims."""
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
    planned = expand.load(project.model_copy(update={"seeds": None}), options.config_folder)
    experiments = expand.load(project.model_copy(update={"seeds": seeds}), options.config_folder)
    budget = project.budget
    if budget is not None:
        budget = max(0.0, budget - spent(experiments, planned, options.records))
    return next_step(outcomes.verdicts(stated, folder, place), experiments, options.records, seeds, budget)


def _said(study: str, step: "Step") -> str:
    over = f"; the budget does not reach {', '.join(step.left)}" if step.left else ""
    if not step.claims:
        decided = "no claim is left" if step.left else "every claim is decided or past its last look"
        return f"study {study}: {decided}{over}"
    hours = f", about {step.hours:.1f} hours" if step.hours else ""
    return f"study {study}: next look of {', '.join(step.claims)}: {step.runs} more runs{hours}{over}"
