"""Runs of a list of results one after another in one process: trained, decoded and scored, without Snakemake.

A process of its own for every job, as the workflow has it, starts PyTorch and a GPU anew each time: two starts of ten
or twenty seconds for a run of a minute. And a machine that is lent for ten minutes may have no Snakemake. A worker
leaves the same files at the same places, so that the workflow goes on from them. Several workers may share a list, and
a device: each takes the first run that is neither done nor held by another. A worker that has the device to itself also
measures step times.
"""

import math
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lrsms.base.devices import forget_peak_memory, free, synchronise
from lrsms.base.files import Held, held, only_one, write_json
from lrsms.base.terminal import say
from lrsms.cost.steptime import step_time
from lrsms.data.prepare import prepare
from lrsms.data.prepared import SUMMARY, Prepared
from lrsms.data.testsets import prepare_tests
from lrsms.decoding.decode import decode
from lrsms.record.record import load_run, write_record
from lrsms.record.run_files import CONFIG, OUTCOME
from lrsms.record.start import STARTS
from lrsms.study.corpus import Corpus
from lrsms.study.expand import Experiment
from lrsms.study.project import Project
from lrsms.study.run import MODALITIES, Run, prepared_tests
from lrsms.training.interrupt import Interrupted, Stop, never
from lrsms.training.loop import train
from lrsms.watch.kept_results import Goal

_SHORTEST = 5.0
"""Seconds that are not worth beginning a run."""
_WAIT = 1.0
"""Seconds until a worker that waits for another looks again."""
_GRACE = 20.0
"""Seconds in which workers end what they do when time is up: a checkpoint, or what is being decoded."""
_LOOK = 0.2
"""Seconds until the process that began workers looks again whether they go on."""
_MEANWHILE = 60.0
"""Seconds between two archives of what is finished by then: it may be ended before it can make the last one."""


@dataclass
class Worker:
    """Makes the records of runs.

    Attributes:
        device: where they are trained and decoded.
        stop: whether to end early, with a checkpoint.
        results: the folder that the workflow's ``results`` is.
        graphs: whether training steps are CUDA graphs.
        seconds_a_step_time: for each step time, about; None: none are measured, since others use the device too.
        whole_before: the time (``time.monotonic``) by which a run must have ended to be worth beginning, where
            checkpoints are lost. The longest run so far says how long one takes.
        longest: seconds that the longest run took, so far.
        meanwhile: called after each run and each step time.
        failed: by name of the run or of the step time, in a line, why it could not be done.
    """

    device: torch.device
    stop: Stop
    results: Path = Path("results")
    graphs: bool = False
    seconds_a_step_time: float | None = None
    whole_before: float = math.inf
    longest: float = 0.0
    meanwhile: Callable[[], object] = lambda: None
    failed: dict[str, str] = field(default_factory=dict)

    def work_through(self, goals: Callable[[], Sequence[Goal]]) -> None:
        """Makes what is missing, in order; a run that fails does not keep the others from being made.

        Args:
            goals: says what there is to be made by now: a study that tunes has more once runs that choose are recorded.
        """
        again = True
        while again:  # as long as there was something: another worker may have left a run unfinished
            again, twins = False, list[Path]()
            for goal in goals():
                if self.seconds_a_step_time is not None:
                    for experiment in goal.timed:
                        if self.stop():
                            return
                        self._time(experiment, self.seconds_a_step_time)
                for experiment in goal.experiments:
                    if self.stop():
                        return
                    if twin := self._trained_elsewhere(goal, experiment):
                        twins.append(twin)
                    else:
                        again |= self._attempt(goal.project, experiment)
            while twins and not again and not self.stop() and all(map(_in_training, twins)):
                time.sleep(_WAIT)  # to load the goals again takes longer, on processors that others train on
            again |= bool(twins)

    def _trained_elsewhere(self, goal: Goal, experiment: Experiment) -> Path | None:
        """The dense run that another worker trains, if this one is still to be made and only cuts what that trains."""
        run = experiment.run
        if (
            run.trains_as is run
            or (self.results / "records" / experiment.name / goal.project.decoding.scores).is_file()
        ):
            return None
        folders = (self.results / "runs" / one.name for one in goal.experiments if one.run == run.trains_as)
        return next(filter(_in_training, folders), None)

    def _time(self, experiment: Experiment, seconds: float) -> None:
        """Measures the step time of a run, if it was not measured before."""
        path = self.results / "steptime" / f"{experiment.steptime}.json"
        if path.is_file() or path.stem in self.failed:
            return
        began = time.monotonic()
        try:
            content = step_time(experiment.run, experiment.reference, self.device, seconds, self.graphs)
        except (ValueError, RuntimeError) as error:  # the device's memory may be too small for this one
            self._fail(path.stem, error)
            return
        finally:
            free(self.device)
        write_json(path, content)
        self.meanwhile()
        say(f"{path.stem}: {content['median_ms']:.0f} ms a step, measured in {time.monotonic() - began:.0f} s")

    def _attempt(self, project: Project, experiment: Experiment) -> bool:
        """Whether the run was done now: not if it was done before, is held by another, or has failed."""
        scores = self.results / "records" / experiment.name / project.decoding.scores
        folder = self.results / "runs" / experiment.name
        if scores.is_file() or experiment.name in self.failed or time.monotonic() + self.longest > self.whole_before:
            return False
        if held(folder):
            return False
        with ExitStack() as stack:
            try:
                stack.enter_context(only_one(folder))
            except Held:  # another took it in this moment
                return False
            if scores.is_file():  # the other has just ended
                return False
            began = time.monotonic()
            try:
                self.complete(project, experiment.run, folder, scores)
                self.longest = max(self.longest, time.monotonic() - began)
                self.meanwhile()
            except Interrupted as interrupted:
                say(str(interrupted), sys.stderr)
                return False
            except (ValueError, OSError, RuntimeError) as error:  # decoding may find the device's memory full
                synchronise(self.device)  # a device that has failed itself raises here: every other run would fail, too
                self._fail(experiment.name, error)
                return False
        return True

    def _fail(self, name: str, error: Exception) -> None:
        """Notes and says, in a line, why something could not be done; it is not tried again."""
        self.failed[name] = f"{name}: {' '.join(str(error).split())}"
        warnings.warn(self.failed[name], stacklevel=3)

    def complete(self, project: Project, run: Run, folder: Path, scores: Path) -> None:
        """Takes a run from wherever it is to its score table, in steps that leave whole files.

        Raises:
            Interrupted: it was asked to stop; another call goes on.
            ValueError: one line: something does not fit, or is not as it was written.
            OSError: a file cannot be written.
        """
        prepared = Prepared(self.results / "corpora" / run.prepared, project.root_of(run.corpus))
        if not (folder / CONFIG).is_file():
            write_json(folder / CONFIG, run.model_dump(mode="json", exclude_none=True))
        run = load_run(folder)
        began = time.monotonic()
        if not (folder / OUTCOME).is_file():
            forget_peak_memory(self.device)
            starts = self.results / STARTS.name
            train(run, prepared, folder, self.device, stop=self.stop, graphs=self.graphs, starts=starts)
        trained = time.monotonic()
        hypotheses = folder / project.decoding.hypotheses
        if not hypotheses.is_file():
            tests = {
                name: Prepared(self.results / "corpora" / prepared_tests(one, run.task), project.root_of(one), prepared)
                for name, one in (project.decoding.corpora or {}).items()
            }
            decode(run, prepared, folder, hypotheses, project.decoding, self.device, tests)
        write_record(folder, hypotheses, scores)
        say(f"{folder.name}: trained in {trained - began:.0f} s, decoded in {time.monotonic() - trained:.0f} s")


