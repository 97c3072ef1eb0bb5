"""Small line charts as inline SVG. For a thousand pages, a drawing library would take minutes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

COLORS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#56b4e9", "#949494")
"""Colours of seaborn's palette for the colour-blind, as in the figures."""
_DASHES = ("none", "6 3", "2 2", "8 3 2 3")
_WIDTH, _HEIGHT = 420, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 26, 40
_ROW = 18


@dataclass(frozen=True)
class Line:
    """Points that belong together; points that are not finite are left out."""

    label: str
    points: Sequence[tuple[float, float]]


def chart(title: str, x_label: str, y_label: str, lines: Sequence[Line]) -> Markup:
    """A chart with its legend below, on axes that begin at zero; empty if no line has a point.

    Args:
        title: heading, also the name of the picture for screen readers.
        x_label: label of the horizontal axis.
        y_label: label of the vertical axis.
        lines: lines with values of zero or more.
    """
    kept = [Line(line.label, [p for p in line.points if all(map(math.isfinite, p))]) for line in lines]
    kept = [line for line in kept if line.points]
    if not kept:
        return Markup()
    horizontal = [x for line in kept for x, _ in line.points]
    low, high = min(horizontal), max(horizontal)
    span = (high - low) or 1.0
    ticks = nice_ticks(max(y for line in kept for _, y in line.points))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = _LEFT + (point[0] - low) / span * (_WIDTH - _LEFT - _RIGHT)
        return round(x, 1), round(_HEIGHT - _BOTTOM - point[1] / ticks[-1] * (_HEIGHT - _TOP - _BOTTOM), 1)

    height = _HEIGHT + _ROW * len(kept)
    parts = [
        Markup('<svg class="chart" role="img" aria-label="{}" width="{}" height="{}" viewBox="0 0 {} {}"').format(
            f"{title}: {y_label} by {x_label}", _WIDTH, height, _WIDTH, height
        ),
        Markup(' font-family="sans-serif" font-size="12" fill="#111">'),
        _text(_WIDTH / 2, 16, title, "middle"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x_label, "middle"),
        Markup('<g transform="rotate(-90)">{}</g>').format(
            _text(-(_TOP + _HEIGHT - _BOTTOM) / 2, 13, y_label, "middle")
        ),
    ]
    for tick in ticks:
        _, y = place((low, tick))
        parts.append(Markup('<path d="M{} {}H{}" stroke="#ddd"/>').format(_LEFT, y, _WIDTH - _RIGHT))
        parts.append(_text(_LEFT - 6, y + 4, f"{tick:g}", "end"))
    for x in dict.fromkeys((low, high)):
        parts.append(_text(place((x, 0))[0], _HEIGHT - _BOTTOM + 16, f"{x:g}", "end" if x > low else "start"))
    for index, line in enumerate(kept):
        parts += _draw(index, line.label, [place(point) for point in line.points])
    return Markup("").join([*parts, Markup("</svg>")])


def nice_ticks(top: float) -> list[float]:
    """Four to six round numbers, from zero to the first that is not below ``top``."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / 5))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power * 5 >= top * (1 - 1e-9))
    num_steps = math.ceil(top / step - 1e-9)
    return [step * number for number in range(num_steps + 1)]


def _draw(index: int, label: str, points: Sequence[tuple[float, float]]) -> list[Markup]:
    color, dash = COLORS[index % len(COLORS)], _DASHES[index // len(COLORS) % len(_DASHES)]
    stroke = Markup('fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}"').format(color, dash)
    y = _HEIGHT + _ROW * index + 8
    drawn = [Markup('<path d="M{}" {}/>').format(" ".join(f"{x},{y}" for x, y in points), stroke)]
    if len(points) == 1:
        drawn = [Markup('<circle cx="{}" cy="{}" r="3" fill="{}"/>').format(*points[0], color)]
    return [*drawn, Markup('<path d="M{} {}h24" {}/>').format(_LEFT, y, stroke), _text(_LEFT + 30, y + 4, label)]


def _text(x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, escape(text))
