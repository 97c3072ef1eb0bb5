"""An estimate of a study before it starts: its parameters, time and disk, from records or from a few steps here."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from lrsms.base.devices import device_name
from lrsms.base.strict import canonical_json
from lrsms.cost.counts import mean_over_phases
from lrsms.cost.random_data import vocabulary
from lrsms.cost.rate import measure_steps
from lrsms.data.prepared import SUMMARY, Prepared
from lrsms.methods.build import build_structure
from lrsms.methods.plan import make_plan
from lrsms.models.recognizer import Recognizer
from lrsms.record.run_files import OUTCOME
from lrsms.study.decoding import Decoding
from lrsms.study.expand import Experiment, step_shape
from lrsms.study.run import Run, prepared_tests
from lrsms.training.checkpoint import KEPT
from lrsms.training.optimizer import update_cost
from lrsms.training.schedule import num_steps

Source = Literal["recorded", "step time", "measured", "extrapolated"]


@dataclass(frozen=True)
class CellCost:
    """The cost of the runs of a cell, which differ only in their seed.

    Attributes:
        cell: label of the cell, with the values of its nuisance fields.
        runs: names of its runs.
        recorded: number of runs that are done.
        parameters: parameters of the model; for characters, a vocabulary of the usual size is assumed.
        times_fewer: the preset's parameters over these.
        steps: length of training in steps; None where it is given in epochs and the corpus is not prepared yet.
        step_ms: milliseconds of a training step on this device, the mean over the training where its network changes;
            None while unknown.
        hours: training time of one run on this device, without decoding; None while unknown.
        source: where the time comes from: records of this cell; a step time file; steps measured now; or multiply-adds
            at the rate of a smaller step measured now.
        disk_mb: megabytes of one run's checkpoints and weights.
        course: how the network changes during training, in words; empty where it does not.
        tuning: whether they only choose the value of their nuisance fields.
    """

    cell: str
    runs: tuple[str, ...]
    recorded: int
    parameters: int
    times_fewer: float
    steps: int | None
    step_ms: float | None
    hours: float | None
    source: Source | None
    disk_mb: float
    course: str = ""
    tuning: bool = False

    @property
    def pending(self) -> int:
        """Number of runs that are still to be done."""
        return len(self.runs) - self.recorded


@dataclass(frozen=True)
class Estimate:
    """The cost of a study.

    Attributes:
        device: the device for which times are estimated.
        threads: number of processor threads.
        on_gpu: whether the device is a GPU.
        trains: whether the study trains its runs.
        cells: in the order of the study.
        corpora: megabytes of each prepared corpus and test set; None where it is not prepared yet.
    """

    device: str
    threads: int
    on_gpu: bool
    trains: bool
    cells: tuple[CellCost, ...]
    corpora: Mapping[str, float | None]

    def totals(self, tuning: bool | None = None) -> dict[str, Any]:
        """Sums over the study, or over those of its runs that choose (``tuning``), or that are compared.

        Hours are of what is still to be done, None where a part of it is unknown.
        """
        cells = [cell for cell in self.cells if tuning in (None, cell.tuning)]
        pending = [cell for cell in cells if cell.pending]
        hours = None
        if all(cell.hours is not None for cell in pending):
            hours = sum(cell.pending * (cell.hours or 0.0) for cell in pending)
        return {
            "runs": sum(len(cell.runs) for cell in cells),
            "recorded": sum(cell.recorded for cell in cells),
            "hours": hours,
            "gpu_hours": hours if self.on_gpu else 0.0,
            "disk_mb": sum(cell.pending * cell.disk_mb for cell in pending),
        }

    def plain(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self) | {"totals": self.totals()}


@dataclass(frozen=True)
class Folders:
    """The folders in which results are looked for."""

    records: Path = Path("results/records")
    steptimes: Path = Path("results/steptime")
    corpora: Path = Path("results/corpora")


def estimate(
    experiments: Sequence[Experiment], decoding: Decoding, folders: Folders, device: torch.device, measure: bool
) -> Estimate:
    """Estimates a study's runs, each distinct network counted once.

    Args:
        experiments: the study's runs, at least one.
        decoding: a run counts as recorded when it was decoded in this way.
        folders: where results are.
        device: the device; times of other devices are not used.
        measure: whether steps of unknown time are measured now.

    Raises:
        ValueError: one line: a target matches nothing, a rank leaves [1, full], or a prepared corpus is not whole.
    """
    counter = _Parameters()
    cells: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        cells.setdefault(experiment.label, []).append(experiment)
    scores = decoding.scores
    recorded = {e.name for e in experiments if _is_done(e, scores, folders)}
    times = _Times(folders, device)
    times.read(members[0] for members in cells.values())
    if measure:
        times.measure(e.run for e in experiments if e.trained and e.name not in recorded)
    preset = counter.count(experiments[0].baseline)
    lengths: dict[str, list[int] | None] = {}
    costs = []
    for label, members in cells.items():
        first = members[0]
        parameters = counter.count(first.run)
        steps = _num_steps(first.run, folders.corpora, lengths) if first.trained else None
        step_ms, hours, source = times.of_cell(members, steps)
        done = sum(e.name in recorded for e in members)
        disk = counter.on_disk(first.run) * 4 / 1e6 if first.trained else 0.0
        course = first.run.method.describe() if first.trained else ""
        names = tuple(e.name for e in members)
        fewer = preset / parameters
        sizes = (parameters, fewer, steps, step_ms, hours, source, disk)
        costs.append(CellCost(label, names, done, *sizes, course, first.tuning))
    trains = any(e.trained for e in experiments)
    prepared = [first.run.prepared for first, *_ in cells.values() if first.trained]
    if prepared:
        task = experiments[0].run.task
        prepared += [prepared_tests(corpus, task) for corpus in (decoding.corpora or {}).values()]
    corpora = {name: _megabytes(folders.corpora / name) for name in dict.fromkeys(prepared)}
    return Estimate(device_name(device), torch.get_num_threads(), device.type == "cuda", trains, tuple(costs), corpora)


class _Parameters:
    """Counts parameters on the meta device: each dense network once, then the plans made for it.

    The state of an optimizer depends on the shapes of the parameters. So each distinct network is built once for it.
    """

    def __init__(self) -> None:
        self.dense: dict[str, tuple[Recognizer, int]] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.states: dict[tuple[str, str, str], int] = {}

    def state(self, run: Run) -> int:
        """Numbers that the run's optimizer keeps."""
        optimizer = canonical_json({"name": run.train.optimizer, "options": run.train.optimizer_options})
        key = (*_structure(run), optimizer)
        if key not in self.states:
            structure, _ = build_structure(run, vocabulary(run))
            self.states[key] = update_cost(run.train, structure).state
        return self.states[key]

    def count(self, run: Run) -> int:
        model, lowrank = _structure(run)
        if (model, lowrank) not in self.counts:
            if model not in self.dense:
                structure, _ = build_structure(run.model_copy(update={"lowrank": None}), vocabulary(run))
                self.dense[model] = structure, sum(parameter.numel() for parameter in structure.parameters())
            structure, total = self.dense[model]
            saved = sum(matrix.parameters_dense - matrix.parameters for matrix in make_plan(structure, run.lowrank))
            self.counts[model, lowrank] = total - saved
        return self.counts[model, lowrank]

    def on_disk(self, run: Run) -> int:
        """Numbers in the checkpoints of the run's largest phase, and in its final weights.

        A checkpoint holds the weights, the running sum and what the optimizer keeps.
        """
        held = [2 * self.count(run) + self.state(run)]
        for phase in range(run.num_phases if run.method.finishes else run.num_phases - 1):
            structure, _ = build_structure(run, vocabulary(run), phase)
            parameters = sum(parameter.numel() for parameter in structure.parameters())
            held.append(2 * parameters + update_cost(run.train, structure).state)
        return KEPT * max(held) + self.count(run)


