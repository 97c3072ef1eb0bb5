"""Effects with their intervals as a picture in each row of a table, all on one scale; wide or narrow as the page is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lrsms.report.pages.chart import nice_ticks
from lrsms.statistics.stats import Interval

_TIMES_FURTHER = 3.0
"""An effect that reaches further than so many times the median would leave the others too small to be seen."""


@dataclass(frozen=True)
class Scale:
    """An axis around zero.

    Attributes:
        low: its left end.
        high: its right end.
        ticks: round numbers on it.
    """

    low: float
    high: float
    ticks: Sequence[float]

    @classmethod
    def of(cls, effects: Sequence[tuple[float, Interval]]) -> "Scale":
        """A scale with zero on which all of these have a place, but for what reaches much further than the others."""
        known = [[x for x in (value, interval.low, interval.high) if math.isfinite(x)] for value, interval in effects]
        reaches = [max(abs(x) for x in ends) for ends in known if ends]
        most = _TIMES_FURTHER * statistics.median(reaches) if reaches else 0.0
        inside = [max(-most, min(most, x)) for ends in known for x in ends]
        low, high = min([0.0, *inside]), max([0.0, *inside])
        step = nice_ticks(max(high, -low))[1]
        first = math.floor(low / step)
        last = max(math.ceil(high / step), first + 1)
        ticks = [step * number for number in range(first, last + 1)]
        return cls(ticks[0], ticks[-1], ticks)

    def __contains__(self, x: float) -> bool:
        return self.low <= x <= self.high

    def place(self, x: float) -> str:
        """Where a number is, in percent of the width; at the end if it lies beyond it."""
        x = max(self.low, min(self.high, x))
        return f"{100 * (x - self.low) / (self.high - self.low):.2f}%"


def picture(scale: Scale, value: float, interval: Interval, kind: str, label: str) -> Markup:
    """A point with its interval, if it has one, over the line at zero; an arrow where it goes on beyond the scale.

    Args:
        scale: of all rows.
        value: in its unit.
        interval: NaN where it is unknown.
        kind: class of its colour.
        label: the same in words.
    """
    zero = scale.place(0)
    parts = [Markup('<line class="zero" x1="{}" x2="{}" y1="0" y2="100%"/>').format(zero, zero)]
    if math.isfinite(interval.low) and math.isfinite(interval.high):
        ends = scale.place(interval.low), scale.place(interval.high)
        parts.append(Markup('<line class="interval" x1="{}" x2="{}" y1="50%" y2="50%"/>').format(*ends))
        bar = '<line class="end" x1="{}" x2="{}" y1="32%" y2="68%"/>'
        parts += [
            Markup(bar).format(scale.place(x), scale.place(x)) for x in (interval.low, interval.high) if x in scale
        ]
    if value in scale:
        parts.append(Markup('<circle cx="{}" cy="50%" r="4.5"/>').format(scale.place(value)))
    arrow = '<text class="beyond" x="{}" y="50%" dy=".35em" text-anchor="{}">{}</text>'
    if min(value, interval.low) < scale.low:
        parts.append(Markup(arrow).format("0%", "start", "\u25c2"))
    if max(value, interval.high) > scale.high:
        parts.append(Markup(arrow).format("100%", "end", "\u25b8"))
    start = Markup('<svg class="effect {}" role="img" aria-label="{}" width="100%" height="28">').format(kind, label)
    return start + Markup("").join(parts) + Markup("</svg>")


def axis(scale: Scale) -> Markup:
    """The numbers below the last row."""
    parts = []
    for tick in scale.ticks:
        place = scale.place(tick)
        parts.append(Markup('<line x1="{}" x2="{}" y1="0" y2="5"/>').format(place, place))
        parts.append(Markup('<text x="{}" y="20" text-anchor="middle">{}</text>').format(place, f"{tick:g}"))
    return Markup('<svg class="axis" aria-hidden="true" width="100%" height="26">{}</svg>').format(
        Markup("").join(parts)
    )
