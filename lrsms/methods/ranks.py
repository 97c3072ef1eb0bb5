"""Ranks over depth: the layers of a stack share a budget of ranks."""

import math
from collections.abc import Sequence

from lrsms.study.lowrank import LowRank


def uniform_rank(ratio: float, full: int, multiple: int = 1) -> int:
    """``max(1, round(ratio * full))``, rounded to a multiple of ``multiple``."""
    return multiple * max(1, round(ratio * full / multiple))


def ranks_over_depth(
    lowrank: LowRank, ratio: float, full: int, depths: Sequence[int], layers: int, where: str
) -> list[int]:
    """Ranks of the matrices of one kind that stand at ``depths`` in a stack of ``layers`` blocks.

    The mapping gives each its share alpha_l of full rank (*Full-Rank No More*, r_l = alpha_l min(m, n)). Shares are
    scaled and rounded by largest remainder, so that the ranks have exactly the sum of the uniform mapping. So mappings
    compare at equal parameters. A stack of one block is uniform.

    Args:
        lowrank: mapping and its parameters.
        ratio: fraction of full rank that is kept of these matrices, averaged over depth.
        full: min(m, n).
        depths: layer index of each matrix.
        layers: number of blocks in the stack.
        where: the name that errors use.

    Raises:
        ValueError: an explicit mapping of another length, or a rank outside [1, full]; nothing is clipped.
    """
    multiple = lowrank.multiple or 1
    budget = uniform_rank(ratio, full, multiple) * len(depths)
    shares = _shares(lowrank, depths, layers, where)
    ranks = [multiple * units for units in _largest_remainder(shares, budget // multiple)]
    for depth, rank in zip(depths, ranks, strict=True):
        if not 1 <= rank <= full:
            raise ValueError(
                f"'lowrank.mapping': {where} would have rank {rank} at layer {depth}, outside [1, {full}]; "
                f"use a {'gentler slope' if lowrank.mapping == 'linear' else 'smaller multiple or another ratio'}"
            )
    return ranks


def _shares(lowrank: LowRank, depths: Sequence[int], layers: int, where: str) -> list[float]:
    if layers == 1:
        return [1.0] * len(depths)
    if lowrank.ratios is not None:
        if len(lowrank.ratios) != layers:
            given = len(lowrank.ratios)
            raise ValueError(f"'lowrank.ratios' has {given} values, but {where} has {layers} layers; give one each")
        return [lowrank.ratios[depth] for depth in depths]
    if lowrank.slope is None:
        return [1.0] * len(depths)
    return [1 + lowrank.slope * (2 * depth / (layers - 1) - 1) for depth in depths]


def _largest_remainder(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers proportional to ``shares`` that sum to ``total`` (Hamilton's method; ties go to the earlier)."""
    # Rounded so that binary fractions of equal exact value tie.
    exact = [round(share * total / math.fsum(shares), 9) for share in shares]
    floors = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda index: floors[index] - exact[index])
    for index in by_remainder[: total - sum(floors)]:
        floors[index] += 1
    return floors