def _structure(run: Run) -> tuple[str, str]:
    """The fields that determine a run's network and its ranks, as texts."""
    model = canonical_json({"model": run.model.model_dump(exclude={"initialiser"}), "tokenizer": run.tokenizer})
    return model, canonical_json(run.lowrank.model_dump(exclude={"init"}) if run.lowrank else {})


class _Times:
    """All training times that are known for one device."""

    def __init__(self, folders: Folders, device: torch.device) -> None:
        self.folders, self.device, self.name = folders, device, device_name(device)
        self.steps: dict[str, tuple[float, Source]] = {}  # milliseconds by shape

    def read(self, experiments: Iterable[Experiment]) -> None:
        """Takes the step time files that were measured on this device."""
        for experiment in experiments:
            content = _read(self.folders.steptimes / f"{experiment.steptime}.json")
            if self._is_here(content) and (medians := phase_medians(content, experiment.run)):
                self.steps[_shape(experiment.run)] = mean_over_phases(experiment.run, medians), "step time"

    def measure(self, runs: Iterable[Run]) -> None:
        """Measures the steps that are not known yet, each shape once."""
        unknown = {_shape(run): run for run in runs if _shape(run) not in self.steps}
        for shape, rate in measure_steps(unknown, self.device).items():
            self.steps[shape] = rate.milliseconds, "extrapolated" if rate.extrapolated else "measured"

    def of_cell(
        self, members: Sequence[Experiment], steps: int | None
    ) -> tuple[float | None, float | None, Source | None]:
        """Milliseconds of a step, hours of a run, and the source of the hours."""
        step_ms, source = self.steps.get(_shape(members[0].run), (None, None))
        outcomes = [_read(self.folders.records / e.name / OUTCOME) for e in members if e.trained]
        alike = [o for o in outcomes if o.get("status") == "finished" and self._is_alike(o)]
        seconds = [float(o["seconds"]) for o in alike if isinstance(o.get("seconds"), float)]
        if seconds:
            return step_ms, statistics.median(seconds) / 3600, "recorded"
        hours = None if steps is None or step_ms is None else steps * step_ms / 3.6e6
        return step_ms, hours, source

    def _is_alike(self, outcome: Mapping[str, Any]) -> bool:
        """Whether a run was trained on one such device, in all of its sessions."""
        sessions = outcome.get("sessions") or [outcome]
        return all(self._is_here(each) and each.get("num_devices", 1) == 1 for each in sessions)

    def _is_here(self, content: Mapping[str, Any]) -> bool:
        """Whether a time was measured on this device, and on a CPU with the same number of threads."""
        same_threads = self.device.type == "cuda" or content.get("threads") == torch.get_num_threads()
        return same_threads and content.get("device") == self.name


