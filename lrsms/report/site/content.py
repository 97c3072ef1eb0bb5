"""What the site is made of: studies with their verdicts and tables, as `lrsms.report` computes them from results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsms.record.score import EDITS
from lrsms.report import aggregate, outcomes
from lrsms.report import claims as hypotheses
from lrsms.report.claims import Claim
from lrsms.report.outcomes import Outcome
from lrsms.report.pages.material import Material
from lrsms.report.results import Place, load_project
from lrsms.report.summary import Summary, summarise
from lrsms.study import expand
from lrsms.study.expand import Experiment
from lrsms.study.project import Project


@dataclass(frozen=True)
class Sources:
    """Where the site is made from.

    Attributes:
        results: the folder of results.
        records: of runs.
        steptimes: measured step times.
        figures: the folder of all studies' figures.
        config: presets, studies, corpora and claims.
    """

    results: Path
    records: Path
    steptimes: Path
    figures: Path
    config: Path


@dataclass(frozen=True)
class Listed:
    """A run as lists show it.

    Attributes:
        run: without its scores and its curve.
        page: of the run, under the root of the site; empty where nothing of it is recorded.
        rate: its error rate in percent, with the study's primary decoder and condition; empty while unknown.
    """

    run: Material
    page: str
    rate: str


@dataclass(frozen=True)
class Study:
    """A study of which there are results.

    Attributes:
        folder: its results.
        project: what it was made of.
        question: what it asks.
        experiments: its runs, in its order.
        outcomes: what it says of each of its claims.
        summary: its cells.
        measured: by run its first row of ``runs.csv``.
    """

    folder: Path
    project: Project
    question: str
    experiments: Sequence[Experiment]
    outcomes: Sequence[Outcome]
    summary: Summary
    measured: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.resolve().name

    @property
    def page(self) -> str:
        """Its page, under the root of the site."""
        return f"studies/{self.name}.html"

    @property
    def place(self) -> str:
        """Corpus, scale and task, as verdicts name them."""
        return f"{self.project.corpus}, {self.project.scale}, {self.project.task.upper()}"

    @property
    def title(self) -> str:
        """The question, or the name where the study asks none."""
        return self.question or self.name


def read(folder: Path, claims: Mapping[str, Claim], config: Path) -> Study:
    """Reads a study's folder of results and judges its claims.

    Raises:
        ValueError: one line: a file is missing or malformed.
    """
    project = load_project(folder)
    _, study = expand.load_study(project.study, config)
    rows = aggregate.read_runs(folder).drop_duplicates("run").to_dict("records")
    stated = hypotheses.claims_of(claims, project.study, project.task)
    return Study(
        folder=folder,
        project=project,
        question=study.question,
        experiments=expand.load(project, config),
        outcomes=outcomes.verdicts(stated, folder, Place.of(project)),
        summary=summarise(folder),
        measured={row["run"]: {str(name): value for name, value in row.items()} for row in rows},
    )


def rate(run: Material, summary: Summary) -> str:
    """A run's error rate in percent, with the primary decoder and condition; empty while it is unknown."""
    for count in run.counts.to_dict("records"):
        if (count["decoder"], count["condition"]) in summary.keys[:1] and count["words"]:
            return f"{100 * sum(count[name] for name in EDITS) / count['words']:.2f}"
    return ""
