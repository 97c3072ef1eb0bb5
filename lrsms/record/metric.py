"""What a metric counts and is called: wherever one is shown, its numbers and its names come from here.

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
        noun: one of what the denominator counts.
        plural: several of them.
        counts: from a score table (see ``score.read_scores``) to numerator and denominator by row, ``(rows,)`` each.
        scale: what its value is multiplied by to be shown.
        unit: of the shown value.
        points: of a shown difference of two values.
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
        """The name as a sentence begins with it."""
        return self.name[0].upper() + self.name[1:]

    @property
    def key(self) -> str:
        """The name of its file."""
        return self.short.lower().replace(" ", "_")
