"""The rules of ``lrsms.report.rate_rules`` on thousands of studies at once, from the functions that they rest on.

A test holds each of these to the rule itself, study by study.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from null_worlds import Studies
from scipy import stats

from lrsms.statistics.convergence import Failures
from lrsms.statistics.crossed import leverage, linearised, mean_squares, standard_error
from lrsms.statistics.effects import MIN_SEEDS, contrast, decisive
from lrsms.statistics.looks import plan
from lrsms.statistics.stats import effective_units

MARGIN = 0.1
RATIOS = (0.06, 0.12, 0.25, 0.5, 0.75)
"""Of the cells after the dense model, where there are several; the claim of ``onset`` is about 0.5."""
ONSET = 0.5


@dataclass(frozen=True)
class Said:
    """Of each study, whether the claim is supported and whether it is contradicted."""

    supported: np.ndarray
    contradicted: np.ndarray


Rule = Callable[[Studies, float], Said]


@dataclass(frozen=True)
class Effects:
    """Of each study a mean, its standard error and degrees of freedom."""

    t: np.ndarray
    df: np.ndarray

    @property
    def p_below(self) -> np.ndarray:
        return stats.t.cdf(self.t, self.df)

    @property
    def p_above(self) -> np.ndarray:
        return stats.t.sf(self.t, self.df)


def effects(tables: np.ndarray, words: np.ndarray, alpha: float) -> Effects:
    """The crossed model of ``(studies, seeds, units)`` differences of edits, as ``Effect`` has it at a look's level."""
    seeds, units = tables.shape[1:]
    mean = tables.sum(axis=(1, 2)) / (seeds * words.sum())
    squares = mean_squares(linearised(tables, words, mean[:, None, None]), leverage(words))
    se, df = standard_error(*squares, seeds, units, effective_units(words))
    return Effects(mean / se, decisive(df, seeds, 1 - 2 * alpha))


def parity(studies: Studies, alpha: float) -> Said:
    """B, the last cell, is below A plus the margin, and fails no more often."""
    excess = _of_converged(studies, alpha, lambda edits: edits[:, -1] - (1 + MARGIN) * edits[:, 0])
    more, surely = fails_more(studies, alpha)
    return Said((excess.p_below < alpha) & ~more, (excess.p_above < alpha) | surely)


def degradation(studies: Studies, alpha: float) -> Said:
    """B is worse than A, and parity is not shown."""
    change = _of_converged(studies, alpha, lambda edits: edits[:, -1] - edits[:, 0])
    beyond = _of_converged(studies, alpha, lambda edits: edits[:, -1] - (1 + MARGIN) * edits[:, 0])
    more, surely = fails_more(studies, alpha)
    within = (beyond.p_below < alpha) | (change.p_below < alpha)
    return Said((change.p_above < alpha) & ~within | surely, within & ~more)


def improvement(studies: Studies, alpha: float) -> Said:
    """B is better than A; contradicted where a gain of the margin is excluded."""
    change = _of_converged(studies, alpha, lambda edits: edits[:, -1] - edits[:, 0])
    short = _of_converged(studies, alpha, lambda edits: edits[:, -1] - (1 - MARGIN) * edits[:, 0])
    more, surely = fails_more(studies, alpha)
    better = change.p_below < alpha
    return Said(better & ~more, ((change.p_above < alpha) | (short.p_above < alpha)) & ~better | surely)


def trend(studies: Studies, alpha: float) -> Said:
    """The slope over halvings of the ratio lies above zero; contradicted where the rise is below the margin."""
    doses = np.log2(1 / np.array((1.0, *RATIOS)))
    margin = MARGIN / (doses.max() - doses.min())
    slope = _of_converged(studies, alpha, lambda edits: np.tensordot(contrast(doses), edits, axes=(0, 1)))
    excess = _of_converged(
        studies, alpha, lambda edits: np.tensordot(contrast(doses), edits, axes=(0, 1)) - margin * edits[:, 0]
    )
    rises = slope.p_above < alpha
    return Said(rises, ((slope.p_below < alpha) | (excess.p_below < alpha)) & ~rises)


