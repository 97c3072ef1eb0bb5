"""``python -m lrsms VERB``: one verb per rule of the workflow, and a few to look at things by hand."""

import argparse
import contextlib
import errno
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrsms import config, interrupt, study
from lrsms.config import Project, Run
from lrsms.yamlfile import parse_yaml, read_yaml

if TYPE_CHECKING:
    import torch

    from lrsms.outcomes import Outcome
    from lrsms.status import Status


def main(arguments: list[str] | None = None) -> int:
    """Runs a verb; whatever a user can mend ends as one line on standard error and exit status 1."""
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning  # one line, without a line of code
        try:
            options.verb(options)
        except (ValueError, OSError) as error:
            print(f"error: {_one_line(error)}", file=sys.stderr)
            return 1
        except interrupt.Interrupted as reason:
            with contextlib.suppress(OSError):  # who read the line may have been ended by the same signal
                print(reason, file=sys.stderr)
            return interrupt.EXIT_STATUS
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
    pending = [e.run for e in experiments if e.trained and not (options.records / e.name / scores).is_file()]
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
        findings = prepare_corpus(
            run.corpus,
            run.tokenizer,
            run.model.modalities,
            _root(project, run.corpus),
            options.folder,
            threads=options.threads,
            babble=_babble(project, run.corpus),
            report=show,
        )
    for finding in findings:
        print(finding, file=sys.stderr)


def train(options: argparse.Namespace) -> None:
    """Trains a run, from its last checkpoint if it was interrupted; SIGTERM and SIGUSR1 make it write one and end."""
    if options.devices > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        from lrsms.launch import launch

        sys.exit(launch(options.devices, options.arguments))
    from lrsms.data.prepared import Prepared
    from lrsms.determinism import make_deterministic
    from lrsms.distributed import joined
    from lrsms.files import only_one
    from lrsms.record import load_run
    from lrsms.train import train as train_run

    run = load_run(options.folder)
    if options.deterministic:
        make_deterministic()
    device = _device(options)
    first = os.environ.get("RANK", "0") == "0"
    # The lock comes before the others are joined, so that a run that is held is refused while these still wait.
    with only_one(options.folder) if first else contextlib.nullcontext(), joined(device) as ranks:
        prepared = Prepared(options.corpora / run.prepared)
        with interrupt.stop_on_signals() as stop:
            train_run(run, prepared, options.folder, device, options.checkpoint_seconds, ranks, stop)


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
    """Gathers the records of a study's runs into runs.csv, speakers.csv and pairs.csv, and lists the runs."""
    _aggregate(_project(options.project), options.folder, options.selection, options)


def _aggregate(project: Project, folder: Path, selection: Path, options: argparse.Namespace) -> None:
    from lrsms.aggregate import aggregate as aggregate_records
    from lrsms.files import write_atomically
    from lrsms.results import save_project

    experiments = study.load(project, options.config_folder)
    for earlier in folder.glob("runs-*.txt"):
        earlier.unlink()
    aggregate_records(experiments, options.records, options.steptimes, project.decoding, folder)
    save_project(project, folder)
    write_atomically(selection, "".join(f"{experiment.name}\n" for experiment in experiments).encode())


def status(options: argparse.Namespace) -> None:
    """Says of each run of a study whether it is done, running, failed, diverged or missing, and why."""
    from lrsms.status import show as show_status

    project, experiments = _asked(options)
    show_status(_statuses(project, experiments, options), options.json)


def partial(options: argparse.Namespace) -> None:
    """Prints and writes the table of what runs there are, and why the others are missing."""
    from lrsms.aggregate import aggregate as aggregate_records
    from lrsms.status import write_reasons
    from lrsms.tables import render_terminal
    from lrsms.tables import write as write_tables

    project = _project(options.project)
    experiments = study.load(project, options.config_folder)
    aggregate_records(experiments, options.records, options.steptimes, project.decoding, options.folder)
    write_tables(options.folder)
    statuses = _statuses(project, experiments, options)
    if any(status.state in ("done", "diverged") for status in statuses):
        render_terminal(options.folder)
    for line in write_reasons(statuses, options.folder / "table.md"):
        print(line)


def _statuses(project: Project, experiments: list[study.Experiment], options: argparse.Namespace) -> "list[Status]":
    from lrsms.status import Folders, study_status

    folders = Folders(options.records, options.runs, options.corpora, options.logs)
    return study_status(experiments, project.decoding, folders)


def tables(options: argparse.Namespace) -> None:
    """Writes a study's table as CSV, Markdown and LaTeX."""
    from lrsms.tables import write

    write(options.folder)


