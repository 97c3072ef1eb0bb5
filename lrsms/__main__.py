"""``python -m lrsms VERB``: one verb per rule of the workflow, and a few to look at things by hand."""

import argparse
import errno
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrsms import config, study
from lrsms.config import Project, Run
from lrsms.yamlfile import parse_yaml, read_yaml

if TYPE_CHECKING:
    import torch


def main(arguments: list[str] | None = None) -> int:
    """Runs a verb; whatever a user can mend ends as one line on standard error and exit status 1."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning  # one line, without a line of code
        try:
            options.verb(options)
        except (ValueError, OSError) as error:
            print(f"error: {_one_line(error)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def check(options: argparse.Namespace) -> None:
    """Finds what would fail later: targets, ranks, decoders, and the corpus where it is still to be prepared."""
    from lrsms.check import check_corpus, check_runs

    project = _project(options.project)
    experiments = study.load(project, options.config_folder)
    check_runs(experiments, project.decoding)
    scores = project.decoding.scores
    pending = [e.run for e in experiments if not (options.records / e.name / scores).is_file()]
    for name, corpus in {run.prepared: run.corpus for run in pending}.items():
        check_corpus(corpus, _root(project, corpus), options.corpora / name)


def resolve(options: argparse.Namespace) -> None:
    """Writes a run's config.json."""
    from lrsms.files import write_json

    project = _project(options.project)
    for experiment in study.load(project, options.config_folder):
        if experiment.name == options.run:
            return write_json(options.output, experiment.run.model_dump(mode="json", exclude_none=True))
    raise ValueError(f"no run of study '{project.study}' is called {options.run}")


def prepare(options: argparse.Namespace) -> None:
    """Reads, checks and tokenizes a corpus into a prepared folder."""
    from lrsms.data.prepare import prepare as prepare_corpus
    from lrsms.progress import progress

    project = _project(options.project)
    runs = [experiment.run for experiment in study.load(project, options.config_folder)]
    run = next((run for run in runs if run.prepared == options.folder.name), None)
    if run is None:
        raise ValueError(f"no run of study '{project.study}' reads a corpus called {options.folder.name}")
    with progress(f"prepare {run.corpus.name}") as show:
        prepare_corpus(run.corpus, run.tokenizer, _root(project, run.corpus), options.folder, show)


def train(options: argparse.Namespace) -> None:
    """Trains a run, from its last checkpoint if it was interrupted."""
    from lrsms.data.prepared import Prepared
    from lrsms.files import only_one
    from lrsms.record import load_run
    from lrsms.train import train as train_run

    run = load_run(options.folder)
    device = _device(options)
    with only_one(options.folder):
        train_run(run, Prepared(options.corpora / run.prepared), options.folder, device, options.checkpoint_seconds)


def decode(options: argparse.Namespace) -> None:
    """Decodes a trained run with every decoder under every condition."""
    from lrsms.data.prepared import Prepared
    from lrsms.decode import decode as decode_run
    from lrsms.record import load_run

    run = load_run(options.folder)
    decoding = _project(options.project).decoding
    decode_run(
        run, Prepared(options.corpora / run.prepared), options.folder, options.output, decoding, _device(options)
    )


def score(options: argparse.Namespace) -> None:
    """Counts errors per utterance and writes the run's record."""
    from lrsms.record import write_record

    write_record(options.folder, options.hypotheses, options.output)


def steptime(options: argparse.Namespace) -> None:
    """Times a run's training step beside the dense baseline's."""
    from lrsms.files import write_json
    from lrsms.stepbench import step_time

    experiments = study.load(_project(options.project), options.config_folder)
    experiment = next((e for e in experiments if e.steptime == options.output.stem), None)
    if experiment is None:
        raise ValueError(f"no run of this study has a step time called {options.output.stem}")
    write_json(options.output, step_time(experiment.run, experiment.baseline, _device(options), options.seconds))


def aggregate(options: argparse.Namespace) -> None:
    """Gathers the records of a study's runs into runs.csv and speakers.csv, and lists the runs."""
    from lrsms.aggregate import aggregate as aggregate_records
    from lrsms.files import write_atomically

    project = _project(options.project)
    experiments = study.load(project, options.config_folder)
    aggregate_records(experiments, options.records, options.steptimes, project.decoding, options.folder)
    write_atomically(options.selection, "".join(f"{experiment.name}\n" for experiment in experiments).encode())


def tables(options: argparse.Namespace) -> None:
    """Writes a study's table as CSV, Markdown and LaTeX."""
    from lrsms.tables import write

    write(options.folder)


def figures(options: argparse.Namespace) -> None:
    """Draws a study's figures as PDF and PNG."""
    from lrsms.figures import write

    write(options.folder, options.output)


def show(options: argparse.Namespace) -> None:
    """Prints a study's table and names its figures."""
    from lrsms.tables import render_terminal

    render_terminal(options.folder)
    for path in options.also:
        print(path)


def watch(options: argparse.Namespace) -> None:
    """Runs a command, with bars for the progress that its jobs report."""
    from lrsms.watch import watch as watch_command

    sys.exit(watch_command(options.command, options.log))


