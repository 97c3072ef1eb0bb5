"""How many seeds and units a study would need to see a difference of a given size.

The power is that of the rule which ``effects`` applies (two-sided, 5%), with its floors and its degrees of freedom, in
the crossed model with normal errors. There the table's mean is independent of its mean squares, which are multiples of
chi-squares: these three are drawn, and the probability that a normal mean then leaves ``-t se .. t se`` is exact. Where
seeds alone vary this is the power of Student's t test by the noncentral t distribution. A noncentral t at the expected
mean squares would be 0.10 too high or 0.05 too low elsewhere, because the degrees of freedom vary from table to table.

Where units are of unequal length, the few longest make the mean square between units. It is drawn with K_eff - 1
degrees of freedom, which the rule counts (see ``crossed``), and not with K - 1. For 12 speakers of whom one has half of
the words (K_eff = 3.7) a plan by K says 0.80 where simulated studies show 0.52, and one by K_eff 0.46.

The components of a pilot study are estimates: with three seeds the true variance between seeds lies, with 95%
confidence, between a quarter of the estimate and forty times it. Read an answer as an order of magnitude.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from scipy import stats

from lrsms.statistics.crossed import Components, mean_squares, standard_error
from lrsms.statistics.effects import decisive
from lrsms.statistics.looks import Look
from lrsms.statistics.stats import LEVEL, few_weigh_most

TARGET = 0.8
MOST = 10_000
"""Above this number of seeds or units, the answer is that no number suffices."""

DRAWS = 20_000
STUDIES = 2000
"""Whole studies that are simulated, look by look: a share of a half has a standard error of 1.1 points."""
_CHUNK = 200
SEED = 1
"""Seed of the random draws; fixed, so that a report is the same each time."""


@dataclass(frozen=True)
class Requirement:
    """The smallest number that suffices, or the reason why there is none."""

    number: int | None
    reason: str = ""
    """The reason, as a clause, if ``number`` is None; otherwise empty."""


def power(
    components: Components,
    difference: float,
    num_seeds: int,
    num_units: int,
    seed: int = SEED,
    effective_units: float | None = None,
) -> float:
    """Probability that the two-sided 5% test of no difference rejects.

    Args:
        components: variances of the paired difference, as ``Effect.components`` estimates them.
        difference: true difference of the error rates, as a fraction.
        num_seeds: seeds that both systems are trained with; with one the test never decides.
        num_units: speakers or utterances of the test set.
        seed: of the draws of the mean squares.
        effective_units: how many units of equal length weigh as much (``stats.effective_units``); None: all are.

    Raises:
        ValueError: a component is negative or unknown, or a number is below 1.
    """
    if not all(0 <= variance < math.inf for variance in astuple(components)):
        raise ValueError(f"power needs components of variance of 0 or more, got {components}; one seed has none")
    if min(num_seeds, num_units) < 1:
        raise ValueError(f"power needs at least one seed and one unit, got {num_seeds} and {num_units}")
    weigh_as = num_units if effective_units is None else effective_units
    if num_seeds == 1 or weigh_as <= 1:
        return 0.0
    expected = (
        components.residual + num_units * components.seed,
        components.residual + num_seeds * components.unit,
        components.residual,
    )
    variance = (expected[0] + expected[1] - expected[2]) / (num_seeds * num_units)
    if variance == 0:
        return float(difference != 0)
    generator = np.random.default_rng(seed)
    freedoms = (num_seeds - 1, max(weigh_as - 1, 1), (num_seeds - 1) * (num_units - 1))
    squares = [
        mean * generator.chisquare(freedom, DRAWS) / freedom for mean, freedom in zip(expected, freedoms, strict=True)
    ]
    se, df = standard_error(squares[0], squares[1], squares[2], num_seeds, num_units, weigh_as)
    critical = stats.t.ppf((1 + LEVEL) / 2, df) * se
    deviation = math.sqrt(variance)
    upper = stats.norm.sf((critical - difference) / deviation)
    lower = stats.norm.cdf((-critical - difference) / deviation)
    return float(np.mean(upper + lower))


def shown_by(
    components: Components,
    difference: float,
    looks: Sequence[Look],
    num_units: int,
    studies: int = STUDIES,
    seed: int = SEED,
    effective_units: float | None = None,
) -> list[float]:
    """Probability that a true difference above zero is shown at a look or before it, by the tests of a claim.

    The looks of one study share its seeds and its units, so whole tables are simulated: normal, of the crossed model.

    Args:
        components: variances of the paired difference, as ``Effect.components`` estimates them.
        difference: true difference, as a fraction; of parity, the margin less the true loss.
        looks: of the claim, each a one-sided test at its own level.
        num_units: speakers or utterances.
        studies: how many are simulated.
        seed: of the simulation.
        effective_units: how many of equal length weigh as much; as many are simulated, with the same standard error.

    Returns:
        One for each look; they do not fall.
    """
    generator = np.random.default_rng(seed)
    equal = num_units if effective_units is None else max(2, round(effective_units))
    share, num_units = equal / num_units, equal
    scales = (1.0, share, share)
    seed_sd, unit_sd, residual_sd = (
        math.sqrt(scale * variance) for scale, variance in zip(scales, astuple(components), strict=True)
    )
    shown = np.zeros(len(looks))
    for size in [min(_CHUNK, studies - start) for start in range(0, studies, _CHUNK)]:
        tables = difference + residual_sd * generator.standard_normal((size, looks[-1].seeds, num_units))
        tables += seed_sd * generator.standard_normal((size, looks[-1].seeds, 1))
        tables += unit_sd * generator.standard_normal((size, 1, num_units))
        ever = np.zeros(size, dtype=bool)
        for number, look in enumerate(looks):
            seen = tables[:, : look.seeds]
            se, df = standard_error(*mean_squares(seen, np.ones(num_units)), look.seeds, num_units)
            ever |= stats.t.sf(seen.mean(axis=(1, 2)) / se, decisive(df, look.seeds, look.level)) < look.alpha
            shown[number] += ever.sum()
    return [float(count) / studies for count in shown]


def seeds_needed(
    components: Components,
    difference: float,
    num_units: int,
    target: float = TARGET,
    effective_units: float | None = None,
) -> Requirement:
    """The fewest seeds with which ``num_units`` units see the difference with the probability ``target``.

    ``effective_units`` is as in ``power``.

    Raises:
        ValueError: as ``power``; the difference is zero or the target is not between 0 and 1.
    """
    _check(difference, target)
    number = _smallest(
        lambda num_seeds: power(components, difference, num_seeds, num_units, effective_units=effective_units), target
    )
    if number is not None:
        return Requirement(number)
    left = math.sqrt(components.unit / num_units)
    return Requirement(None, _reason("seeds", f"{num_units} units", left, difference, "more units"))


def units_needed(
    components: Components, difference: float, num_seeds: int, target: float = TARGET, evenness: float = 1.0
) -> Requirement:
    """The fewest units with which ``num_seeds`` seeds see the difference with the probability ``target``.

    ``evenness`` is K_eff / K: more units are taken to be as unequal in length as those that there are.

    Raises:
        ValueError: as ``power``; the difference is zero or the target is not between 0 and 1.
    """
    _check(difference, target)
    if num_seeds == 1:
        return Requirement(None, "one seed decides nothing, whatever the number of units")
    number = _smallest(
        lambda units: power(components, difference, num_seeds, units, effective_units=evenness * units), target
    )
    if number is not None:
        return Requirement(number)
    left = math.sqrt(components.seed / num_seeds)
    return Requirement(None, _reason("units", f"{num_seeds} seeds", left, difference, "more seeds"))


def likely_components(
    components: Components,
    num_seeds: int,
    num_units: int,
    confidence: float = 0.8,
    effective_units: float | None = None,
) -> tuple[Components, Components]:
    """The components where the mean square between seeds is as small, and as large, as a pilot of this size allows.

    That mean square is a multiple of a chi-square with S - 1 degrees of freedom; the bounds are those of its
    two-sided interval. Where a few units have most of the words, the mean square between units is known as little, with
    K_eff - 1: then it has the bounds of its own interval. What is estimated from many more cells is held.
    """

    def bounds(variance: float, cells: int, freedom: float) -> list[float]:
        square = components.residual + cells * variance
        ends = (square * freedom / stats.chi2.ppf((1 + side * confidence) / 2, freedom) for side in (1, -1))
        return [max(0.0, float(end - components.residual) / cells) for end in ends]

    seeds, units = bounds(components.seed, num_units, num_seeds - 1), [components.unit] * 2
    if effective_units is not None and few_weigh_most(num_units, effective_units):
        units = bounds(components.unit, num_seeds, max(effective_units - 1, 1))
    small, large = (replace(components, seed=seed, unit=unit) for seed, unit in zip(seeds, units, strict=True))
    return small, large


def share_of_units(components: Components, num_seeds: int, num_units: int) -> float:
    """The share of the squared standard error that would vanish with infinitely many units of the same kind."""
    units = components.unit / num_units + components.residual / (num_seeds * num_units)
    total = units + components.seed / num_seeds
    return units / total if total else 0.0


def _check(difference: float, target: float) -> None:
    if difference == 0 or not math.isfinite(difference):
        raise ValueError(f"no sample is large enough to see a difference of {difference}; give the one that matters")
    if not 0 < target < 1:
        raise ValueError(f"a target for power lies between 0 and 1, got {target}")


def _reason(varied: str, held: str, left: float, difference: float, remedy: str) -> str:
    return (
        f"not even {MOST:,} {varied} suffice: with {held} a standard error of {100 * left:.2g} points remains"
        f" beside a difference of {100 * abs(difference):.2g}; {remedy} are needed"
    )


def _smallest(power_of: Callable[[int], float], target: float) -> int | None:
    """The smallest number from 2 to ``MOST`` that reaches the target; power grows with the number."""
    if power_of(MOST) < target:
        return None
    low, high = 1, 2
    while high < MOST and power_of(high) < target:
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= target else (middle, high)
    return high