def figures(options: argparse.Namespace) -> None:
    """Draws a study's figures as PDF, PNG and SVG, by its project.json."""
    from lrsms.results import load_project

    _figures(options.folder, options.output, load_project(options.folder), options)


def _figures(folder: Path, output: Path, project: Project, options: argparse.Namespace) -> None:
    from lrsms.figures.write import write

    experiments = study.load(project, options.config_folder)
    write(folder, output, experiments, project.decoding, options.records, options.steptimes)


def claims(options: argparse.Namespace) -> None:
    """Says of each of the paper's findings whether a study's results support it; writes claims.* beside its tables."""
    from lrsms.verdict_table import sentence

    project = _project(options.project)
    for outcome in _claims(project, options.studies, options.results, options.config_folder):
        print(f"[{outcome.folder}] {sentence(outcome)}\n")


def _claims(project: Project, studies: list[str], results: Path, config_folder: Path) -> "list[Outcome]":
    """Verdicts on the claims over these studies, or all, for the project's task, scale and corpus."""
    from lrsms import claims as hypotheses
    from lrsms import outcomes, verdict_table
    from lrsms.results import folder_name

    path = config_folder / hypotheses.FILE
    everything = hypotheses.load(path)
    known = list(dict.fromkeys(claim.study for claim in everything.values()))
    found = []
    for name in studies or known:
        if name not in known:
            study.named(config_folder / "studies", name, "study")
            raise ValueError(f"{path}: no claim is over study '{name}'; known: {', '.join(known)}")
        folder = results / folder_name(project.model_copy(update={"study": name}))
        ours = hypotheses.claims_of(everything, name, project.task)
        decided = outcomes.verdicts(ours, folder, project.task)
        if decided and (folder / "runs.csv").is_file():
            question = read_yaml(study.named(config_folder / "studies", name, "study")).get("question", "")
            verdict_table.write(decided, folder, question)
        found += decided
    return found


def pages(options: argparse.Namespace) -> None:
    """Writes the pages of a study's report: what it was, its table, plans, provenance and a page for each run."""
    from lrsms.pages.write import write

    project = _project(options.project)
    question = read_yaml(study.named(options.config_folder / "studies", project.study, "study")).get("question", "")
    experiments = study.load(project, options.config_folder)
    write(options.folder, options.output, project, question, experiments, options.records)


def regenerate(options: argparse.Namespace) -> None:
    """Makes committed tables, verdicts and figures again from the records: of every study that has a project.json."""
    from lrsms import claims as hypotheses
    from lrsms.results import committed, load_project, selection_name
    from lrsms.tables import write as write_tables

    everything = hypotheses.load(options.config_folder / hypotheses.FILE)
    for folder in options.folders or committed(options.results):
        project = load_project(folder)
        experiments = study.load(project, options.config_folder)
        stated = hypotheses.claims_of(everything, project.study, project.task)
        _aggregate(project, folder, folder / selection_name(project, experiments, stated), options)
        write_tables(folder)
        if stated:
            _claims(project, [project.study], folder.parent, options.config_folder)
        _figures(folder, options.figures / folder.name, project, options)
        print(f"regenerated {folder}")


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


def sheet(options: argparse.Namespace) -> None:
    """Lays the frames of one utterance out on a page, each with what is said at that moment."""
    from lrsms.contactsheet import utterance_sheet

    options.output.parent.mkdir(parents=True, exist_ok=True)
    utterance_sheet(options.folder, options.utterance).savefig(options.output)


def plan(options: argparse.Namespace) -> None:
    """Lists a study's runs with their parameters, and estimates time and disk before anything starts."""
    from lrsms.estimate import Folders, estimate
    from lrsms.estimate_table import show as show_estimate

    project, experiments = _asked(options)
    folders = Folders(options.records, options.steptimes, options.corpora)
    result = estimate(experiments, project.decoding, folders, _device(options), options.measure)
    show_estimate(result, options.json)


def _asked(options: argparse.Namespace) -> tuple[Project, list[study.Experiment]]:
    """The project with the study and what else was named on the command line, and the study's runs."""
    asked = {"study": options.study, "scale": options.scale, "task": options.task, "corpus": options.corpus}
    changes = {key: value for key, value in asked.items() if value is not None}
    content = _project(options.project).model_dump(mode="json", exclude_none=True) | changes
    project = config.parse(Project, content, options.project)
    return project, study.load(project, options.config_folder)


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