def _in_training(folder: Path) -> bool:
    return not (folder / OUTCOME).is_file() and held(folder)


def prepare_corpora(
    goals: Sequence[Goal],
    results: Path,
    threads: int,
    babble: Callable[[Project, Corpus], Path | None],
    stop: Stop = never,
) -> None:
    """Prepares the corpora of what is missing, and the test sets of its conditions, where they are not there yet.

    Args:
        goals: what is to be made.
        results: the folder that the workflow's ``results`` is.
        threads: recordings read, or faces drawn, at a time.
        babble: the recording of babble that a run's corpus names, if any.
        stop: whether time is up: what is not begun then waits for the next call.

    Raises:
        ValueError: one line: a corpus cannot be read.
    """
    for goal in goals:
        project, findings = goal.project, list[str]()
        scores = project.decoding.scores
        pending = [e.run for e in goal.experiments if not (results / "records" / e.name / scores).is_file()]
        for run in pending:
            folder = results / "corpora" / run.prepared
            if stop():
                return
            if not (folder / SUMMARY).is_file():
                what = run.corpus, run.tokenizer, run.model.modalities, project.root_of(run.corpus), folder
                babbling, starts = babble(project, run.corpus), results / STARTS.name
                findings += prepare(*what, threads=threads, babble=babbling, starts=starts)
        for corpus in (project.decoding.corpora or {}).values() if pending else ():
            folder = results / "corpora" / prepared_tests(corpus, project.task)
            if not (folder / SUMMARY).is_file():
                findings += prepare_tests(corpus, MODALITIES[project.task], project.root_of(corpus), folder, threads)
        for finding in findings:
            say(finding, sys.stderr)


def several(
    count: int,
    arguments: Sequence[str],
    seconds: float,
    stop: Stop = never,
    meanwhile: Callable[[], object] = lambda: None,
) -> bool:
    """Runs so many workers side by side, and ends those that go on for long after their time.

    Args:
        count: of processes.
        arguments: of ``python -m lrsms``.
        seconds: until their time is up.
        stop: whether to end early: they are then asked to end, too.
        meanwhile: called every minute.

    Returns:
        Whether all ended well.
    """
    deadline = time.monotonic() + seconds + _GRACE
    due = time.monotonic() + _MEANWHILE
    processes = [subprocess.Popen([sys.executable, "-m", "lrsms", *arguments]) for _ in range(count)]
    killed = set[int]()
    asked = False
    try:
        while running := [process for process in processes if process.poll() is None]:
            if not asked and stop():
                asked, deadline = True, min(deadline, time.monotonic() + _GRACE)
                for process in running:
                    process.terminate()
            if time.monotonic() > deadline:
                for process in running:
                    process.kill()  # what it has finished is whole; what it was decoding is decoded again another time
                    killed.add(process.pid)
                    process.wait()
            elif time.monotonic() > due:
                meanwhile()
                due = time.monotonic() + _MEANWHILE
            else:
                with suppress(subprocess.TimeoutExpired):
                    running[0].wait(_LOOK)
        well = {0, -signal.SIGTERM} if asked else {0}  # one that was still starting ends at once
        return all(process.returncode in well for process in processes if process.pid not in killed)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()


def until(seconds: float, asked: Stop) -> Stop:
    """A request to stop: the one ``asked``, or that the ``seconds`` from now are nearly over."""
    deadline = time.monotonic() + seconds - _SHORTEST
    return lambda: asked() or time.monotonic() > deadline
