"""Verbs that use trained runs and their records: transcribe, export, merge, compare, curves, schemas."""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lrsms.base.terminal import say
from lrsms.study.run import MODALITIES
from lrsms.verbs.options import Verb, chosen_device, on_corpora, on_device, on_records, read_project, with_project

if TYPE_CHECKING:
    from lrsms.use.pieces import Recorded


def add(verb: Verb) -> None:
    """Adds these verbs to the command line."""
    added = verb(transcribe, with_project(), on_device(), on_corpora())
    added.add_argument("run", type=Path, help="the run's folder, such as results/runs/NAME")
    added.add_argument("files", type=Path, nargs="+", metavar="FILE", help="audio or video of any usual format")
    added.add_argument("--decoder", default="greedy", help="one of the project's decoders; default: greedy")
    added.add_argument("--length-bonus", type=float, help="replaces the decoder's length bonus")
    added.add_argument("--format", choices=("text", "json", "srt"), default="text", help="text if none is given")
    added.add_argument(
        "--output", type=Path, metavar="FOLDER", help="folder with a file for each; default: standard output"
    )
    added.add_argument(
        "--longest", type=float, metavar="SECONDS", help="length of a piece; default: the longest in training"
    )
    added.add_argument(
        "--box",
        type=int,
        nargs=4,
        metavar=("X", "Y", "WIDTH", "HEIGHT"),
        help="place of the mouth; default: the corpus's",
    )

    added = verb(export, with_project(), on_corpora(), on_records())
    added.add_argument("run", type=Path, help="the run's folder, such as results/runs/NAME")
    added.add_argument("folder", type=Path, help="folder to make")
    added.add_argument("--merged", action="store_true", help="multiply factors out, to dense matrices")
    added.add_argument("--onnx", action="store_true", help="write network.onnx too (pip install 'lrsms[onnx]')")

    added = verb(import_, on_corpora())
    added.add_argument("checkpoint", type=Path, help="a .pth file of Auto-AVSR, or the folder of a run or of an export")
    added.add_argument("folder", type=Path, help="folder to make, such as results/starts/NAME")
    added.add_argument("--task", choices=tuple(MODALITIES), help="of the network of a .pth file")
    added.add_argument(
        "--tokenizer", type=Path, nargs=2, metavar=("MODEL", "UNITS"), help="SentencePiece's, and the list of its units"
    )

    added = verb(merge, with_project())
    added.add_argument(
        "sources", type=Path, nargs="+", metavar="FOLDER|ARCHIVE", help="a clone, its results, or an archive of --pack"
    )
    added.add_argument("--results", type=Path, default=Path("results"), help="of this clone")

    added = verb(compare, with_project(), on_records())
    added.add_argument("run", nargs=2, metavar="RUN", help="the run's name, or the folder of its record")
    added.add_argument("--runs", type=Path, default=Path("results/runs"), help="folders of runs, with hypotheses")
    added.add_argument("--decoder", help="decoder of the utterances; default: the project's last")
    added.add_argument("--condition", help="their condition; default: the first of the test split")

    added = verb(schemas)
    added.add_argument("folder", type=Path, help="such as workflow/schemas")

    added = verb(curves)
    added.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the run's folder, such as results/runs/NAME")
    added.add_argument("--tensorboard", type=Path, metavar="FOLDER", help="for tensorboard --logdir FOLDER")
    added.add_argument("--csv", type=Path, metavar="FILE.csv", help="one table of all the runs")