def onset(studies: Studies, alpha: float) -> Said:
    """A loss is shown at each ratio from the lowest up to ``ONSET``, one after the other."""
    at = RATIOS.index(ONSET) + 1
    shown = np.ones(len(studies.edits), dtype=bool)
    for cell in range(1, at + 1):
        change = _of_converged(studies, alpha, lambda edits, cell=cell: edits[:, cell] - edits[:, 0])
        shown &= change.p_above <= alpha
    beyond = _of_converged(studies, alpha, lambda edits: edits[:, at] - (1 + MARGIN) * edits[:, 0])
    change = _of_converged(studies, alpha, lambda edits: edits[:, at] - edits[:, 0])
    more, surely = fails_more(studies, alpha)
    within = ((beyond.p_below < alpha) | (change.p_below < alpha)) & ~more & ~surely
    return Said(shown, within & ~shown)


def family(studies: Studies, alpha: float) -> Said:
    """Some cell is better than the dense model, by Holm's p; contradicted where every one is."""
    members = [studies.cells(0, cell) for cell in range(1, studies.edits.shape[1])]
    said = [improvement(member, alpha) for member in members]
    p = np.stack(
        [_of_converged(member, alpha, lambda edits: edits[:, 1] - edits[:, 0]).p_below for member in members], axis=1
    )
    holds = np.stack([one.supported for one in said], axis=1) & (holm(np.where(np.isnan(p), 1.0, p)) <= alpha)
    return Said(holds.any(axis=1), np.all([one.contradicted for one in said], axis=0))


RULES: dict[str, Rule] = {
    "parity": parity,
    "degradation": degradation,
    "improvement": improvement,
    "trend": trend,
    "onset": onset,
    "family": family,
}


def ever(rule: Rule, studies: Studies, looks: tuple[int, ...], levels: tuple[float, ...] | None = None) -> Said:
    """What is said at any of the looks: of verdicts that are wrong, no fewer than the first verdict's."""
    alphas = levels or tuple(look.alpha for look in plan(looks))
    said = [rule(studies.first(number), alpha) for number, alpha in zip(looks, alphas, strict=True)]
    return Said(np.any([one.supported for one in said], axis=0), np.any([one.contradicted for one in said], axis=0))


def fails_more(studies: Studies, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether the cells after the first fail more often than it, and whether by Fisher's exact test they surely do."""
    counts = studies.lost.sum(axis=2)
    runs_a, runs_b = studies.lost.shape[2], studies.lost.shape[2] * (studies.lost.shape[1] - 1)
    pairs = list(zip(counts[:, 0].tolist(), counts[:, 1:].sum(axis=1).tolist(), strict=True))
    found = [_fisher(failed_a, runs_a, failed_b, runs_b) for failed_a, failed_b in pairs]
    more, p = (np.array(values) for values in zip(*found, strict=True))
    return more, more & (p <= alpha)


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p of each row ``(studies, members)``, as ``stats.holm`` has them for one."""
    order = np.argsort(p, axis=1, kind="stable")
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, 1) * np.arange(p.shape[1], 0, -1), axis=1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), 1)
    return adjusted


@cache
def _fisher(failed_a: int, runs_a: int, failed_b: int, runs_b: int) -> tuple[bool, float]:
    one = Failures(failed_a, runs_a, failed_b, runs_b)
    return one.more, one.p_more


def _of_converged(studies: Studies, alpha: float, table: Callable[[np.ndarray], np.ndarray]) -> Effects:
    """The model of the seeds with which every cell converged; NaN of the studies where they are too few.

    Args:
        studies: all of them.
        alpha: one-sided level of the look.
        table: from edits to ``(studies, seeds, units)`` differences, each seed by itself.
    """
    good, tables = ~studies.lost.any(axis=1), table(studies.edits)
    counts = good.sum(axis=1)
    t, df = np.full((2, len(good)), np.nan)
    for number in range(MIN_SEEDS, good.shape[1] + 1):
        chosen = np.flatnonzero(counts == number)
        if chosen.size:
            kept = np.argsort(~good[chosen], axis=1, kind="stable")[:, :number]
            found = effects(tables[chosen[:, None], kept], studies.words, alpha)
            t[chosen], df[chosen] = found.t, found.df
    return Effects(t, df)
