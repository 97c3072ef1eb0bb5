"""The results of a benchmark: numbers with units, written together with their origin."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from lrsms.base.devices import device_name
from lrsms.base.files import write_json
from lrsms.base.provenance import provenance


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: the measured quantity, in a few words.
        value: its value; None where this device cannot show it.
        unit: "s", "ms", "MB", "x" (a ratio), "TFLOP/s", ...
        aim: the value that we want, such as "< 5"; empty where there is no aim.
        details: the data behind it: every repetition, sizes, settings.
    """

    name: str
    value: float | None
    unit: str
    aim: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def write(folder: Path, name: str, question: str, figures: Sequence[Figure], device: torch.device, small: bool) -> Path:
    """Writes ``<name>-<device>.json`` (``-small`` for the small form, which is no result) into a folder.

    Args:
        folder: the folder, usually ``results/bench``.
        name: name of the benchmark.
        question: the question that it answers.
        figures: its results.
        device: the device on which it ran.
        small: whether its small form ran.
    """
    path = folder / f"{name}-{device.type}{'-small' if small else ''}.json"
    origin = {"device": device_name(device), "threads": torch.get_num_threads(), "provenance": provenance()}
    write_json(path, content(name, question, figures, origin, small))
    return path


def content(
    name: str, question: str, figures: Sequence[Figure], origin: Mapping[str, Any], small: bool = False
) -> dict[str, Any]:
    """The content of a benchmark's file; ``origin`` has the device, its threads and the provenance."""
    known = {"benchmark": name, "question": question, "small": small, **origin}
    return known | {"figures": [asdict(figure) for figure in figures]}