def _babble(project: Project, corpus: config.Corpus) -> Path | None:
    """Where the recording of babble lies that a corpus names, if it names one."""
    if corpus.babble is None:
        return None
    if corpus.babble not in project.roots:
        raise ValueError(
            f"roots.{corpus.babble}: not set; corpus '{corpus.name}' takes its babble from there; give a recording, "
            f"or a folder of them, with --config roots='{{{corpus.babble}: /path}}'"
        )
    return Path(project.roots[corpus.babble])


def _device(options: argparse.Namespace) -> "torch.device":
    import torch

    if options.threads < 1:
        raise ValueError(f"--threads {options.threads}: must be at least 1")
    torch.set_num_threads(options.threads)
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:  # started by torchrun: each process has its own
        name = f"cuda:{os.environ['LOCAL_RANK']}"
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

    on_logs = argparse.ArgumentParser(add_help=False)
    on_logs.add_argument("--records", type=Path, default=Path("results/records"))
    on_logs.add_argument("--runs", type=Path, default=Path("results/runs"))
    on_logs.add_argument("--logs", type=Path, default=Path("results/logs"))

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
    added.add_argument("--threads", type=int, default=1, help="recordings read, or faces drawn, at a time")

    added = verb(train, on_device, on_corpora)
    added.add_argument("folder", type=Path, help="the run's folder, with its config.json")
    added.add_argument("--checkpoint-seconds", type=float, default=60.0, help="least time between checkpoints")
    added.add_argument("--devices", type=int, default=1, help="how many of this machine share each step (torchrun)")
    added.add_argument("--deterministic", action="store_true", help="the same bits each time also on a GPU; slower")

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

    added = verb(status, with_project, on_corpora, on_logs)
    added.add_argument("study", help="a file in workflow/config/studies")
    for name in ("scale", "task", "corpus"):
        added.add_argument(f"--{name}", help="instead of config.yaml's")
    added.add_argument("--json", action="store_true", help="machine-readable")

    added = verb(partial, with_project, on_corpora, on_logs)
    added.add_argument("folder", type=Path, help="folder to write")
    added.add_argument("--steptimes", type=Path, default=Path("results/steptime"))

    added = verb(tables)
    added.add_argument("folder", type=Path, help="the study's folder of results")

    added = verb(figures)
    added.add_argument("folder", type=Path, help="the study's folder of results, with its project.json")
    added.add_argument("output", type=Path, help="folder for the figures")
    added.add_argument("--records", type=Path, default=Path("results/records"))
    added.add_argument("--steptimes", type=Path, default=Path("results/steptime"))

    added = verb(claims, with_project)
    added.add_argument("studies", nargs="*", help="files in workflow/config/studies; all that have claims if none")
    added.add_argument("--results", type=Path, default=Path("results"))

    added = verb(pages, with_project)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument("output", type=Path, help="folder for the pages")
    added.add_argument("--records", type=Path, default=Path("results/records"))

    added = verb(regenerate)
    added.add_argument("folders", type=Path, nargs="*", help="folders of results; all with a project.json if none")
    added.add_argument("--results", type=Path, default=Path("results"))
    added.add_argument("--figures", type=Path, default=Path("figures"))
    added.add_argument("--records", type=Path, default=Path("results/records"))
    added.add_argument("--steptimes", type=Path, default=Path("results/steptime"))

    added = verb(show)
    added.add_argument("folder", type=Path, help="the study's folder of results")
    added.add_argument("also", nargs="*", help="files to name below the table")

    added = verb(watch)
    added.add_argument("--log", type=Path, default=Path("results/logs/snakemake.log"), help="where its output goes")
    added.add_argument("command", nargs=argparse.REMAINDER, help="such as snakemake --cores all")

    added = verb(sheet)
    added.add_argument("folder", type=Path, help="a prepared corpus with video")
    added.add_argument("utterance", help="its id")
    added.add_argument("output", type=Path, help="picture to write (.png, .pdf or .svg)")

    added = verb(plan, with_project, on_device, on_corpora)
    added.add_argument("study", help="a file in workflow/config/studies")
    for name in ("scale", "task", "corpus"):
        added.add_argument(f"--{name}", help="instead of config.yaml's")
    added.add_argument("--no-measure", dest="measure", action="store_false", help="unknown step times stay unknown")
    added.add_argument("--json", action="store_true", help="machine-readable")
    added.add_argument("--records", type=Path, default=Path("results/records"))
    added.add_argument("--steptimes", type=Path, default=Path("results/steptime"))

    added = verb(params)
    added.add_argument("preset", help="such as paper-asr")
    added.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="such as lowrank.ratio=0.25")
    added.add_argument("--json", action="store_true", help="machine-readable")
    return parser


if __name__ == "__main__":
    sys.exit(main())
