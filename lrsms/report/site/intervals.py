"""Effects with their intervals as a picture in each row of a table, all on one scale; wide or narrow as the page is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lrsms.report.pages.chart import nice_ticks
from lrsms.statistics.stats import Interval


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
        """The scale on which all of these have a place, and zero."""
        known = [x for value, interval in effects for x in (value, interval.low, interval.high) if math.isfinite(x)]
        low, high = min([0.0, *known]), max([0.0, *known])
        step = nice_ticks(max(high, -low))[1]
        first = math.floor(low / step)
        last = max(math.ceil(high / step), first + 1)
        ticks = [step * number for number in range(first, last + 1)]
        return cls(ticks[0], ticks[-1], ticks)

    def place(self, x: float) -> str:
        """Where a number is, in percent of the width."""
        return f"{100 * (x - self.low) / (self.high - self.low):.2f}%"


def picture(scale: Scale, value: float, interval: Interval, kind: str, label: str) -> Markup:
    """A point with its interval, if it has one, over the line at zero.

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
        parts += [Markup('<line class="end" x1="{}" x2="{}" y1="32%" y2="68%"/>').format(end, end) for end in ends]
    parts.append(Markup('<circle cx="{}" cy="50%" r="4.5"/>').format(scale.place(value)))
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
