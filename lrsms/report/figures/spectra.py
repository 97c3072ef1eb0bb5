"""Singular values of trained matrices, and their stable ranks by depth: dense beside factorised."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from lrsms.report.figures.highlights import Highlights, describe_choice, highlights, labels
from lrsms.report.figures.layout import MOST_PANELS, Canvas, band, drawn
from lrsms.report.figures.material import Drawn, Material, describe_absent, describe_factors, describe_seeds

Records = dict[str, list[dict[str, Any]]]
"""The spectra of each cell's seeds; empty if those of a seed are absent."""
Curve = tuple[np.ndarray, np.ndarray]
"""Places ``(points,)``, and values ``(seeds, points)``."""

_GRID = np.linspace(0, 1, 65)[1:] ** 2
"""Places of a spectrum as shares of full rank; they lie closer at its steep start."""
_LEAST = 1e-6
"""Values below this share of the largest singular value are rounding errors."""


def spectra(material: Material) -> Drawn:
    """Singular values over the largest, against their place as a share of full rank; a panel for each role."""
    caption = (
        "Singular values of the trained matrices, divided by the largest of each matrix, against their place as a share"
        " of full rank. Lines are geometric means over the matrices and layers of a role, up to the place that half of"
        " them reach. A product of rank r has r singular values."
    )
    figure, notes = _draw(material, _spectrum, log=True, marked=False)
    return Drawn(figure.finish("place / full rank", "singular value / largest", _EMPTY), [caption, *notes])


def stable_ranks(material: Material) -> Drawn:
    """Stable rank against layer; a panel for each role."""
    caption = (
        "Stable rank of the trained matrices by their layer: the sum of the squared singular values divided by the"
        " square of the largest one. Lines are means over the matrices of a role. The first layer is next to the input."
    )
    figure, notes = _draw(material, _depth, log=False, marked=True)
    return Drawn(figure.finish("layer", "stable rank", _EMPTY, from_zero=True), [caption, *notes])


_EMPTY = "no finished run has spectra in its record"


def _draw(
    material: Material, curve: Callable[[list[dict[str, Any]], str], Curve | None], log: bool, marked: bool
) -> tuple[Canvas, list[str]]:
    groups = highlights(material.summary)
    found: Records = {}
    without = []
    for line in (line for group in groups for line in group.finished):
        if line.cell.name not in found:
            contents = material.spectra(line.cell)
            complete = len(contents) == line.cell.seeds
            found[line.cell.name] = contents if complete else []
            without += [] if complete else [line.cell.name]
    by_role = _by_role(groups, found)
    shown = dict(list(by_role.items())[:MOST_PANELS])
    titles = [role.replace("_", " ").replace(".", " ") for role in shown]
    canvas = Canvas(titles, labels(list(shown.values())), share_y=log)
    for axes, (role, group) in zip(canvas.panels, shown.items(), strict=False):
        for line in group.finished:
            points = curve(found[line.cell.name], role)
            if points is None:
                continue
            places, rows = points
            style: dict[str, Any] = {"color": line.look.color, "linestyle": line.look.line, "label": line.label}
            axes.plot(places, drawn(_mean(rows, log)), **style, **_markers(line.look.marker, marked))
            band(axes, places, rows, line.look.color)
        if log:
            axes.set_yscale("log")
            axes.set_xlim(0, 1.02)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    notes = [describe_seeds(material.summary.cells)]
    if {group.title for group in shown.values()} - {""}:
        notes.append("A role is shown for the cells in which the fewest other roles are factorised.")
    notes += describe_choice(material.summary, groups) + describe_factors(material)
    notes += describe_absent(material.summary.cells)
    if len(by_role) > len(shown):
        notes.append(f"Roles that are not shown: {', '.join(list(by_role)[MOST_PANELS:])}.")
    if without:
        notes.append(f"Not shown, because the record of some seed has no spectra: {', '.join(without)}.")
    return canvas, notes


def _by_role(groups: Sequence[Highlights], found: Records) -> dict[str, Highlights]:
    """The roles that some cell factorises, in model order, each with the smallest group of such cells.

    If nothing is factorised, these are the roles of all blocks.
    """
    roles: dict[str, Highlights] = {}
    for group in sorted(groups, key=lambda group: (group.title.count("+"), "," in group.title)):
        for line in group.finished:
            for content in found[line.cell.name][:1]:
                for entry in content["matrices"]:
                    if any(rank is not None for rank in entry["ranks"]):
                        roles.setdefault(entry["role"], group)
    every = [line.cell.name for group in groups for line in group.finished]
    contents = [content for name in every for content in found[name][:1]]
    order = dict.fromkeys(entry["role"] for content in contents for entry in content["matrices"])
    if not roles:
        blocks = [e["role"] for content in contents for e in content["matrices"] if ".*." in e["name"]]
        return dict.fromkeys(blocks, groups[0])
    return {role: roles[role] for role in order if role in roles}


def _entries(content: dict[str, Any], role: str) -> list[dict[str, Any]]:
    return [entry for entry in content["matrices"] if entry["role"] == role]


def _spectrum(contents: list[dict[str, Any]], role: str) -> Curve | None:
    rows = []
    for content in contents:
        matrices = []
        for entry in _entries(content, role):
            full = min(entry["rows"], entry["columns"])
            sizes = entry.get("sizes") or [rank or full for rank in entry["ranks"]]
            for size, values in zip(sizes, entry["values"], strict=True):
                places = (np.array(content["indices"][str(size)]) + 1) / full
                logs = np.log10(np.maximum(values, _LEAST))
                matrices.append(np.interp(_GRID, places, logs, right=np.nan))
        if not matrices:
            return None
        table = np.array(matrices)
        enough = np.isfinite(table).mean(axis=0) >= 0.5
        mean = np.full(len(_GRID), np.nan)
        mean[enough] = np.nanmean(table[:, enough], axis=0)
        rows.append(mean)
    if not rows:
        return None
    spectra_ = 10 ** np.array(rows)
    kept = np.isfinite(spectra_).all(axis=0)
    return _GRID[kept], spectra_[:, kept]


def _depth(contents: list[dict[str, Any]], role: str) -> Curve | None:
    rows = []
    for content in contents:
        by_layer: dict[int, list[float]] = {}
        for entry in _entries(content, role):
            for layer, value in zip(entry["layers"], entry["stable_ranks"], strict=True):
                by_layer.setdefault(layer, []).append(value)
        if not by_layer:
            return None
        layers = sorted(by_layer)
        rows.append([sum(by_layer[layer]) / len(by_layer[layer]) for layer in layers])
    return (np.array(layers) + 1, np.array(rows)) if rows else None


def _mean(rows: np.ndarray, log: bool) -> np.ndarray:
    return np.exp(np.log(rows).mean(axis=0)) if log else rows.mean(axis=0)


def _markers(marker: str, marked: bool) -> dict[str, Any]:
    return {"marker": marker, "markersize": 3.5, "clip_on": False} if marked else {}
