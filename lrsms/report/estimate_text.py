"""Shows an estimate in tables: as text with its interval, and as numbers in three columns."""

from lrsms.record.metric import Metric
from lrsms.report.cells import Estimate
from lrsms.report.readable import Column

UNFINISHED = "-"


def as_text(estimate: Estimate | None, digits: int, scale: float = 1, sign: str = "") -> str:
    """A scaled number, with its interval in brackets if it has one; ``UNFINISHED`` if there is no number."""
    if estimate is None:
        return UNFINISHED
    value, interval = scale * estimate.value, estimate.interval
    text = f"{value:{sign}.{digits}f}"
    if interval.low != interval.low:  # NaN: one unit or one pair
        return text
    return f"{text} [{scale * interval.low:.{digits}f}, {scale * interval.high:.{digits}f}]"


def as_numbers(name: str, estimate: Estimate | None, scale: float = 1) -> dict[str, float | None]:
    """A scaled number and the ends of its interval, by the names of their columns."""
    values = [estimate.value, estimate.interval.low, estimate.interval.high] if estimate else [None] * 3
    names = [name, f"{name}_low", f"{name}_high"]
    return {n: None if v is None else scale * v for n, v in zip(names, values, strict=True)}


def change_header(metric: Metric) -> str:
    """Heading of the column of changes."""
    return f"{metric.short} change [95%]"


def quantity(
    header: str, values: list[float | None], small: str, large: str, leave_out: int | None = None, bound: float = 10
) -> Column:
    """One number of decimals for the whole column: fewer where every number is at least ``bound``."""
    form = large if all(value is None or value >= bound for value in values) else small
    return Column(header, tuple(UNFINISHED if value is None else form.format(value) for value in values), leave_out)
