"""Ranks over depth: the ranks that each mapping of a study gives to each layer."""

import textwrap

from matplotlib.ticker import MaxNLocator

from lrsms.report.figures.bars import look
from lrsms.report.figures.layout import MOST_PANELS, Canvas
from lrsms.report.figures.material import Drawn, Material, describe_factors
from lrsms.report.series import by_stack, looks_of

Layers = tuple[tuple[int, int], ...]


def draw(material: Material) -> Drawn:
    """Rank against layer, a line for each mapping; a panel for each ratio and kinds of matrices with the same ranks."""
    found: dict[tuple[tuple[str, ...], float, str], dict[str, Layers]] = {}
    absent = 0
    for cell in material.summary.cells:
        if not cell.targets:
            continue
        plan = material.plan(cell)
        absent += not plan
        by_ranks: dict[Layers, list[str]] = {}
        for kind in plan:
            layers = zip(kind["layers"], kind["ranks"], strict=True)
            ranks = tuple((layer, rank) for layer, rank in layers if rank is not None)
            if ranks and kind["role"] not in by_ranks.setdefault(ranks, []):
                by_ranks[ranks].append(kind["role"])
        for ranks, roles in by_ranks.items():
            found.setdefault((tuple(roles), -(cell.ratio or 0), cell.kept), {}).setdefault(cell.mapping, ranks)
    several = {key: lines for key, lines in found.items() if len(lines) > 1} or found
    spots = dict(sorted(several.items(), key=lambda item: item[0])[:MOST_PANELS])
    mappings = list(dict.fromkeys(cell.mapping for cell in material.summary.cells if cell.targets))
    looks = looks_of(mappings)
    titles = [f"{_joined(roles)}, {kept} kept" for roles, _, kept in spots]
    canvas = Canvas(titles, mappings, share_y=False)
    for axes, lines in zip(canvas.panels, spots.values(), strict=False):
        for mapping in mappings:
            if mapping in lines:
                places, heights = [layer + 1 for layer, _ in lines[mapping]], [rank for _, rank in lines[mapping]]
                axes.plot(places, heights, label=mapping, markersize=3.5, clip_on=False, **look(looks[mapping]))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    caption = [
        "Rank of each factorised matrix by its layer, from the plans that were made before training. The first layer is"
        " next to the input. Matrices with the same ranks share a panel. The mappings of a panel have equally many"
        " parameters.",
        *describe_factors(material),
    ]
    if len(several) > len(spots):
        caption.append(f"Only the first {len(spots)} of {len(several)} panels are shown.")
    if absent:
        caption.append(f"Cells without a plan, whose runs have no record: {absent}.")
    return Drawn(canvas.finish("layer", "rank", "no run has a record with its plan", from_zero=True), caption)


def _joined(roles: tuple[str, ...]) -> str:
    """The roles, with each stack named once, shortened to fit a title."""
    return textwrap.shorten(by_stack(roles), 110, placeholder=" ...")
