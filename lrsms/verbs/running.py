"""Verbs that make records: one for each rule, from the check of a study to the scores and the step time of a run."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from lrsms.base.terminal import say
from lrsms.study import expand
from lrsms.study.run import MODALITIES, prepared_tests
from lrsms.training import interrupt
from lrsms.verbs.options import (
    Verb,
    babble_recording,
    chosen_device,
    given_root,
    on_corpora,
    on_device,
    on_records,
    on_starts,
    read_project,
    require_gpus,
    with_project,
)


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
    added.add_argument("hypotheses", type=Path, help="what decode wrote (JSON lines)")
    added.add_argument("output", type=Path, help="score table to write, in the run's record")

    added = verb(steptime, with_project(), on_device(), workflow=True)
    added.add_argument("output", type=Path, help="measurement to write; its name is the one that the study's runs use")
    added.add_argument("--seconds", type=float, default=5.0, help="time to measure, about")
    added.add_argument("--graphs", action="store_true", help="time steps that run as CUDA graphs, as --graphs trains")


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
