"""Options that several verbs have, and the functions that read them."""

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lrsms.base.strict import parse
from lrsms.base.yamlfile import parse_yaml, read_yaml
from lrsms.execution import local
from lrsms.record.start import STARTS
from lrsms.study import expand
from lrsms.study.corpus import Corpus
from lrsms.study.project import Project
from lrsms.study.testsets import with_test_corpora

if TYPE_CHECKING:
    import torch

    from lrsms.report.tuning import Tuning


class Verb(Protocol):
    """Adds a verb to the command line: its name is the function's, its description the function's docstring."""

    def __call__(
        self, function: Callable[[argparse.Namespace], None], *parents: argparse.ArgumentParser, workflow: bool = False
    ) -> argparse.ArgumentParser:
        """Returns the verb's parser.

        Args:
            function: the function of the verb.
            parents: parsers whose options the verb has too.
            workflow: whether the workflow calls the verb, and people seldom do; ``--help`` lists such verbs last.
        """


def with_project() -> argparse.ArgumentParser:
    """``--project``, read by ``read_project``."""
    return _options(("--project", "workflow/config/config.yaml", "config.yaml, or its content as JSON"))


def with_place() -> argparse.ArgumentParser:
    """``--project``, and options that replace its scale, task and corpus; read by ``asked_project``."""
    parser = with_project()
    for name in ("scale", "task", "corpus"):
        parser.add_argument(f"--{name}", help="instead of config.yaml's")
    return parser


def with_study() -> argparse.ArgumentParser:
    """A study, and the options of ``with_place``; read by ``asked_study``."""
    parser = with_place()
    parser.add_argument("study", help="a file in workflow/config/studies")
    return parser


def on_device() -> argparse.ArgumentParser:
    """``--device`` and ``--threads``, read by ``chosen_device``."""
    parser = _options(("--device", "auto", "auto, cpu, cuda or cuda:N"))
    parser.add_argument("--threads", type=int, default=1, help="processor threads")
    return parser


