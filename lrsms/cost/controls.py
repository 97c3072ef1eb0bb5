"""Controls of equal cost: how long a model is to be trained so that its training takes what another's takes.

Low rank makes a step cheaper. So at equal steps it has the smaller budget, and at an equal budget a dense model has
fewer steps. A budget is counted, in multiply-adds, or measured, in the time of a step; neither is ever estimated.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lrsms.base.files import read_json
from lrsms.cost.counts import mean_over_phases, multiply_adds_per_step
from lrsms.cost.estimate import phase_medians
from lrsms.data.prepared import SUMMARY, Prepared
from lrsms.study.expand import Experiment, step_shape
from lrsms.study.fields import difference, overlay
from lrsms.study.run import Run
from lrsms.training.schedule import num_steps

Budget = Literal["multiply-adds", "time"]
_SETTING = ("device", "threads", "frames", "precision", "mode")


@dataclass(frozen=True)
class Control:
    """A model that is trained for as many steps as another's budget has.

    Attributes:
        experiment: the model, as the study has it.
        like: the run whose budget it gets.
        steps: the control's, so that both budgets are equal to within half of one of its steps.
        like_steps: the other's.
        step: what a step of the control takes, in multiply-adds, or as a multiple of the baseline's time.
        like_step: the same of the other.
        source: where that is from, in words.
    """

    experiment: Experiment
    like: Experiment
    steps: int
    like_steps: int
    step: float
    like_step: float
    source: str

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of training by which it differs from its cell."""
        length = {"train.steps": self.steps}
        return length if self.experiment.run.train.epochs is None else length | {"train.epochs": None}

    def grid(self, members: Sequence[Experiment]) -> dict[str, list[Any]]:
        """A grid of the control for a study's file.

        Args:
            members: the runs of its cell: they have the seeds that are compared, and the values that are tried.
        """
        first = self.experiment
        content = difference(first.baseline, first.run) | self.changes
        fixed = {name: [_plain(value)] for name, value in content.items() if name not in first.nuisance}
        if "train.epochs" in fixed:
            fixed["train.steps, train.epochs"] = [[*fixed.pop("train.steps"), *fixed.pop("train.epochs")]]
        own = [one for one in members if one.stage != "extension"]
        values = [one for one in own if one.tuning] or own
        tried = {name: _distinct(one.nuisance[name] for one in values) for name in first.nuisance}
        return {**fixed, **tried, "seed": _distinct(one.run.seed for one in own if not one.tuning)}

    def is_among(self, experiments: Sequence[Experiment]) -> bool:
        """Whether a study has such a run already, whatever its seed and nuisance fields."""
        content = overlay(self.experiment.run.model_dump(mode="json"), self.changes, "train.steps")
        wanted = _without(content, self.experiment.nuisance)
        return any(_without(one.run.model_dump(mode="json"), one.nuisance) == wanted for one in experiments)


def equal(budget: Budget, experiment: Experiment, like: Experiment, steptimes: Path, corpora: Path) -> Control:
    """Solves the number of steps.

    Args:
        budget: what is to be equal.
        experiment: the control.
        like: whose budget it gets.
        steptimes: folder of measured step times.
        corpora: folder of prepared corpora, for trainings whose length is in epochs.

    Raises:
        ValueError: one line: a step time was not measured, or not beside the same baseline on the same device; a corpus
            that says how long training is is not prepared; or the control cannot be trained for so few steps.
    """
    like_steps = _num_steps(like.run, corpora)
    if budget == "multiply-adds":
        step, like_step = multiply_adds_per_step(experiment.run), multiply_adds_per_step(like.run)
        source = "counted on full groups, forward, backward and update"
    else:
        step, like_step, source = _measured(experiment, like, steptimes)
    steps = round(like_steps * like_step / step)
    if steps < experiment.run.train.snapshots:
        raise ValueError(
            f"'{experiment.cell}' would have {steps} steps, fewer than its {experiment.run.train.snapshots} snapshots; "
            "give it a smaller model, or fewer snapshots"
        )
    return Control(experiment, like, steps, like_steps, step, like_step, source)


def _measured(experiment: Experiment, like: Experiment, steptimes: Path) -> tuple[float, float, str]:
    """Times of a step, as multiples of the baseline's beside which each was measured; and where, in words.

    No ratio is made of times from two measurements: each is first divided by the baseline's of its own.
    """
    found = _read(like, steptimes)
    if step_shape(experiment.run) == step_shape(like.reference):
        return 1.0, _relative(like, found, steptimes), _where(found)
    other = _read(experiment, steptimes)
    if step_shape(experiment.reference) != step_shape(like.reference):
        raise ValueError(
            f"the steps of '{experiment.cell}' and '{like.cell}' were timed beside different baselines, since their "
            "groups or precision differ; their times do not compare"
        )
    for key in _SETTING:
        if found.get(key) != other.get(key):
            raise ValueError(
                f"{_path(experiment, steptimes)}: '{key}' is {other.get(key)}, but {found.get(key)} where"
                f" '{like.cell}' was timed; measure both on one device"
            )
    return _relative(experiment, other, steptimes), _relative(like, found, steptimes), _where(found)


def _path(experiment: Experiment, steptimes: Path) -> Path:
    return steptimes / f"{experiment.steptime}.json"


def _read(experiment: Experiment, steptimes: Path) -> dict[str, Any]:
    path = _path(experiment, steptimes)
    if not path.is_file():
        raise ValueError(
            f"{path}: the step of '{experiment.cell}' was not timed, and a time is not guessed; time it with "
            f"snakemake --cores all {path} --config study=... (the study with its scale, task and corpus)"
        )
    return read_json(path, "delete it to measure again")


def _relative(experiment: Experiment, content: Mapping[str, Any], steptimes: Path) -> float:
    """Time of a step, the mean over the phases of training, over that of the baseline in the same measurement."""
    medians = phase_medians(content, experiment.run)
    baseline = content.get("baseline_ms")
    if not medians or not isinstance(baseline, list) or not baseline:
        raise ValueError(f"{_path(experiment, steptimes)}: has no times of steps; delete it to measure again")
    return 1.0 if content.get("baseline") else mean_over_phases(experiment.run, medians) / statistics.median(baseline)


def _where(content: Mapping[str, Any]) -> str:
    threads = content.get("threads")
    many = f"{threads} thread{'' if threads == 1 else 's'}"
    return f"measured on {content.get('device')}, {many}, {content.get('precision')}"


def _num_steps(run: Run, corpora: Path) -> int:
    if run.train.epochs is None:
        return num_steps([], run.train, run.seed)
    folder = corpora / run.prepared
    if not (folder / SUMMARY).is_file():
        raise ValueError(
            f"{folder}: is not there, and training is in epochs of this corpus; prepare it with "
            f"snakemake --cores all {folder / SUMMARY} --config study=... (the study with its scale, task and corpus)"
        )
    return num_steps([item.frames for item in Prepared(folder).items("train")], run.train, run.seed)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _distinct(values: Any) -> list[Any]:
    return [json.loads(text) for text in dict.fromkeys(json.dumps(value) for value in values)]


def _without(content: Mapping[str, Any], nuisance: Mapping[str, Any]) -> dict[str, Any]:
    """A run as plain data without its seed, its nuisance fields and what is None."""
    found = overlay(content, {"seed": None, **dict.fromkeys(nuisance)}, "nuisance")
    return {
        key: {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value
        for key, value in found.items()
        if value is not None
    }
