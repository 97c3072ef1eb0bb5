"""Notes on runs whose network changes during training: what a cell's numbers describe, and the time of a training."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from lrsms.base.files import read_json
from lrsms.report.validity.values import is_number
from lrsms.study.expand import Experiment

_REMEDY = "delete it to measure again"


def describe_courses(experiments: Sequence[Experiment], steptimes: Path) -> list[str]:
    """Sentences about each cell whose network changes during training, in the order of the study.

    Args:
        experiments: the study's runs.
        steptimes: folder of the step time measurements.

    Raises:
        ValueError: one line: a step time file is malformed.
    """
    first_of = {experiment.cell: experiment for experiment in reversed(experiments) if experiment.run.method.describe()}
    cells = dict.fromkeys(experiment.cell for experiment in experiments if experiment.cell in first_of)
    return [_describe(first_of[cell], steptimes / f"{first_of[cell].steptime}.json") for cell in cells]


def _describe(experiment: Experiment, path: Path) -> str:
    said = f"'{experiment.cell}' is {experiment.run.method.describe()}; its "
    if experiment.run.num_phases == 1:
        said += "step time is that of the network that is trained, all else but memory is of the one that is decoded."
        return said
    said += "parameters, multiply-adds and step time are those of the network at the end of training."
    if not path.is_file():
        return said
    baseline, phases = _milliseconds(path, experiment.run.num_phases)
    shares = experiment.run.method.phase_shares
    mean = sum(share * step for share, step in zip(shares, phases, strict=True))
    each = ", then ".join(
        f"{step:.4g} ms for {share:.0%} of the steps" for share, step in zip(shares, phases, strict=True)
    )
    return f"{said} A step takes {each}: over a whole training {baseline / mean:.2f} times as fast as the baseline's."


def _milliseconds(path: Path, num_phases: int) -> tuple[float, list[float]]:
    """Median milliseconds of a step of the baseline, and of a step in each phase of the run."""
    content = read_json(path, _REMEDY)
    try:
        baseline = median(content["baseline_ms"])
        phases = [phase["median_ms"] for phase in content["phases"]]
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: 'phases' or 'baseline_ms' is not as it was written ({error}); {_REMEDY}") from None
    if len(phases) != num_phases or not all(is_number(number) and number > 0 for number in (baseline, *phases)):
        raise ValueError(f"{path}: 'phases' must be {num_phases}, each with a time above 0; {_REMEDY}")
    return baseline, phases
