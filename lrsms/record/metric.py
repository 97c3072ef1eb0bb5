"""Defines a metric: what it counts, and its names. All code that shows a metric takes both from here.

A metric is a ratio of sums over utterances. The numerator counts what is wrong, the denominator how much could be
right. So lower is better for every metric. Each metric is a file of ``metrics``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        short: its abbreviation.
        name: in words.
        noun: one of what the denominator counts, in the singular.
        plural: several of them.
        counts: from a table to numerator and denominator by row, ``(rows,)`` each; a row without a value has 0 and 0.
        explained: what it is, in a clause for the notes of a table.
        source: that table: scores (see ``score.read_scores``), a row for each decoder, condition and utterance; or
            losses (see ``losses.load_losses``), which no decoder is part of. Records may lack the latter.
        scale: what its value is multiplied by to be shown.
        unit: the unit of the shown value.
        suffix: the unit in a column's name.
        points: the unit of a shown difference of two values.
        digits: digits of the shown value; None: as many as the table's error rates have.
    """

    short: str
    name: str
    noun: str
    plural: str
    counts: Callable[[pd.DataFrame], tuple[Array, Array]]
    explained: str
    source: Literal["scores", "losses"] = "scores"
    scale: float = 100.0
    unit: str = "%"
    suffix: str = "percent"
    points: str = "points"
    digits: int | None = None

    @property
    def title(self) -> str:
        """The name at the beginning of a sentence."""
        return self.name[0].upper() + self.name[1:]

    @property
    def key(self) -> str:
        """The name of its file."""
        return self.short.lower().replace(" ", "_")


def nats_per_token(name: str, counts: Callable[[pd.DataFrame], tuple[Array, Array]], explained: str) -> Metric:
    """A loss in nats per token, from the table of losses; the arguments are those of ``Metric``."""
    return Metric(
        short=name,
        name=name,
        noun="token",
        plural="tokens",
        counts=counts,
        explained=explained,
        source="losses",
        scale=1.0,
        unit="nats per token",
        suffix="nats",
        points="nats per token",
        digits=3,
    )
