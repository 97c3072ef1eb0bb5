"""The results that the repository keeps: lists of runs in the order of their value, made in slices of time.

``workflow/config/reference.yaml`` names the lists. Each entry is a choice of a study's runs. A slice goes through them
in order and stops when its time is over: no new job starts, training writes a checkpoint and ends, and decoding and
scoring finish. The next slice continues from there, so that short times on a machine are enough.
"""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lrsms.base.files import naming, settle
from lrsms.base.strict import Frozen, parse
from lrsms.base.yamlfile import read_yaml
from lrsms.report.claims import BY_TARGET, SMALLER, Selection
from lrsms.report.results import FILE as PROJECT
from lrsms.report.results import folder_name, load_project, save_project
from lrsms.report.tuning import known
from lrsms.study import expand
from lrsms.study.bounds import Name
from lrsms.study.expand import Experiment
from lrsms.study.fields import value_of, without
from lrsms.study.more_seeds import most_seeds
from lrsms.study.project import Project
from lrsms.study.run import Task

FILE = "reference.yaml"
_SHORTEST = 20.0
"""With fewer seconds left, the workflow is not started."""
_GRACE = 60.0
"""Seconds until training is asked to end a second time: a job that was still starting did not get the first signal. A
second signal ends a job at once, at its last checkpoint, so the time must be long enough to write one."""


class Entry(Frozen):
    """Runs of one study."""

    study: Name
    task: Task
    scale: Name
    corpus: Name
    cells: tuple[Selection, ...] | None = None
    """The cells whose fields have these values (as in ``claims.yaml``), beside the dense baseline; None: all."""
    seeds: tuple[int, ...] | None = None
    """None: all."""
    num_seeds: Annotated[int, Field(ge=1, le=1000)] | None = None
    """So many seeds of each of these cells, where the study has fewer; None: those of the study."""
    timed: bool = True
    """False: their step times are not asked for, which need a device to themselves."""


@dataclass(frozen=True)
class Goal:
    """An entry's project, and the files that its runs must make.

    Attributes:
        project: the project with the entry's study.
        files: score tables and step times.
        experiments: those that are trained.
        timed: those whose step times are asked for, each step time once.
    """

    project: Project
    files: tuple[Path, ...]
    experiments: tuple[Experiment, ...] = ()
    timed: tuple[Experiment, ...] = ()

    @property
    def missing(self) -> list[Path]:
        """The files that do not exist yet."""
        return [path for path in self.files if not path.is_file()]

    @property
    def begun(self) -> bool:
        """Whether anything is known that its study is for: more than its dense baseline is recorded, or steps timed."""
        scores = zip(self.experiments, self.files, strict=False)  # their step times follow
        own = [path for experiment, path in scores if not _is_baseline(experiment)] or self.files
        return any(path.is_file() for path in own)

    def __str__(self) -> str:
        """How many of its files exist."""
        return f"{folder_name(self.project)}: {len(self.files) - len(self.missing)} of {len(self.files)}"


def load(name: str, project: Project, folder: Path) -> list[Goal]:
    """The goals of one list of ``reference.yaml``.

    Of a study that tunes, these are the runs that choose, and the runs at the values that are chosen by now.

    Args:
        name: of the list.
        project: decoders, conditions and roots.
        folder: ``workflow/config``.

    Raises:
        ValueError: one line: there is no such list, or an entry matches no run.
    """
    path = folder / FILE
    lists = read_yaml(path)
    if name not in lists:
        raise ValueError(f"{path}: there is no list '{name}'; known: {', '.join(lists)}")
    if not isinstance(lists[name], list):
        raise ValueError(f"{path}: '{name}' must be a list of entries")
    goals = []
    for number, content in enumerate(lists[name], start=1):
        where = f"{path}: {name}, entry {number}"
        entry = parse(Entry, content, where)
        asked = project.model_copy(update=entry.model_dump(include={"study", "task", "scale", "corpus"}))
        asked = known(asked, folder, Path("results/records"))
        experiments = _chosen(entry, expand.load(asked, folder), where)
        if entry.num_seeds is not None:
            seeds = {e.cell: entry.num_seeds for e in experiments}
            asked = asked.model_copy(update={"seeds": seeds})
            experiments = _chosen(entry, expand.load(asked, folder), where)
        trained = tuple(e for e in experiments if e.trained)
        scores = [Path("results/records") / e.name / asked.decoding.scores for e in trained]
        timed = {e.steptime: e for e in experiments if entry.timed and not e.tuning}
        steptimes = [Path("results/steptime") / f"{name}.json" for name in timed]
        goals.append(Goal(asked, (*scores, *steptimes), trained, tuple(timed.values())))
    return goals