def on_list() -> argparse.ArgumentParser:
    """A list of results that are kept: which, for how long, and where their recordings and their archive lie."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("list", help="a list in workflow/config/reference.yaml")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="time limit; unfinished runs wait for the next call"
    )
    parser.add_argument("--roots", help="folders of recorded corpora, such as '{grid_s1: /data/grid_s1}'")
    parser.add_argument(
        "--pack", type=Path, metavar="FILE.tar.gz", help="archive to write, of all results that exist at the end"
    )
    return parser


def on_corpora() -> argparse.ArgumentParser:
    """``--corpora``."""
    return _options(("--corpora", Path("results/corpora"), "prepared corpora"))


def on_records() -> argparse.ArgumentParser:
    """``--records``."""
    return _options(("--records", Path("results/records"), "records of runs"))


def on_starts() -> argparse.ArgumentParser:
    """``--starts``."""
    return _options(("--starts", STARTS, "folders with imported weights"))


def on_steptimes() -> argparse.ArgumentParser:
    """``--steptimes``."""
    return _options(("--steptimes", Path("results/steptime"), "measured step times"))


def on_logs() -> argparse.ArgumentParser:
    """``--runs`` and ``--logs``."""
    return _options(("--runs", Path("results/runs"), "folders of runs"), ("--logs", Path("results/logs"), "other logs"))


def read_project(text: str, config_folder: Path) -> Project:
    """Reads ``--project``: a path, or the content itself, which is a mapping.

    Args:
        text: what was given.
        config_folder: where the corpora that conditions name are described.

    Raises:
        ValueError: one line: it cannot be read, or it is not a project.
    """
    if not text.lstrip().startswith("{"):
        return with_test_corpora(parse(Project, local.without(read_yaml(Path(text))), text), config_folder)
    return with_test_corpora(parse(Project, parse_yaml(text, "--project"), "--project"), config_folder)


def asked_project(options: argparse.Namespace) -> Project:
    """The project with the study, scale, task and corpus of the command line, as far as it names them.

    Raises:
        ValueError: one line: the project is missing or malformed.
    """
    asked = {key: getattr(options, key, None) for key in ("study", "scale", "task", "corpus")}
    changes = {key: value for key, value in asked.items() if value is not None}
    content = read_project(options.project, options.config_folder).model_dump(mode="json", exclude_none=True) | changes
    return parse(Project, content, options.project)


def asked_study(
    options: argparse.Namespace,
) -> tuple[Project, Sequence[expand.Experiment], "Tuning | None"]:
    """The project with the study, scale, task and corpus of the command line, and the study's runs.

    The last one is what tuning has come to, by the records there are; None where the study does not tune.

    Raises:
        ValueError: one line: the project, the study, or a file that it names is missing or malformed.
    """
    project = asked_project(options)
    experiments = expand.load(project, options.config_folder)
    if not any(experiment.tuning for experiment in experiments):
        return project, experiments, None
    from lrsms.report.tuning import look

    tuning = look(project, options.config_folder, options.records)
    assert tuning is not None, "its runs say that it tunes"
    return project, tuning.experiments, tuning


def given_root(roots: str, corpus: Corpus) -> Path | None:
    """The folder that ``--roots`` gives to a corpus, if any.

    Raises:
        ValueError: one line: it is not a mapping of names to folders.
    """
    given = parse_yaml(roots, "--roots")
    if not isinstance(given, dict):
        raise ValueError("--roots: is no mapping; write '{name: /path/to/folder}'")
    for name, root in given.items():
        if not isinstance(name, str) or not isinstance(root, str):
            raise ValueError(f"--roots: '{name}' is given {root!r}; a name of a corpus and its folder are needed")
    root = given.get(corpus.name)
    return Path(root) if root else None


def babble_recording(project: Project, corpus: Corpus) -> Path | None:
    """The path of the babble recording that a corpus names, if any.

    Raises:
        ValueError: one line: the project has no such root.
    """
    if corpus.babble is None:
        return None
    if corpus.babble not in project.roots:
        raise ValueError(
            f"roots.{corpus.babble}: not set; corpus '{corpus.name}' takes its babble from there; give a recording, "
            f"or a folder of them, with --config roots='{{{corpus.babble}: /path}}'"
        )
    return Path(project.roots[corpus.babble])


def chosen_device(options: argparse.Namespace) -> "torch.device":
    """The device of ``--device``, which is then PyTorch's current one; also sets the number of processor threads.

    Raises:
        ValueError: one line: there is no such device here, with the reason; or less than one thread.
    """
    import torch

    from lrsms.base.devices import keep_freed_memory
    from lrsms.base.kernels import choose_kernels
    from lrsms.base.portable import is_portable

    if options.threads < 1:
        raise ValueError(f"--threads {options.threads}: must be at least 1")
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() and not is_portable() else "cpu"
    elif name != "cpu" and is_portable():
        raise ValueError(f"--device {name}: 'portable' is for processors; leave it out, or use --device cpu")
    elif name == "cuda":
        require_gpus(getattr(options, "devices", 1))
    choose_kernels()
    torch.set_num_threads(options.threads)
    if name == "cuda" and "LOCAL_RANK" in os.environ:  # started by torchrun: each process has its own device
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    available = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    available += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if name not in available:
        raise ValueError(f"--device {name}: PyTorch has no such device here; use one of {', '.join(available)}")
    device = torch.device(name)
    if name == "cpu":
        keep_freed_memory()
    elif device.index is not None:  # a CUDA graph is recorded on the current device only
        torch.cuda.set_device(device)
    return device


def require_gpus(num_devices: int) -> None:
    """Checks that a job has the GPUs that it was promised, so that it never runs on a CPU instead.

    Raises:
        ValueError: one line: there are too few, with the reason.
    """
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found >= num_devices:
        return
    wanted = "a GPU is" if num_devices == 1 else f"{num_devices} GPUs are"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not torch.backends.cuda.is_built():
        why = f"PyTorch {torch.__version__} was built without CUDA; install one that was, or ask for no GPU"
    elif found:
        why = f"this job sees {found}" + (f" (CUDA_VISIBLE_DEVICES is '{visible}')" if visible is not None else "")
    elif visible is not None and visible.split(",")[0].strip() in ("", "-1", "NoDevFiles"):
        why = f"CUDA_VISIBLE_DEVICES is '{visible}', which hides them all; unset it, or ask the cluster for a GPU"
    elif not (Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi")):
        why = "this machine has no NVIDIA driver; run the job where there is one"
    else:
        why = f"{_cuda_says()}; nvidia-smi says more"
    raise ValueError(f"--device cuda: {wanted} asked for, but {why}")


def _cuda_says() -> str:
    """CUDA's own message that says why it does not start."""
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f"CUDA does not start ({str(error).splitlines()[0]})"
    return "CUDA finds none"


def _options(*options: tuple[str, str | Path, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    for name, default, text in options:
        parser.add_argument(name, type=type(default), default=default, help=text)
    return parser
