"""The plan of a cell: every matrix of its model with its shape, its ranks and the saved parameters."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from lrsms.report.pages.chart import Line, chart
from lrsms.report.pages.markup import Table, page
from lrsms.report.pages.material import Material

_BODY = """
<p>{{ text }}</p>
{{ ranks }}
{% if table %}{{ show(table) }}{% endif %}
"""
_HEADERS = ("matrices", "role", "shape", "blocks", "break-even rank", "rank", "dense parameters", "parameters")


def plan_page(runs: Sequence[Material]) -> bytes:
    """The page of a cell, from its runs. A plan does not depend on the seed.

    Args:
        runs: runs of one cell, at least one.
    """
    cell = runs[0].experiment.cell
    title = f"Plan of {cell}"
    planned = next((run for run in runs if run.matrices), None)
    if planned is None:
        known = next((count for run in runs if (count := run.number("parameters")) is not None), None)
        text = f"{known:,.0f} parameters. " if known is not None else ""
        why = "No run of this cell is finished yet" if runs[0].experiment.trained else "This study trains nothing"
        return page(title, _BODY, text=f"{text}{why}: no plan is recorded.", ranks="", table=None)
    return page(title, _BODY, text=summary(planned), ranks=ranks_chart(planned.matrices), table=table(planned.matrices))


def summary(run: Material) -> str:
    """The size of the model, and of the dense model of the same shape."""
    after, before = run.number("parameters"), run.plan.get("parameters_dense")
    if after is None or not isinstance(before, int):
        return ""
    if after == before:
        return f"{after:,.0f} parameters; every matrix is dense."
    return f"{after:,.0f} parameters; {before:,} where every matrix is dense ({before / after:.2f}x fewer)."


def table(matrices: Sequence[Mapping[str, Any]]) -> Table:
    """A row for matrices that differ only in their block, as in ``plan.json``."""
    rows = []
    for entry in matrices:
        dense, now = entry["parameters_dense"], entry["parameters"]
        layers = entry["layers"]
        rows.append(
            (
                str(entry["name"]),
                str(entry["role"]),
                f"{entry['rows']}\u00a0x\u00a0{entry['columns']}",
                str(len(layers)),
                f"{entry['break_even']:g}",
                ranks_text(entry["ranks"]),
                f"{dense:,}",
                f"{now:,}",
            )
        )
    caption = (
        "From plan.json. A factorised m x n matrix of rank r holds r (m + n) numbers and its"
        " bias: fewer than dense below the break-even rank mn / (m + n). Ranks: from the first block to the last."
    )
    return Table(_HEADERS, rows, frozenset({3, 4, 6, 7}), caption)


def ranks_text(ranks: Sequence[int | None]) -> str:
    """For example ``24``, ``dense`` or ``12, 18 (x2), 24``, in the order of the blocks."""
    words = []
    for rank, group in groupby(ranks):
        times = len(list(group))
        words.append(("dense" if rank is None else str(rank), times))
    if len(words) == 1:
        return words[0][0]
    return ", ".join(word if times == 1 else f"{word} (x{times})" for word, times in words)


def ranks_chart(matrices: Sequence[Mapping[str, Any]]) -> Markup:
    """Ranks by depth, for matrices that have more than one; matrices with the same ranks share a line."""
    by_points: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for entry in matrices:
        points = tuple(
            (float(layer), float(rank))
            for layer, rank in zip(entry["layers"], entry["ranks"], strict=True)
            if rank is not None
        )
        if len(points) > 1:
            by_points.setdefault(points, []).append(str(entry["role"]))
    lines = [Line(", ".join(dict.fromkeys(roles)), points) for points, roles in by_points.items()]
    return chart("Ranks by depth", "block", "rank", lines)
