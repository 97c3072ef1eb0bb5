"""Verbs that work through a list of results, for a limited time, here or on a machine that is lent."""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lrsms.base.strict import parse
from lrsms.base.terminal import say
from lrsms.base.yamlfile import parse_yaml
from lrsms.study.project import Project
from lrsms.training import interrupt
from lrsms.verbs.options import Verb, babble_recording, chosen_device, on_device, on_list, read_project

if TYPE_CHECKING:
    import torch

    from lrsms.watch.kept_results import Goal

RESULTS = Path("results")


def add(verb: Verb) -> None:
    """Adds these verbs to the command line."""
    added = verb(reference, on_list())
    added.add_argument(
        "--snakemake",
        nargs=argparse.REMAINDER,
        default=[],
        help="its options, such as --cores all; this option comes last",
    )

    added = verb(work, on_list(), on_device())
    added.add_argument("--workers", type=int, default=1, help="processes that share the list, and the device")
    help = "measure step times too, each for about so long, before runs are trained; for one worker only"
    added.add_argument("--timed", type=float, metavar="SECONDS", help=help)
    added.add_argument("--prepare-threads", type=int, default=4, help="recordings read, or faces drawn, at a time")
    added.add_argument("--one-of-several", action="store_true", help=argparse.SUPPRESS)
    added.add_argument("--whole", action="store_true", help="begin no run that would not end within --seconds")
    added.add_argument("--graphs", action="store_true", help="run steps as CUDA graphs: fewer launches, the same runs")

    added = verb(unpack)
    added.add_argument(
        "archive", type=Path, metavar="FILE.tar.gz", help="an archive that reference --pack wrote, here or elsewhere"
    )


def reference(options: argparse.Namespace) -> None:
    """Makes the results of a list in reference.yaml, for a limited time; the next call continues."""
    from lrsms.report.results import folder_name
    from lrsms.watch.kept_results import work_through

    _check_limit(options)
    failed = work_through(partial(_goals, options), options.seconds, options.snakemake)
    _keep_and_say(options)
    if failed:
        names = ", ".join(dict.fromkeys(folder_name(goal.project) for goal in failed))
        raise ValueError(f"{names}: the workflow failed before the time was over; its output above says why")


def work(options: argparse.Namespace) -> None:
    """Makes the results of a list in reference.yaml without Snakemake: each process takes one run after another."""
    from lrsms.watch import worker

    if options.timed is not None and options.workers > 1:
        raise ValueError(f"--timed needs the device for itself, but --workers is {options.workers}; make it 1")
    if options.workers < 1:
        raise ValueError(f"--workers {options.workers}: must be at least 1")
    if options.whole and options.seconds == float("inf"):
        raise ValueError("--whole begins no run that would not end in time: give --seconds too")
    if not options.one_of_several:  # such a process may be told that nothing of the time is left
        _check_limit(options)
    began = time.monotonic()
    device, goals = chosen_device(options), _goals(options)
    soon = worker.until(options.seconds, interrupt.never)
    worker.prepare_corpora(goals, RESULTS, options.prepare_threads, babble_recording, soon)
    left = options.seconds - (time.monotonic() - began)
    with interrupt.stop_on_signals() as stop:
        whole = _worked(options, device, left, stop, partial(_pack_so_far, options, goals))
    if not options.one_of_several:  # else the process that began them keeps what all have made
        _keep_and_say(options)
    if not whole:
        raise ValueError(f"{options.list}: some runs could not be made; the lines above say why")


def _worked(
    options: argparse.Namespace,
    device: "torch.device",
    left: float,
    stop: interrupt.Stop,
    meanwhile: Callable[[], object],
) -> bool:
    """Works for ``left`` seconds, alone or by processes of its own; whether all was well."""
    from lrsms.watch import worker

    if options.workers > 1:
        arguments = ["--config-folder", str(options.config_folder), "work", options.list, "--one-of-several"]
        arguments += ["--seconds", f"{left:.0f}"]
        arguments += ["--device", options.device, "--threads", str(options.threads)]
        arguments += ["--roots", options.roots] if options.roots is not None else []
        arguments += [f"--{name}" for name in ("graphs", "whole") if getattr(options, name)]
        return worker.several(options.workers, arguments, left, stop, meanwhile)
    one = worker.Worker(device, worker.until(left, stop), RESULTS, options.graphs, options.timed, meanwhile=meanwhile)
    if options.whole:
        one.whole_before = time.monotonic() + left
    one.work_through(partial(_goals, options))
    return not one.failed


def _check_limit(options: argparse.Namespace) -> None:
    if not options.seconds >= 0:
        raise ValueError(f"--seconds {options.seconds:g}: must be at least 0")


def _goals(options: argparse.Namespace) -> "list[Goal]":
    """The goals of the list for now; a study that tunes has more of them once the runs that choose are recorded."""
    from lrsms.watch.kept_results import load

    return load(options.list, _project_of_lists(options), options.config_folder)


def _pack_so_far(options: argparse.Namespace, goals: "Sequence[Goal]") -> None:
    """Packs what is finished by now; to load the goals anew would take seconds from those who train."""
    if options.pack is not None:
        try:
            _keep(options, goals)
        except OSError as error:  # it may be better by the end
            warnings.warn(str(error), stacklevel=2)


def _keep(options: argparse.Namespace, goals: "Sequence[Goal]") -> None:
    """Keeps the studies of the list that are finished, and packs the results if asked."""
    from lrsms.watch.kept_results import keep, pack

    keep(goals, RESULTS)
    if options.pack is not None:
        pack(goals, RESULTS, options.pack)


def _keep_and_say(options: argparse.Namespace) -> None:
    """Keeps what there is in the end, and says how far each entry is."""
    goals = _goals(options)
    _keep(options, goals)
    for goal in goals:
        say(goal)


def _project_of_lists(options: argparse.Namespace) -> Project:
    """Reads what ``config.yaml`` asks, as the workflow does, with the roots that were given."""
    project = read_project(str(options.config_folder / "config.yaml"), options.config_folder)
    if options.roots is None:
        return project
    return parse(Project, project.model_dump() | {"roots": parse_yaml(options.roots, "--roots")}, "--roots")


def unpack(options: argparse.Namespace) -> None:
    """Unpacks the records, step times and notes in an archive of reference --pack, and nothing else."""
    from lrsms.record.archive import unpack as unpack_archive

    found = unpack_archive(options.archive, Path())
    say(f"{options.archive}: {len(found)} new files")
