"""The result of a search."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """Token ids without sos, eos and blanks, and their score (see the search that found them)."""

    tokens: tuple[int, ...]
    score: float
