"""Verbs that make records: one for each rule, from the check of a study to the scores and the step time of a run."""

import argparse
import contextlib
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lrsms.base.strict import parse
from lrsms.base.terminal import say
from lrsms.base.yamlfile import parse_yaml
from lrsms.study import expand
from lrsms.study.project import Project
from lrsms.study.run import MODALITIES, prepared_tests
from lrsms.training import interrupt
from lrsms.verbs.options import (
    Verb,
    babble_recording,
    chosen_device,
    given_root,
    on_corpora,
    on_device,
    on_list,
    on_records,
    on_starts,
    read_project,
    require_gpus,
    with_project,
)

if TYPE_CHECKING:
    from lrsms.watch.kept_results import Goal

RESULTS = Path("results")


def add(verb: Verb) -> None:
    """Adds these verbs to the command line."""
    verb(check, with_project(), on_corpora(), on_records(), on_starts(), workflow=True)

    added = verb(resolve, with_project(), workflow=True)
    added.add_argument("run", help="the run's name")
    added.add_argument("output", type=Path, help="config.json to write")

    added = verb(prepare, with_project(), on_starts(), workflow=True)
    added.add_argument("folder", type=Path, help="folder to write; its name is the one that the study's runs use")
    added.add_argument("--threads", type=int, default=1, help="recordings read, or faces drawn, at a time")

    added = verb(train, on_device(), on_corpora(), on_starts(), workflow=True)
    added.add_argument("folder", type=Path, help="the run's folder, with its config.json")
    added.add_argument("--checkpoint-seconds", type=float, default=60.0, help="least time between checkpoints")
    added.add_argument(
        "--devices", type=int, default=1, help="how many GPUs of this machine share each step (torchrun)"
    )
    added.add_argument(
        "--roots", default="{}", help="folders of recorded corpora; default: where they were when prepared"
    )
    added.add_argument(
        "--deterministic", action="store_true", help="get the same bits each time, also on a GPU; slower"
    )
    added.add_argument("--graphs", action="store_true", help="run steps as CUDA graphs: fewer launches, the same run")

    added = verb(decode, with_project(), on_device(), on_corpora(), workflow=True)
    added.add_argument("folder", type=Path, help="the run's folder")
    added.add_argument("output", type=Path, help="hypotheses to write (JSON lines)")

    added = verb(score, workflow=True)
    added.add_argument("folder", type=Path, help="the run's folder")
    added.add_argument("hypotheses", type=Path)
    added.add_argument("output", type=Path, help="score table to write, in the run's record")

    added = verb(steptime, with_project(), on_device(), workflow=True)
    added.add_argument("output", type=Path, help="measurement to write; its name is the one that the study's runs use")
    added.add_argument("--seconds", type=float, default=5.0, help="time to measure, about")
    added.add_argument("--graphs", action="store_true", help="time steps that run as CUDA graphs, as --graphs trains")

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


def check(options: argparse.Namespace) -> None:
    """Finds mistakes before the first job: in targets, ranks, decoders, and corpora that are not prepared yet."""
    from lrsms.cost.check import check_apart, check_corpus, check_runs, check_starts

    project = read_project(options.project, options.config_folder)
    experiments = expand.load(project, options.config_folder)
    check_runs(experiments, project.decoding)
    scores = project.decoding.scores
    missing = [e for e in experiments if e.trained and not (options.records / e.name / scores).is_file()]
    check_starts(missing, options.starts, options.corpora)
    pending = [e.run for e in missing]
    corpora = {run.prepared: run.corpus for run in pending}
    for name, corpus in corpora.items():
        check_corpus(corpus, project.root_of(corpus), options.corpora / name)
    for tested in (project.decoding.corpora or {}).values() if pending else ():
        folder, root = options.corpora / prepared_tests(tested, project.task), project.root_of(tested)
        check_corpus(tested, root, folder, tests=True)
        for trained in {corpus.name: corpus for corpus in corpora.values()}.values():
            check_apart(trained, project.root_of(trained), tested, root)


