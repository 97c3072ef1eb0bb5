"""Prints step times: a row for each network and setting, the roofs of the device, and what was not measured."""

from rich.table import Table

from lrsms.base.devices import device_name
from lrsms.base.terminal import open_console
from lrsms.cost.case import Row
from lrsms.cost.stepbench import TIME_WAS_UP, Result

NONE = "-"
_LEFT = ("preset", "precision", "mode", "bound by")
_WIDTH = 200


def show(result: Result) -> None:
    """Prints a table and the notes that explain it."""
    console = open_console(_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for row in result.rows:
        cells = columns(row)
        if not table.columns:
            for heading in cells:
                table.add_column(heading, justify="left" if heading in _LEFT else "right", overflow="fold")
        table.add_row(*cells.values())
    console.print(table)
    console.print()
    for line in sentences(result):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def columns(row: Row) -> dict[str, str]:
    """A row's cells by heading; what was not measured is "-"."""
    low, high = row.quartiles_ms or (None, None)
    slowest, fastest = row.speedup_interval or (None, None)
    parts = [_text(value, ".1f") for value in (row.parts_ms or {}).values()]
    return {
        "preset": row.preset,
        "frames": str(row.frames),
        "precision": row.precision,
        "mode": row.mode,
        "kept": "dense" if row.ratio is None else f"{row.ratio:g}",
        "step ms [quartiles]": _interval(row.median_ms, low, high, ".1f"),
        "data/forward/backward/optimizer": "/".join(parts) or NONE,
        "x dense [95%]": _interval(row.speedup, slowest, fastest, ".2f"),
        "at most": NONE if row.ceiling is None else " / ".join(f"{value:.2f}" for value in row.ceiling.values()),
        "estimate": _text(row.estimated_speedup, ".2f"),
        "bound by": _bounds(row),
        "pays below": _text(row.break_even, ".2f"),
        "GMAC": _text(row.multiply_adds and row.multiply_adds / 1e9, ",.3g"),
        "TFLOP/s": _text(row.teraflops, ".3g"),
        "of rate": _text(row.share, ".0%"),
        "peak MB": _text(row.peak_memory_mb, ",.0f"),
    }


def sentences(result: Result) -> list[str]:
    """The roofs of the device, what the columns say, and why rows are empty."""
    lines = [
        f"{device_name(result.device)}, {precision}: {roof.flops / 1e12:.3g} TFLOP/s of matrix products,"
        f" {roof.bandwidth / 1e9:,.0f} GB/s, {1e6 * roof.launch_seconds:.1f} µs to launch a product."
        for precision, roof in result.roofs.items()
    ]
    lines.append(
        "x dense: the dense median over this one's, in turns in one process, bootstrap over pairs; at most: the dense"
        " multiply-adds, and bytes, over this one's, counted; estimate: the same by those roofs. Bound by: estimated"
        " shares of the time of the matrices. Pays below: estimated ratio (kept) under which the factorised matrices"
        " are faster than dense ones."
    )
    reasons: dict[str, list[str]] = {}
    for row in result.rows:
        if row.why_not is not None and row.ratio is None:
            name = f"{row.preset} {row.frames} {row.precision} {row.mode}"
            reasons.setdefault(row.why_not, []).append(name)
    for reason, names in reasons.items():
        hint = "; more with --seconds" if reason == TIME_WAS_UP else ""
        lines.append(f"'{NONE}', {reason}{hint}: {', '.join(names)}.")
    return lines


def _bounds(row: Row) -> str:
    if row.bounds_ms is None:
        return NONE
    total = sum(row.bounds_ms.values())
    shares = {roof: value / total for roof, value in row.bounds_ms.items() if value > 0.005 * total}
    return ", ".join(f"{roof} {share:.0%}" for roof, share in sorted(shares.items(), key=lambda each: -each[1]))


def _text(value: float | None, form: str) -> str:
    return NONE if value is None else format(value, form)


def _interval(value: float | None, low: float | None, high: float | None, form: str) -> str:
    if value is None:
        return NONE
    return f"{value:{form}} [{_text(low, form)}, {_text(high, form)}]"
