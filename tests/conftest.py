"""A corpus of a few seconds and a run that trains in about a second, made once per session."""

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nano
import pytest
from hypothesis import HealthCheck, settings

from lrsms.base.files import write_json
from lrsms.base.strict import parse
from lrsms.study.decoding import Decoding
from lrsms.study.fields import overlay
from lrsms.study.project import Project
from lrsms.study.run import Run

if TYPE_CHECKING:
    from lrsms.data.prepared import Prepared

# What an example takes says nothing on a busy machine; and the same examples are tried each time.
settings.register_profile(
    "lrsms", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lrsms")

# Networks this small only lose time to threads that wait for one another, above all on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def as_many_threads_for_every_test() -> Iterator[None]:
    """What a test sets does not outlast it: the bits of a training depend on the number of threads."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True, scope="module")
def without_slurm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Snakemake asks an installed Slurm for its settings, and waits 10 s at each start where it does not run."""
    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__ != "test_slurm":
            program = tmp_path_factory.mktemp("bin") / "scontrol"
            program.write_text("#!/bin/sh\nexit 1\n")
            program.chmod(0o755)
            patch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        yield


# What needs torch is imported by the fixtures that use it: tests of what does without start sooner.


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """A tiny run of a task; each keyword sets a dotted field, written with ``__`` for the dot."""

    def make(task: str = "asr", **fields: Any) -> Run:
        base = {"scale": "nano", "task": task, "corpus": {**nano.CORPUS, "name": "few"}, **nano.PRESETS[task]}
        point = {name.replace("__", "."): value for name, value in fields.items()}
        return parse(Run, overlay(base, point, "test"), "test")

    return make


@pytest.fixture(scope="session")
def make_lowrank(make_run: Callable[..., Run]) -> Callable[..., Run]:
    """The same of low rank, with spectral factors, which do not lie row by row as dense matrices do."""
    return lambda task="asr", **fields: make_run(task, **nano.SPECTRAL | fields)


@pytest.fixture(scope="session")
def decoding() -> Decoding:
    """Greedy and beam search of the test split."""
    return parse(Project, nano.PROJECT, "nano").decoding


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory, make_run: Callable[..., Run]) -> Path:
    """A folder of prepared corpora that holds the one of ``make_run``."""
    from lrsms.data.prepare import prepare

    folder = tmp_path_factory.mktemp("corpora")
    run = make_run()
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, folder / run.prepared)
    return folder


@pytest.fixture(scope="session")
def prepared(corpora: Path, make_run: Callable[..., Run]) -> "Prepared":
    """The corpus of ``make_run``."""
    from lrsms.data.prepared import Prepared

    return Prepared(corpora / make_run().prepared)


@pytest.fixture(scope="session")
def resolve_run() -> Callable[[Run, Path], Path]:
    """Makes the folder of a run, with its config.json, inside another folder."""

    def resolve(run: Run, runs: Path) -> Path:
        folder = runs / f"run-{run.digest}"
        write_json(folder / "config.json", run.model_dump(mode="json", exclude_none=True))
        return folder

    return resolve


@pytest.fixture(scope="session")
def train_once(
    tmp_path_factory: pytest.TempPathFactory, resolve_run: Callable[[Run, Path], Path], prepared: "Prepared"
) -> Callable[[Run], Path]:
    """Trains a run of the corpus of ``make_run`` in a new folder."""
    import torch

    from lrsms.training.loop import train

    def train_run(run: Run) -> Path:
        folder = resolve_run(run, tmp_path_factory.mktemp("runs"))
        train(run, prepared, folder, torch.device("cpu"))
        return folder

    return train_run


@pytest.fixture(scope="session")
def trained(train_once: Callable[[Run], Path], make_run: Callable[..., Run]) -> Path:
    """The folder of the finished tiny run; not to be changed."""
    return train_once(make_run())


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(trained, tmp_path / trained.name)


@pytest.fixture(scope="session")
def trained_lowrank(train_once: Callable[[Run], Path], make_lowrank: Callable[..., Run]) -> Path:
    """The folder of the finished tiny run of low rank; not to be changed."""
    return train_once(make_lowrank())


@pytest.fixture
def make_folder(tmp_path: Path, resolve_run: Callable[[Run, Path], Path]) -> Callable[[Run], Path]:
    """Makes a new folder of a run at each call, of the same run too."""
    numbers = itertools.count()
    return lambda run: resolve_run(run, tmp_path / str(next(numbers)))