def resolve(options: argparse.Namespace) -> None:
    """Writes the config.json of a run."""
    from lrsms.base.files import write_json

    project = read_project(options.project, options.config_folder)
    for experiment in expand.load(project, options.config_folder):
        if experiment.name == options.run:
            return write_json(options.output, experiment.run.model_dump(mode="json", exclude_none=True))
    raise ValueError(f"no run of study '{project.study}' is called {options.run}")


def prepare(options: argparse.Namespace) -> None:
    """Reads, checks and tokenizes a corpus, or reads and checks the test set of conditions, into a prepared folder."""
    from lrsms.base.progress import progress
    from lrsms.data.prepare import prepare as prepare_corpus
    from lrsms.data.testsets import prepare_tests

    project = read_project(options.project, options.config_folder)
    runs = [experiment.run for experiment in expand.load(project, options.config_folder)]
    run = next((run for run in runs if run.prepared == options.folder.name), None)
    tests = {prepared_tests(one, project.task): one for one in (project.decoding.corpora or {}).values()}
    if run is None and options.folder.name not in tests:
        known = dict.fromkeys(str(options.folder.with_name(name)) for name in [*(run.prepared for run in runs), *tests])
        raise ValueError(
            f"{options.folder}: no run of study '{project.study}' reads a corpus of this name; "
            f"write {' or '.join(known)}"
        )
    threads = options.threads
    if run is None:
        corpus = tests[options.folder.name]
        with progress(f"prepare {corpus.name}") as show:
            where = project.root_of(corpus), options.folder
            findings = prepare_tests(corpus, MODALITIES[project.task], *where, threads, show)
    else:
        root, babble = project.root_of(run.corpus), babble_recording(project, run.corpus)
        with progress(f"prepare {run.corpus.name}") as show:
            what = run.corpus, run.tokenizer, run.model.modalities, root, options.folder
            findings = prepare_corpus(*what, threads=threads, babble=babble, report=show, starts=options.starts)
    for finding in findings:
        say(finding, sys.stderr)


def train(options: argparse.Namespace) -> None:
    """Trains a run, from its last checkpoint if there is one; at SIGTERM or SIGUSR1 it writes a checkpoint and ends."""
    if options.devices > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        from lrsms.training.launch import launch

        if options.device == "cuda":
            require_gpus(options.devices)
        sys.exit(launch(options.devices, options.arguments))
    from lrsms.base.files import only_one
    from lrsms.base.kernels import make_deterministic
    from lrsms.data.prepared import Prepared
    from lrsms.record.record import load_run
    from lrsms.training.distributed import joined
    from lrsms.training.loop import train as train_run

    run = load_run(options.folder)
    if options.deterministic:
        make_deterministic()
    device = chosen_device(options)
    first = os.environ.get("RANK", "0") == "0"
    # Lock before the other processes join: a run that another job holds is then refused while they still wait.
    with only_one(options.folder) if first else contextlib.nullcontext(), joined(device) as ranks:
        prepared = Prepared(options.corpora / run.prepared, given_root(options.roots, run.corpus))
        with interrupt.stop_on_signals() as stop:
            seconds = options.checkpoint_seconds
            train_run(run, prepared, options.folder, device, seconds, ranks, stop, options.graphs, options.starts)


def decode(options: argparse.Namespace) -> None:
    """Decodes a trained run with every decoder under every condition."""
    from lrsms.data.prepared import Prepared
    from lrsms.decoding.decode import decode as decode_run
    from lrsms.record.record import load_run

    run = load_run(options.folder)
    project = read_project(options.project, options.config_folder)
    prepared = Prepared(options.corpora / run.prepared, project.root_of(run.corpus))
    tests = {
        name: Prepared(options.corpora / prepared_tests(corpus, run.task), project.root_of(corpus), prepared)
        for name, corpus in (project.decoding.corpora or {}).items()
    }
    decode_run(run, prepared, options.folder, options.output, project.decoding, chosen_device(options), tests)


