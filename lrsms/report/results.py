"""The folder of a study's results: its name, the list of its runs, and the project that it keeps.

``project.json`` lies beside the tables and is committed with them, so that a fresh clone can make the tables again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json, write_json
from lrsms.base.strict import digest, parse
from lrsms.report.claims import Claim
from lrsms.study.expand import Experiment
from lrsms.study.project import Project
from lrsms.study.run import Task

FILE = "project.json"


@dataclass(frozen=True)
class Place:
    """Study, task, scale and corpus; each place has its own folder of results."""

    study: str
    task: Task
    scale: str
    corpus: str

    @classmethod
    def of(cls, project: Project) -> "Place":
        """The place that a project asks for."""
        return cls(project.study, project.task, project.scale, project.corpus)

    @property
    def folder(self) -> str:
        """``<study>-<task>-<scale>-<corpus>``, under ``results`` and under ``figures``."""
        return f"{self.study}-{self.task}-{self.scale}-{self.corpus}"


def folder_name(project: Project) -> str:
    """Name of the folder of a project's results and of its figures."""
    return Place.of(project).folder


def selection_name(project: Project, experiments: Sequence[Experiment], claims: Mapping[str, Claim]) -> str:
    """Name of the list of runs. Another choice of runs, decoding, order or claims gives another name.

    So results are made again even if the workflow remembers nothing, as in a fresh clone.
    """
    decoding = project.decoding
    order = [list(decoding.decoders), list(decoding.conditions)]  # tables and figures show the first ones
    trains = any(experiment.trained for experiment in experiments)
    nuisance = sorted({field for experiment in experiments for field in experiment.nuisance})
    choice: list[Any] = [sorted(experiment.name for experiment in experiments), decoding.digest, order]
    choice += nuisance if trains else ["no training"]
    if claims:
        choice.append({name: claim.model_dump(mode="json", exclude_none=True) for name, claim in claims.items()})
    return f"runs-{digest(choice, 8)}.txt"


def save_project(project: Project, folder: Path) -> None:
    """Writes ``project.json``: all that results depend on, and nothing about this machine."""
    others = {"roots", "decoders", "decoders_of", "conditions", "corpora"}
    content = project.model_dump(mode="json", exclude=others, exclude_none=True)
    decoding = project.decoding.model_dump(mode="json", exclude_none=True)
    chosen = {"decoders": decoding["decoders"], "conditions": {project.task: decoding["conditions"]}}
    corpora = {"corpora": decoding["corpora"]} if "corpora" in decoding else {}
    write_json(folder / FILE, content | chosen | corpora)


def committed(results: Path) -> list[Path]:
    """The folders of studies whose project is known, in the order of their names."""
    return sorted(path.parent for path in results.glob(f"*/{FILE}"))


def load_project(folder: Path) -> Project:
    """The project that ``save_project`` wrote.

    Raises:
        ValueError: one line: it is malformed, or belongs to another folder.
    """
    path = folder / FILE
    project = parse(Project, read_json(path, "run the study again"), str(path))
    if folder_name(project) != folder.resolve().name:
        raise ValueError(f"{path}: is of '{folder_name(project)}', not of this folder; undo the change")
    return project
