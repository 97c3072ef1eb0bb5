"""What a study that names nuisance fields must have: values to choose from, and a split to choose on."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrsms.base.hints import did_you_mean
from lrsms.study.decoding import Decoding

if TYPE_CHECKING:
    from lrsms.study.expand import Experiment, Study


def check_fields(study: "Study", varied: Iterable[str], decoding: Decoding, task: str, path: Path) -> None:
    """Refuses nuisance fields that nothing varies, and a choice that nothing could be made on.

    Args:
        study: the content of its file.
        varied: the fields that its grids vary, those of all presets.
        decoding: decoders and conditions.
        task: of the project, for the message.
        path: the study's file.

    Raises:
        ValueError: one line: what is wrong, and what would be right.
    """
    known = list(
        dict.fromkeys([*(name for name in varied if name != "seed"), *(study.tune.times if study.tune else ())])
    )
    for name in study.nuisance:
        if name not in known:
            hint = did_you_mean(name, known, f"varied: {', '.join(known) or 'none'}")
            raise ValueError(f"{path}: 'nuisance' names '{name}', which no grid varies; {hint}")
    if study.tune is not None:
        _check_tuning(study, path)
    if study.nuisance and not study.training:
        raise ValueError(f"{path}: 'nuisance' needs training, but 'training' is false")
    if study.nuisance and not any(condition.split == "valid" for condition in decoding.conditions.values()):
        raise ValueError(
            f"{path}: 'nuisance' chooses on the valid split, but no condition in 'conditions.{task}' uses it;"
            " add valid: {split: valid}"
        )


def _check_tuning(study: "Study", path: Path) -> None:
    if not study.nuisance:
        raise ValueError(f"{path}: 'tune' has nothing to choose; name fields under 'nuisance', such as train.lr")
    assert study.tune is not None
    for name in study.tune.times:
        if name not in study.nuisance:
            raise ValueError(f"{path}: 'tune.times' names '{name}', which is not under 'nuisance'; add it there")


def check_seeds(experiments: Sequence["Experiment"], path: Path) -> None:
    """Checks that the values of a nuisance field are compared on the same seeds.

    Raises:
        ValueError: one line that names the cell and its seeds.
    """
    seeds: dict[str, dict[str, set[int]]] = {}
    for experiment in experiments:
        if experiment.nuisance:
            value = ", ".join(f"{name} {value}" for name, value in experiment.nuisance.items())
            seeds.setdefault(experiment.cell, {}).setdefault(value, set()).add(experiment.run.seed)
    for cell, by_value in seeds.items():
        (first, expected), *others = by_value.items()
        for value, found in others:
            if found != expected:
                raise ValueError(
                    f"{path}: cell '{cell}' has seeds {_listed(expected)} with {first} but {_listed(found)} with"
                    f" {value}; 'nuisance' compares values on the same seeds"
                )


def _listed(seeds: set[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))
