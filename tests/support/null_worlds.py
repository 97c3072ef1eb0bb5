"""Studies by the thousand whose true error rates are known, as arrays: what the rules are tried on.

Arrays have the axes ``(studies, cells, seeds, units)``; the first cell is the dense model, and each cell has trainings
of its own.
"""

from dataclasses import dataclass

import numpy as np

WER = 0.1
COLLAPSED = 0.97
"""Error rate of a run that never left its first plateau."""


@dataclass(frozen=True)
class Studies:
    """Edits of many studies, and which runs collapsed, ``(studies, cells, seeds)``."""

    edits: np.ndarray
    lost: np.ndarray
    words: np.ndarray

    def first(self, seeds: int) -> "Studies":
        """What a look at so many seeds sees."""
        return Studies(self.edits[:, :, :seeds], self.lost[:, :, :seeds], self.words)

    def cells(self, *chosen: int) -> "Studies":
        """Some cells of each."""
        return Studies(self.edits[:, chosen], self.lost[:, chosen], self.words)


@dataclass(frozen=True)
class World:
    """What a study draws from: standard deviations are relative to the error rate."""

    words: np.ndarray
    seed: float = 0.08
    unit: float = 0.1
    collapse_a: float = 0.0
    collapse_b: float = 0.0
    skewed: bool = False

    def draw(self, ratios: tuple[float, ...], seeds: int, studies: int, seed: int = 1) -> Studies:
        """Studies of the dense model and of one cell for each ratio of true error rates to the dense model's.

        Deviations are log-normal with mean one, so that the ratios are exact; units gain differently in each cell.
        """
        generator = np.random.default_rng(seed)
        shape = (studies, 1, len(self.words))
        hard = np.exp(generator.normal(0, 0.4, shape))
        tables, lost = [], []
        for number, ratio in enumerate((1.0, *ratios)):
            gain = np.exp(generator.normal(-(self.unit**2) / 2, self.unit, shape)) if number else 1.0
            rates = np.minimum(WER * ratio * hard * gain * self._seeds(studies, seeds, generator), 1)
            edits = generator.poisson(rates * self.words)
            lost.append(generator.random((studies, seeds)) < (self.collapse_b if number else self.collapse_a))
            tables.append(np.where(lost[-1][..., None], COLLAPSED * self.words, edits))
        return Studies(np.stack(tables, axis=1), np.stack(lost, axis=1), self.words)

    def _seeds(self, studies: int, seeds: int, generator: np.random.Generator) -> np.ndarray:
        """Log-normal around one, or with one run in ten half again as bad: a skewed tail that is no collapse."""
        shape = (studies, seeds, 1)
        if self.skewed:
            return np.where(generator.random(shape) < 0.1, 1.5, 1.0) / 1.05 * np.exp(generator.normal(0, 0.02, shape))
        return np.exp(generator.normal(-(self.seed**2) / 2, self.seed, shape))


EQUAL = np.full(48, 60.0)
UNEQUAL = np.geomspace(5, 500, 24).round()
ONE_HALF = np.append(np.full(11, 60.0), 660.0)

WORLDS = {
    "equal speakers": World(EQUAL),
    "speakers of 5 to 500 words": World(UNEQUAL),
    "such speakers, who differ by 30%": World(UNEQUAL, unit=0.3),
    "one speaker with half of the words": World(ONE_HALF),
    "such a speaker, and speakers differ by 30%": World(ONE_HALF, unit=0.3),
    "seeds alone": World(EQUAL, seed=0.15, unit=0.0),
    "speakers alone": World(EQUAL, seed=0.0, unit=0.3),
    "skewed seeds": World(EQUAL, skewed=True),
    "collapse in A": World(EQUAL, collapse_a=0.02),
    "collapse in B": World(EQUAL, collapse_b=0.02),
    "collapse in both": World(EQUAL, collapse_a=0.05, collapse_b=0.05),
    "collapse in a third of both": World(EQUAL, collapse_a=0.3, collapse_b=0.3),
}
