"""What a metric counts, and its names: everything that shows a metric takes its numbers and names from here.

A metric is a ratio of sums over utterances: its numerator is what is wrong, its denominator how much there was to get
right, so that lower is better for every metric. Each is a file of ``metrics``.
"""

from collections.abc import Callable
from dataclasses import dataclass

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
        counts: from a score table (see ``score.read_scores``) to numerator and denominator by row, ``(rows,)`` each.
        scale: what its value is multiplied by to be shown.
        unit: the unit of the shown value.
        points: the unit of a shown difference of two values.
    """

    short: str
    name: str
    noun: str
    plural: str
    counts: Callable[[pd.DataFrame], tuple[Array, Array]]
    scale: float = 100.0
    unit: str = "%"
    points: str = "points"

    @property
    def title(self) -> str:
        """The name at the beginning of a sentence."""
        return self.name[0].upper() + self.name[1:]

    @property
    def key(self) -> str:
        """The name of its file."""
        return self.short.lower().replace(" ", "_")
