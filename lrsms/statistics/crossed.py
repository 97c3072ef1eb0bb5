"""The crossed model of seeds and units: mean squares, the standard error of a mean, and its degrees of freedom.

Systems A and B are each trained with the same seeds and tested on the same units: speakers, or utterances where
speakers are unknown or there is one alone. The paired difference of edits ``d`` of seed s and unit k, S x K in all, is
taken as a crossed layout of two random factors with one observation a cell:

    d_sk / w  =  difference + seed_s + unit_k + residual_sk

**Difference.** The corpus figure R = sum(d) / (S sum(w)) is a ratio of sums over units of unequal numbers of words w.
Its linearisation (the delta method for a ratio estimator: Cochran 1977, *Sampling Techniques*, chapter 6) gives each
cell the value z_sk = (d_sk - R w_k) / mean(w) + R, whose plain mean over the table is R exactly. With units of equal
length z_sk is the difference of the cell's own error rates.

**Units of unequal length.** A long unit pulls R towards itself, so its own deviation looks smaller than it is. The
deviations of unit k, between units and in the residual, are multiplied by (1 - 1/K) / (1 - w_k / sum(w)): those of the
jackknife of a ratio, which leaves each unit out in turn (Quenouille 1956; Cochran 1977, section 6.17), on the scale on
which the factor is 1 where all units are equally long. Without it, one speaker with half of the words makes a one-sided
2.5% test reject a true hypothesis up to 16% of the time (twelve speakers, ten seeds).

**Standard error.** From the mean squares of z (Searle, Casella and McCulloch 1992, *Variance Components*, chapter 4)
E[MS_seed] = v_residual + K v_seed, E[MS_unit] = v_residual + S v_unit and E[MS_residual] = v_residual, so that

    Var(mean) = v_seed / S + v_unit / K + v_residual / (S K) = (E[MS_seed] + E[MS_unit] - E[MS_residual]) / (S K).

A component estimated below zero counts as zero, which makes the estimate Q / (S K) with
Q = max(MS_seed, MS_residual) + max(MS_unit, MS_residual) - MS_residual: never below what any one mean square says.

**Degrees of freedom** (Satterthwaite 1946, "An approximate distribution of estimates of variance components",
*Biometrics Bulletin* 2): nu = Q^2 / sum(MS^2 (1 + 2/f) / f) over the three mean squares and their degrees of freedom
f, not below the smallest f. Satterthwaite's own formula lacks the factor 1 + 2/f. It puts the observed MS for its
expectation, so that a mean square that falls short by luck gives a small standard error and many degrees of freedom
at once: with three seeds a one-sided 2.5% test rejects a true hypothesis up to 3.9% of the time. The factor, which adds
the relative variance of MS once, brings this to 2.7% for three seeds and 2.5% for five over ratios of the components
from 0 to 200. Two seeds reach 4.4%, one reason why fewer than ``effects.MIN_SEEDS`` have no p and no verdict. Where the
units add no variance and the seeds do, the interval is Student's over the seeds' means, with S - 1 degrees of freedom.

Where units are of unequal length, the few longest make MS_unit, and it is known less well than K - 1 degrees of freedom
say. So its f is K_eff - 1 (at least 1), with K_eff = (sum w)^2 / sum w^2, which is K where all are equally long (Kish
1965, *Survey Sampling*). With K - 1, a speaker with half of the words makes a claim wrong 4.1% of the time over all
looks, and 5.8% at a look of fifteen seeds with the whole 2.5%; with K_eff - 1, 0.5% and 1.7%.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Variances of one cell's difference (of error rates, as fractions), none below zero; NaN where unknown."""

    seed: float
    """Between trainings: the effect of another seed on all units together."""
    unit: float
    """Between speakers (or utterances): how differently they gain, with every seed."""
    residual: float
    """The rest: chance within a cell, and the effect of a seed on one unit only."""


def linearised(differences: Array, words: Array, mean: float | Array) -> Array:
    """The values z of the head of this file, of ``(..., seeds, units)`` differences of edits.

    Args:
        differences: of edits.
        words: ``(units,)`` reference words.
        mean: the corpus figure of each table, with two axes of length 1 behind where there are many.
    """
    return (differences - mean * words) / words.mean() + mean


def leverage(words: Array) -> Array:
    """The factors of the deviations of each unit; 1 if all units are equally long."""
    return (1 - 1 / len(words)) / (1 - words / words.sum())


def mean_squares(values: Array, factors: Array) -> tuple[Array, Array, Array]:
    """Between seeds, between units and residual, of ``(..., seeds, units)`` tables: ``(...)`` each.

    Args:
        values: see the head of this file.
        factors: ``(units,)``, of the deviations between units and in the residual.
    """
    num_seeds, num_units = values.shape[-2:]
    mean = values.mean(axis=(-2, -1), keepdims=True)
    by_seed, by_unit = values.mean(axis=-1, keepdims=True) - mean, values.mean(axis=-2, keepdims=True) - mean
    residuals = (values - mean - by_seed - by_unit) * factors
    seed = num_units * np.sum(by_seed**2, axis=(-2, -1)) / (num_seeds - 1)
    unit = num_seeds * np.sum((by_unit * factors) ** 2, axis=(-2, -1)) / (num_units - 1)
    return seed, unit, np.sum(residuals**2, axis=(-2, -1)) / ((num_seeds - 1) * (num_units - 1))


def standard_error(
    seed: float | Array,
    unit: float | Array,
    residual: float | Array,
    num_seeds: int,
    num_units: int,
    effective_units: float | None = None,
) -> tuple[Array, Array]:
    """Standard error and degrees of freedom of the mean of a table: see the head of this file.

    Args:
        seed: mean square between seeds; arrays hold one for each of many tables.
        unit: mean square between units.
        residual: residual mean square; one of the three must be above zero.
        num_seeds: rows of the table, 2 or more.
        num_units: columns of the table, 2 or more.
        effective_units: how many units of equal length weigh as much: see ``stats.effective_units``; None if all are
            equally long.
    """
    between_seeds, between_units = num_seeds - 1, num_units - 1
    weighed = between_units if effective_units is None else max(effective_units - 1, 1)
    total = np.maximum(seed, residual) + np.maximum(unit, residual) - residual
    freedoms = (between_seeds, weighed, between_seeds * between_units)
    uncertainty = sum(
        square**2 * (1 + 2 / freedom) / freedom
        for square, freedom in zip((seed, unit, residual), freedoms, strict=True)
    )
    df = np.maximum(total**2 / uncertainty, min(between_seeds, weighed))
    return np.sqrt(total / (num_seeds * num_units)), df


def components(seed: float, unit: float, residual: float, num_seeds: int, num_units: int) -> Components:
    """Expected mean squares solved for the variances; a negative estimate is zero."""
    return Components(max(0.0, (seed - residual) / num_units), max(0.0, (unit - residual) / num_seeds), residual)