def params(options: argparse.Namespace) -> None:
    """Prints the parameters of a preset by part and by matrix, dense and factorised, with break-even ranks."""
    from lrsms.params import show_parameters

    show_parameters(preset_run(options.preset, options.set, options.config_folder), options.json)


def preset_run(name: str, settings: list[str], folder: Path) -> Run:
    """A preset with dotted fields set from the command line; its corpus does not matter."""
    path, preset = study.load_preset(name, folder)
    scale, _, task = name.rpartition("-")
    point = {}
    for setting in settings:
        field, separator, value = setting.partition("=")
        if not separator:
            raise ValueError(f"--set {setting}: must be field=value, such as lowrank.ratio=0.25")
        point[field] = parse_yaml(value, f"--set {setting}")
    base = {"scale": scale, "task": task, "corpus": {"kind": "manifest", "name": "none"}} | preset
    return config.parse(Run, study.overlay(base, point, "--set"), f"{path} with --set" if settings else str(path))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or "No space left" in text:
        where = getattr(error, "filename", None) or text
        return f"the disk is full ({where}); free some space and run again: what was finished is kept"
    return text


def _project(text: str) -> Project:
    """``--project``: a path, or the content itself, which is a mapping."""
    if not text.lstrip().startswith("{"):
        return config.parse(Project, read_yaml(Path(text)), text)
    return config.parse(Project, parse_yaml(text, "--project"), "--project")


def _root(project: Project, corpus: config.Corpus) -> Path | None:
    root = project.roots.get(corpus.name)
    return Path(root) if root else None


def _device(options: argparse.Namespace) -> "torch.device":
    import torch

    if options.threads < 1:
        raise ValueError(f"--threads {options.threads}: must be at least 1")
    torch.set_num_threads(options.threads)
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    available = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    available += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if name not in available:
        raise ValueError(f"--device {name}: PyTorch has no such device here; use one of {', '.join(available)}")
    return torch.device(name)


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lrsms", description=__doc__)
    parser.add_argument("--config-folder", type=Path, default=study.CONFIG_FOLDER, help="presets, studies and corpora")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    with_project = argparse.ArgumentParser(add_help=False)
    with_project.add_argument(
        "--project", default="workflow/config/config.yaml", help="config.yaml, or its content as JSON"
    )
    on_device = argparse.ArgumentParser(add_help=False)
    on_device.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    on_device.add_argument("--threads", type=int, default=1, help="processor threads")
    on_corpora = argparse.ArgumentParser(add_help=False)
    on_corpora.add_argument("--corpora", type=Path, default=Path("results/corpora"), help="prepared corpora")

    def verb(function, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        text = function.__doc__
        added = verbs.add_parser(function.__name__, parents=list(parents), help=text, description=text)
        added.set_defaults(verb=function)
        return added

    added = verb(check, with_project, on_corpora)
    added.add_argument("--records", type=Path, default=Path("results/records"))

    added = verb(resolve, with_project)
    added.add_argument("run", help="the run's name")
    added.add_argument("output", type=Path, help="config.json to write")

    added = verb(prepare, with_project)
    added.add_argument("folder", type=Path, help="folder to write, called as the study's runs call it")

    added = verb(train, on_device, on_corpora)
    added.add_argument("folder", type=Path, help="the run's folder, with its config.json")
    added.add_argument("--checkpoint-seconds", type=float, default=60.0, help="least time between checkpoints")

    added = verb(decode, with_project, on_device, on_corpora)
    added.add_argument("folder", type=Path, help="the run's folder")
    added.add_argument("output", type=Path, help="hypotheses to write (JSON lines)")

    added = verb(score)
    added.add_argument("folder", type=Path, help="the run's folder")
    added.add_argument("hypotheses", type=Path)
    added.add_argument("output", type=Path, help="score table to write, in the run's record")

    added = verb(steptime, with_project, on_device)
    added.add_argument("output", type=Path, help="measurement to write, called as the study's runs call it")
    added.add_argument("--seconds", type=float, default=5.0, help="about how long to measure")

    added = verb(aggregate, with_project)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument("selection", type=Path, help="list of the study's runs to write")
    added.add_argument("--records", type=Path, default=Path("results/records"))
    added.add_argument("--steptimes", type=Path, default=Path("results/steptime"))

    added = verb(tables)
    added.add_argument("folder", type=Path, help="the study's folder of results")

    added = verb(figures)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument("output", type=Path, help="folder for the figures")

    added = verb(show)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument("also", nargs="*", help="files to name below the table")

    added = verb(watch)
    added.add_argument("--log", type=Path, default=Path("results/logs/snakemake.log"), help="where its output goes")
    added.add_argument("command", nargs=argparse.REMAINDER, help="such as snakemake --cores all")

    added = verb(params)
    added.add_argument("preset", help="such as paper-asr")
    added.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="such as lowrank.ratio=0.25")
    added.add_argument("--json", action="store_true", help="machine-readable")
    return parser


if __name__ == "__main__":
    sys.exit(main())