def score(options: argparse.Namespace) -> None:
    """Counts errors per utterance and writes the run's record."""
    from lrsms.record.record import write_record

    write_record(options.folder, options.hypotheses, options.output)


def steptime(options: argparse.Namespace) -> None:
    """Times a run's training step beside the dense baseline's, and counts how much faster it could be at most."""
    from lrsms.base.files import write_json
    from lrsms.cost.steptime import step_time

    experiments = expand.load(read_project(options.project, options.config_folder), options.config_folder)
    experiment = next((e for e in experiments if e.steptime == options.output.stem), None)
    if experiment is None:
        raise ValueError(f"no run of this study has a step time called {options.output.stem}")
    device = chosen_device(options)
    content = step_time(experiment.run, experiment.reference, device, options.seconds, options.graphs)
    write_json(options.output, content)


def reference(options: argparse.Namespace) -> None:
    """Makes the results of a list in reference.yaml, for a limited time; the next call continues."""
    from lrsms.report.results import folder_name
    from lrsms.watch.kept_results import work_through

    failed = work_through(partial(_goals, options), options.seconds, options.snakemake)
    _keep(options)
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
    began = time.monotonic()
    device, asked = chosen_device(options), partial(_goals, options)
    soon = worker.until(options.seconds, interrupt.never)
    worker.prepare_corpora(asked(), RESULTS, options.prepare_threads, babble_recording, soon)
    left = options.seconds - (time.monotonic() - began)
    whole = True
    if options.workers > 1:
        arguments = ["--config-folder", str(options.config_folder), "work", options.list, "--one-of-several"]
        arguments += ["--seconds", f"{left:.0f}"]
        arguments += ["--device", options.device, "--threads", str(options.threads)]
        arguments += ["--roots", options.roots] if options.roots is not None else []
        arguments += [f"--{name}" for name in ("graphs", "whole") if getattr(options, name)]
        whole = worker.several(options.workers, arguments, left)
    else:
        with interrupt.stop_on_signals() as stop:
            one = worker.Worker(device, worker.until(left, stop), RESULTS, options.graphs, options.timed)
            if options.whole:
                one.whole_before = time.monotonic() + left
            one.work_through(asked)
            whole = not one.failed
    if not options.one_of_several:  # else the process that began them keeps what all have made
        _keep(options)
    if not whole:
        raise ValueError(f"{options.list}: some runs could not be made; the lines above say why")


def _goals(options: argparse.Namespace) -> "list[Goal]":
    """The goals of the list for now; a study that tunes has more of them once the runs that choose are recorded."""
    from lrsms.watch.kept_results import load

    return load(options.list, _project_of_lists(options), options.config_folder)


def _keep(options: argparse.Namespace) -> None:
    """Keeps the studies of the list that are finished, packs the results if asked, and says how far each entry is."""
    from lrsms.watch.kept_results import keep, pack

    goals = _goals(options)
    keep(goals, RESULTS)
    if options.pack is not None:
        pack(goals, RESULTS, options.pack)
    for goal in goals:
        say(goal)


def _project_of_lists(options: argparse.Namespace) -> Project:
    """What ``config.yaml`` asks, as the workflow reads it, with the roots that were given."""
    project = read_project(str(options.config_folder / "config.yaml"), options.config_folder)
    if options.roots is None:
        return project
    return parse(Project, project.model_dump() | {"roots": parse_yaml(options.roots, "--roots")}, "--roots")


def unpack(options: argparse.Namespace) -> None:
    """Unpacks the records, step times and notes in an archive of reference --pack, and nothing else."""
    from lrsms.record.archive import unpack as unpack_archive

    found = unpack_archive(options.archive, Path())
    say(f"{options.archive}: {len(found)} new files")
