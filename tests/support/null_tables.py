"""Tables of edits of two systems whose true error rates are known, for simulations of the rules."""

from dataclasses import dataclass

import numpy as np

TABLES = 500
MOST_FALSE = 25


@dataclass(frozen=True)
class Corner:
    """Standard deviations of B's relative gain: 0.1 moves a word error rate of 10% by one point."""

    seed: float
    speaker: float
    interaction: float


CORNERS = {
    "counting": Corner(0, 0, 0),
    "seeds": Corner(0.15, 0.05, 0.05),
    "speakers": Corner(0.02, 0.30, 0.05),
    "mixed": Corner(0.06, 0.15, 0.10),
    "interaction": Corner(0.03, 0.05, 0.30),
}


def tables(corner: Corner, num_seeds: int, num_speakers: int, wer: float, ratio: float, seed: int, num_tables: int):
    """Edits of A and B and words, of systems with true error rates ``wer`` and ``ratio * wer``.

    Speakers differ in length and difficulty; every deviation is log-normal with mean one, so that the rates are exact.
    """
    generator = np.random.default_rng(seed)

    def deviation(sd, *shape):
        return np.exp(sd * generator.standard_normal(shape) - sd**2 / 2)

    for _ in range(num_tables):
        words = np.ceil(150 * deviation(0.5, num_speakers))
        expected = words * wer * deviation(0.4, num_speakers)
        shape = (num_seeds, num_speakers)
        a = expected * deviation(corner.seed / np.sqrt(2), num_seeds, 1)
        b = expected * deviation(corner.seed / np.sqrt(2), num_seeds, 1) * ratio
        b = b * deviation(corner.speaker, num_speakers) * deviation(corner.interaction, *shape)
        yield generator.poisson(a * np.ones(shape)), generator.poisson(b), words