def work_through(goals: Callable[[], Sequence[Goal]], seconds: float, arguments: Sequence[str]) -> list[Goal]:
    """Makes the missing files, in order, until the time is over.

    Args:
        goals: calls ``load``: once runs that choose are recorded, a study that tunes has more to be made.
        seconds: for all of them.
        arguments: of Snakemake, such as ``--cores 16``.

    Returns:
        The goals whose workflow failed before the time was over.
    """
    deadline = time.monotonic() + seconds
    failed = []
    now = goals()
    for number in range(len(now)):
        tried: list[Path] = []
        while now[number].missing != tried and deadline - time.monotonic() > _SHORTEST:
            goal = now[number]
            tried = goal.missing
            if not _run_until(deadline, _command(goal, arguments)):
                failed.append(goal)
                break
            if goal.project.tuned is not None:  # to load a list takes seconds
                now = goals()
    return failed


def _command(goal: Goal, arguments: Sequence[str]) -> list[str]:
    """Snakemake for the missing files of a goal, told of its seeds and what tuning has chosen: it makes these alone."""
    project = goal.project
    chosen = {key: getattr(project, key) for key in ("study", "task", "scale", "corpus", "roots")}
    chosen |= project.model_dump(mode="json", include={"tuned", "seeds"}, exclude_none=True)
    settings = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in chosen.items()]
    return [sys.executable, "-m", "snakemake", *map(str, goal.missing), *arguments, "--config", *settings]


def keep(goals: Sequence[Goal], results: Path) -> None:
    """Writes project.json into the folder of each study that has begun, so that ``regenerate`` makes its tables.

    A tuning that took hours and is not done yet is kept so, too. Seeds that a project has of earlier goals stay.
    """
    for goal in goals:
        if goal.begun or not goal.missing:
            folder, project = results / folder_name(goal.project), goal.project
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / PROJECT).is_file():
                seeds = most_seeds(load_project(folder).seeds, project.seeds)
                project = project.model_copy(update={"seeds": seeds or project.seeds})
            save_project(project, folder)


def pack(goals: Sequence[Goal], results: Path, archive: Path) -> None:
    """Packs records, step times and notes of the goals, for ``archive.unpack`` at the root of another clone.

    The archive is complete under its name at every moment, and its folder is made.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    temporary = archive.with_name(archive.name + ".tmp")
    try:
        with naming(archive), tarfile.open(temporary, "w:gz") as file:
            for path in dict.fromkeys(path for goal in goals for path in goal.files if path.is_file()):
                file.add(path.parent if path.suffix == ".gz" else path, filter=_nobodys)
            for folder in dict.fromkeys(results / folder_name(goal.project) for goal in goals):
                if (folder / PROJECT).is_file():
                    file.add(folder / PROJECT, filter=_nobodys)
        settle(temporary, archive)
    finally:
        temporary.unlink(missing_ok=True)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Removes the owner's names from an archive member."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _chosen(entry: Entry, experiments: Sequence[Experiment], where: str) -> list[Experiment]:
    """The experiments of an entry, in the order of its selections."""
    found = list(experiments)
    if entry.cells is not None:
        found = [e for e in experiments if _is_baseline(e)]
        for selection in entry.cells:
            cells = [e for e in experiments if all(_has(e, *item) for item in selection.items())]
            if not cells:
                wanted = ", ".join(f"{field} {value}" for field, value in selection.items())
                raise ValueError(f"{where}: study '{entry.study}' has no cell with {wanted}")
            found += cells
    if entry.seeds is not None:
        found = [e for e in found if e.tuning or e.run.seed in entry.seeds]
    if not found:
        raise ValueError(f"{where}: study '{entry.study}' has no run with these seeds")
    # Seed by seed: one seed of every cell already makes a useful table.
    return sorted({e.name: e for e in found if not e.open}.values(), key=lambda e: e.run.seed)


def _is_baseline(experiment: Experiment) -> bool:
    """Whether it is the dense baseline, at whatever value of its nuisance fields."""
    return without(experiment.run, experiment.nuisance) == without(experiment.baseline, experiment.nuisance)


def _has(experiment: Experiment, field: str, wanted: object) -> bool:
    value, preset = value_of(experiment.run, field), value_of(experiment.baseline, field)
    if wanted == SMALLER:
        return all(isinstance(number, int | float) for number in (value, preset)) and value < preset
    if wanted == BY_TARGET and field == "lowrank.ratio":
        return isinstance(value, dict)
    return value == wanted


def _run_until(deadline: float, command: Sequence[str]) -> bool:
    """Runs a workflow in its own group of processes; at the deadline, unfinished work stays unfinished.

    If this process is ended, by Ctrl-C or SIGTERM, it ends the group too: no job continues without a process that waits
    for it.

    Returns:
        False if it failed before the deadline.
    """
    process = subprocess.Popen(command, start_new_session=True)
    earlier = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        try:
            return process.wait(max(0.0, deadline - time.monotonic())) == 0
        except subprocess.TimeoutExpired:
            process.terminate()  # Snakemake starts no new job, and waits for the running ones
        while process.poll() is None:
            os.killpg(process.pid, signal.SIGUSR1)  # only training reacts to it: it writes a checkpoint and ends
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        return True
    except BaseException:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)  # programs that were started in the background ignore SIGINT
            process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, earlier)
