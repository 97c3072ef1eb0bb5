"""Verbs to look at things by hand: progress of a command, a study before it starts, parameters, faces."""

import argparse
import gc
import sys
from pathlib import Path

from lrsms.study import expand
from lrsms.verbs.options import (
    Verb,
    asked_study,
    chosen_device,
    on_corpora,
    on_device,
    on_records,
    on_steptimes,
    with_study,
)


def add(verb: Verb) -> None:
    """Adds these verbs to the command line."""
    added = verb(watch)
    added.add_argument("--log", type=Path, default=Path("results/logs/snakemake.log"), help="where its output goes")
    added.add_argument("--quiet", action="store_true", help="show its standard error only if it fails")
    added.add_argument("command", nargs=argparse.REMAINDER, help="such as snakemake --cores all")

    added = verb(sheet)
    added.add_argument("folder", type=Path, help="a prepared corpus with video")
    added.add_argument("utterance", help="its id")
    added.add_argument("output", type=Path, help="picture to write (.png, .pdf or .svg)")

    added = verb(plan, with_study(), on_device(), on_corpora(), on_records(), on_steptimes())
    added.add_argument(
        "--speech",
        type=float,
        metavar="HOURS",
        help="hours of speech in the training split; the plan then also estimates hours on an H100",
    )
    added.add_argument(
        "--no-measure",
        dest="measure",
        action="store_false",
        help="measure no step times; unknown ones stay unknown",
    )
    added.add_argument("--json", action="store_true", help="machine-readable")

    added = verb(params)
    added.add_argument("preset", help="such as paper-asr")
    added.add_argument(
        "--set", nargs="*", action="extend", default=[], metavar="FIELD=VALUE", help="such as lowrank.ratio=0.25"
    )
    added.add_argument("--json", action="store_true", help="machine-readable")


def watch(options: argparse.Namespace) -> None:
    """Runs a command and shows progress bars for its jobs."""
    from lrsms.watch.bars import quietly
    from lrsms.watch.bars import watch as watch_command

    if not options.command:
        raise ValueError("watch: there is no command to run; give one, such as snakemake --cores all")
    sys.exit(quietly(options.command) if options.quiet else watch_command(options.command, options.log))


def sheet(options: argparse.Namespace) -> None:
    """Draws all frames of one utterance on a page, each with the sound that is spoken at that moment."""
    from lrsms.data.synthetic.contactsheet import utterance_sheet
    from lrsms.report.figures.style import style

    options.output.parent.mkdir(parents=True, exist_ok=True)
    with style():
        utterance_sheet(options.folder, options.utterance).savefig(options.output)


def plan(options: argparse.Namespace) -> None:
    """Lists a study's runs with their parameters, and estimates time and disk before anything starts."""
    gc.disable()  # imports and runs stay in memory: to search them for garbage takes a tenth of the time
    try:
        from lrsms.cost.card import on_card
        from lrsms.cost.estimate import Folders, estimate
        from lrsms.cost.estimate_table import show as show_estimate

        project, experiments, tuning = asked_study(options)
    finally:
        gc.enable()
    folders = Folders(options.records, options.steptimes, options.corpora)
    if options.speech is not None and options.speech <= 0:
        raise ValueError(f"--speech {options.speech:g}: must be more than 0 hours")
    result = estimate(experiments, project.decoding, folders, chosen_device(options), options.measure)
    cards = {}
    if options.speech is not None:
        firsts = {experiment.cell: experiment.run for experiment in reversed(experiments) if experiment.trained}
        cards = {cell: on_card(run, options.speech) for cell, run in reversed(firsts.items())}
    show_estimate(result, options.json, cards, tuning.extend if tuning else 0)


def params(options: argparse.Namespace) -> None:
    """Prints the parameters of a preset by part and by matrix, dense and factorised, with break-even ranks."""
    from lrsms.cost.params import show_parameters

    show_parameters(expand.preset_run(options.preset, options.set, options.config_folder), options.json)
