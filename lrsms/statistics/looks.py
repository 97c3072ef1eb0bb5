"""Looking again: a claim may be judged at several numbers of seeds, all of which were named before the first.

Whoever adds seeds until a test rejects is wrong 5 to 10% of the time at a nominal 2.5%. So the error is *spent*: with
n of N seeds, N those of the last look, a one-sided test has spent

    A(n) = ALPHA (n / N)^RHO

and look k has what was spent since the look before, a_k = A(n_k) - A(n_{k-1}) (Lan and DeMets 1983, "Discrete
sequential boundaries for clinical trials", *Biometrika* 70; the power family of Kim and DeMets 1987, *Biometrika* 74,
149-154, with RHO = 1.5). By Boole's inequality all looks together are wrong with at most ALPHA, however the looks
depend on each other. An interval that is shown at look k has the level 1 - 2 a_k, so that it and the verdict agree.

The p of a look's own test does not know of the other looks, and any of them could have brought one as small: at the
boundary of a claim it is below 0.2% in 0.6% of studies. So a p that is to stand beside those of other claims is first
taken over all looks (``over_all``).

A look that was not planned is one more number in the list: it spends A(n') - A(last look), and the next one the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

ALPHA = 0.025
"""One-sided error of all looks together."""
RHO = 1.5
LOOKS = (3, 6, 10, 15)


@dataclass(frozen=True)
class Look:
    """One look at a claim.

    Attributes:
        number: from 1.
        of: how many there are.
        seeds: at which number of seeds it takes place.
        alpha: one-sided level of its test.
    """

    number: int
    of: int
    seeds: int
    alpha: float

    @property
    def level(self) -> float:
        """Level of the two-sided interval that agrees with the test."""
        return 1 - 2 * self.alpha

    @property
    def final(self) -> bool:
        """Whether no look follows."""
        return self.number == self.of


def spent(seeds: int, last: int) -> float:
    """One-sided error spent at ``seeds`` of the ``last`` look's: 0 before the first seed, ``ALPHA`` at the end.

    Raises:
        ValueError: a number is negative, or there is no last look.
    """
    if seeds < 0 or last < 1:
        raise ValueError(f"looks are numbers of seeds, 0 or more of 1 or more, got {seeds} of {last}")
    return ALPHA * min(seeds / last, 1.0) ** RHO


def plan(seeds: Sequence[int] = LOOKS) -> tuple[Look, ...]:
    """The looks at these numbers of seeds, with the level of each; the levels sum to ``ALPHA``.

    Raises:
        ValueError: there is none, or they do not rise.
    """
    if not seeds or any(later <= earlier for earlier, later in zip((0, *seeds), seeds, strict=False)):
        raise ValueError(f"looks are rising numbers of seeds, such as 3, 6, 10, 15, got {list(seeds)}")
    before = (0, *seeds[:-1])
    alphas = [spent(now, seeds[-1]) - spent(then, seeds[-1]) for then, now in zip(before, seeds, strict=True)]
    return tuple(
        Look(number, len(seeds), now, alpha)
        for number, (now, alpha) in enumerate(zip(seeds, alphas, strict=True), start=1)
    )


def over_all(p: float, looks: Sequence[Look]) -> float:
    """The p of a claim over all of its looks, of the ``p`` of the look at which it was judged; NaN stays NaN.

    By Boole's inequality it is the sum of the chances of one as small at each look. A look before the last shows its p
    only where it decides, so its chance is no more than its level.
    """
    total = p + sum(min(p, look.alpha) for look in looks[:-1])
    return 1.0 if total > 1 else total


def due(looks: Sequence[Look], seeds: int) -> tuple[Look, ...]:
    """The looks that were reached at this number of seeds."""
    return tuple(look for look in looks if look.seeds <= seeds)


def next_look(looks: Sequence[Look], seeds: int) -> Look | None:
    """The first that needs more seeds than these; None after the last."""
    return next((look for look in looks if look.seeds > seeds), None)


def as_percent(level: float) -> str:
    """A level as it heads a table: ``95%``, ``99.6%``."""
    return f"{100 * level:.3g}%" if not math.isnan(level) else "-"