def transcribe(options: argparse.Namespace) -> None:
    """Transcribes audio or video files with a trained run: as text, JSON with times, or subtitles."""
    from lrsms.base.progress import progress
    from lrsms.study.frames import FRAMES_PER_SECOND
    from lrsms.use import pieces
    from lrsms.use.decoders import chosen_decoder
    from lrsms.use.trained import load
    from lrsms.use.transcribe import transcribe as transcribe_files
    from lrsms.use.writing import Output

    if options.longest is not None and not 0.4 <= options.longest <= 600:
        raise ValueError(f"--longest {options.longest:g}: must lie between 0.4 and 600 seconds")
    device = chosen_device(options)
    trained = load(options.run, options.corpora, device)
    decoder = chosen_decoder(
        read_project(options.project, options.config_folder),
        trained.run,
        options.run,
        options.decoder,
        options.length_bonus,
    )
    about = {"run": options.run.resolve().name, "decoder": options.decoder}
    output = Output(options.format, options.output, options.files, about)
    longest = trained.longest if options.longest is None else round(options.longest * FRAMES_PER_SECOND)
    box = tuple(options.box) if options.box is not None else getattr(trained.run.corpus, "box", None)
    failed: list[str] = []
    frames = 0

    def read() -> Iterator["Recorded"]:
        nonlocal frames
        for path in options.files:
            try:
                file = pieces.read(path, trained.run.task, box, longest)
            except ValueError as error:
                failed.append(str(error))
                continue
            frames += file.frames
            yield file

    began = time.perf_counter()
    with progress("transcribe") as show:
        seconds = {"note": "seconds of recordings"}
        found = transcribe_files(
            trained,
            read(),
            decoder,
            device,
            lambda done: show(done // FRAMES_PER_SECOND, frames // FRAMES_PER_SECOND, **seconds),
        )
        for file, transcript in found:
            output.take(transcript)
            for note in file.notes:
                say(f"{file.path}: {note}", sys.stderr)
        show(frames // FRAMES_PER_SECOND, frames // FRAMES_PER_SECOND, **seconds)  # silence is not decoded
    took, heard = time.perf_counter() - began, frames / FRAMES_PER_SECOND
    if frames:
        say(
            f"{len(options.files) - len(failed)} of {len(options.files)} files, {heard:.1f} s, in {took:.1f} s on "
            f"{device}: real-time factor {took / heard:.3f}",
            sys.stderr,
        )
    for line in failed[:-1]:
        say(f"error: {line}", sys.stderr)
    if failed:
        raise ValueError(failed[-1])


def export(options: argparse.Namespace) -> None:
    """Writes a trained run as a folder for others: weights, graph, tokens, a loader that needs only torch, a page."""
    import torch

    from lrsms.use.export import export as export_run
    from lrsms.use.trained import load

    trained = load(options.run, options.corpora, torch.device("cpu"))
    chosen = {"scale": trained.run.scale, "task": trained.run.task}
    decoding = read_project(options.project, options.config_folder).model_copy(update=chosen).decoding
    record = options.records / options.run.resolve().name
    export_run(trained, options.folder, record, decoding, options.merged, options.onnx)
    say(f"wrote {options.folder}: {', '.join(sorted(path.name for path in options.folder.iterdir()))}")


def import_(options: argparse.Namespace) -> None:
    """Makes weights of Auto-AVSR, of a run or of an export the start of studies: 'init_from' of their runs."""
    from lrsms.use.start import write_start

    tokenizer = None if options.tokenizer is None else (options.tokenizer[0], options.tokenizer[1])
    start = write_start(options.checkpoint, options.folder, options.task, tokenizer, options.corpora)
    about, used = start.about, start.about.source.tensors
    said = f" all of its {used} tensors are used;" if used else ""
    say(f"wrote {options.folder}:{said} {about.parameters:,} parameters, task {about.task}")
    say(f"init_from: '{start.digits}'")
    if about.tokenizer is None:
        say("its tokenizer is unknown: only its size will be compared; --tokenizer MODEL UNITS brings it", sys.stderr)
    else:
        say(f"tokenizer: {start.tokenizer_setting()}")


def merge(options: argparse.Namespace) -> None:
    """Brings records of other machines into this clone; it checks each and refuses one that contradicts ours."""
    from lrsms.use.merge import merge as merge_records

    project = read_project(options.project, options.config_folder)
    scales, tasks = [project.scale, *project.decoders_of], list(project.conditions)
    asked = [project.model_copy(update={"scale": scale, "task": task}) for scale in scales for task in tasks]
    plain = [one.model_copy(update={"decoders_of": {}}) for one in asked]  # for any scale without decoders of its own
    merged = merge_records(options.sources, options.results, [one.decoding for one in [*asked, *plain]])
    for name in merged.records:
        say(f"new: {name}")
    for path in merged.tables.values():
        say(f"new scores of a run that is here: {path.parent.name} {path.name}")
    for name in merged.same:
        say(f"the same as here: {name}")
    for line in [*merged.kept, *merged.remarks]:
        say(line)
    say(
        f"{len(merged.records)} new records, {len(merged.tables)} new score tables, {len(merged.others)} step times and"
        f" notes of studies; {len(merged.same)} records were here"
    )


def compare(options: argparse.Namespace) -> None:
    """Shows how two recorded runs differ: configuration, plan, curve, and every error that only one of them makes."""
    from lrsms.use import difference
    from lrsms.use.difference_table import show

    folders = [Path(name) if Path(name).is_dir() else options.records / name for name in options.run]
    a, b = map(difference.load, folders)
    found = difference.errors(a, b, options.runs)
    asked = {"scale": a.run.scale, "task": a.run.task}
    decoding = read_project(options.project, options.config_folder).model_copy(update=asked).decoding
    usual = [(decoder, name) for decoder in reversed(decoding.decoders) for name in decoding.of_split("test")]
    wanted = [
        key
        for key in dict.fromkeys([*usual, *found])
        if key in found and options.decoder in (None, key[0]) and options.condition in (None, key[1])
    ]
    if found and not wanted:
        known = ", ".join(f"{decoder} {condition}" for decoder, condition in found)
        raise ValueError(f"--decoder, --condition: no scores of that kind are common to both; there are: {known}")
    show(a, b, found, wanted[0] if wanted else None)


def curves(options: argparse.Namespace) -> None:
    """Writes the logs of runs, as far as they have trained, for TensorBoard or as one CSV table."""
    from lrsms.use.curves import write_csv, write_events

    if options.tensorboard is None and options.csv is None:
        raise ValueError("say where the curves go: --tensorboard FOLDER, --csv FILE.csv, or both")
    if options.csv is not None:
        say(f"wrote {options.csv}: {write_csv(options.runs, options.csv)} steps of {len(options.runs)} runs")
    if options.tensorboard is not None:
        number = write_events(options.runs, options.tensorboard)
        say(f"wrote {options.tensorboard}: {number} values of {len(options.runs)} runs")


def schemas(options: argparse.Namespace) -> None:
    """Writes JSON Schemas, with which editors complete and check studies, presets, corpora and config.yaml."""
    from lrsms.use.schemas import write

    say(f"wrote {', '.join(map(str, write(options.folder)))}")