def phase_medians(content: Mapping[str, Any], run: Run) -> list[float]:
    """Milliseconds of a step in each phase of training, from a step time file; empty if the file lacks one."""
    try:
        medians = [phase["median_ms"] for phase in content["phases"]] if run.num_phases > 1 else [content["median_ms"]]
    except (LookupError, TypeError):
        return []
    known = len(medians) == run.num_phases and all(type(median) in (int, float) for median in medians)
    return [float(median) for median in medians] if known else []


def _shape(run: Run) -> str:
    return canonical_json(step_shape(run))


def _is_done(experiment: Experiment, scores: str, folders: Folders) -> bool:
    if experiment.open:
        return False
    if experiment.trained:
        return (folders.records / experiment.name / scores).is_file()
    return (folders.steptimes / f"{experiment.steptime}.json").is_file()


def _num_steps(run: Run, corpora: Path, lengths: dict[str, list[int] | None]) -> int | None:
    """Steps of training. Where its length is in epochs, every epoch is taken to have the steps of the first."""
    if run.train.epochs is None:
        return run.train.steps
    if run.prepared not in lengths:
        folder = corpora / run.prepared
        known = (folder / SUMMARY).is_file()
        lengths[run.prepared] = [item.frames for item in Prepared(folder).items("train")] if known else None
    frames = lengths[run.prepared]
    if frames is None:
        return None
    one = run.train.model_copy(update={"epochs": 1, "groups_per_step": 1})
    return -(-num_steps(frames, one, run.seed) * run.train.epochs // run.train.groups_per_step)


def _megabytes(folder: Path) -> float | None:
    if not (folder / SUMMARY).is_file():
        return None
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _read(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if there is no file, or if the file is one that other verbs refuse."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
