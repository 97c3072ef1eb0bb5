"""Prints an estimate: a row for each cell, the totals in a sentence, and what is not known."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from rich.table import Table

from lrsms.base.terminal import open_console
from lrsms.cost.card import HEADING, OnCard
from lrsms.cost.estimate import Estimate

UNKNOWN = "-"


def show(result: Estimate, as_json: bool, cards: Mapping[str, OnCard] | None = None, extend: int = 0) -> None:
    """Prints an estimate as a table with its totals, or as JSON; and for each cell the cost of a run on a large GPU.

    Args:
        result: the estimate.
        as_json: whether it is printed as JSON.
        cards: costs on a large GPU, by cell.
        extend: largest number of values that tuning may add to a cell.
    """
    cards = cards or {}
    if as_json:
        also = {"on_card": {cell: asdict(found) for cell, found in cards.items()}} if cards else {}
        print(json.dumps(result.plain() | also, indent=1))
        return
    console = open_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    headings = (
        "cell",
        "runs",
        "done",
        "params M",
        "x fewer",
        "steps",
        "step ms",
        "hours a run",
        "from",
        "disk GB a run",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("cell", "from") else "right", overflow="fold")
    for cell in result.cells:
        table.add_row(
            cell.cell,
            str(len(cell.runs)),
            str(cell.recorded),
            f"{cell.parameters / 1e6:.2f}",
            f"{cell.times_fewer:.2f}",
            _text(cell.steps, ",d"),
            _text(cell.step_ms, ",.0f"),
            _text(cell.hours, ",.2f"),
            cell.source or UNKNOWN,
            _text(cell.disk_mb / 1e3, ".2f"),
        )
    console.print(table)
    console.print()
    for line in [*sentences(result), *stage_sentences(result, extend), *card_sentences(cards)]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def sentences(result: Estimate) -> list[str]:
    """The totals, what they leave out, and what is not known."""
    totals = result.totals()
    threads = f"{result.threads} thread{'s' if result.threads != 1 else ''}"
    where = result.device if result.on_gpu else f"{result.device}, {threads}"
    if not result.trains:
        done = f"{totals['runs']} measurements, {totals['recorded']} done."
        return [f"{done} This study times steps and trains nothing.", f"Step ms: on {where}."]
    hours, gpu_hours = _text(totals["hours"], ",.1f"), _text(totals["gpu_hours"], ",.1f")
    disk = f"{totals['disk_mb'] / 1e3:,.1f} GB of checkpoints and weights"
    time = "time unknown" if totals["hours"] is None else f"{hours} hours one after another ({gpu_hours} GPU-hours)"
    lines = [
        f"{totals['runs']} runs, {totals['recorded']} done. To do: {time} on {where}; {disk}. Decoding is not in the"
        " hours."
    ]
    for name, size in result.corpora.items():
        lines.append(f"Corpus {name}: " + ("not prepared yet." if size is None else f"{size / 1e3:,.2f} GB, prepared."))
    for course in dict.fromkeys(cell.course for cell in result.cells if cell.course):
        lines.append(
            f"A network that is {course}: params M counts its last form, and step ms is the mean over all of its steps."
        )
    unknown = [cell for cell in result.cells if cell.pending and cell.hours is None]
    if any(cell.steps is None for cell in unknown):
        lines.append(f"'{UNKNOWN}' steps: training is in epochs of a corpus that is not prepared yet.")
    if any(cell.step_ms is None for cell in unknown):
        lines.append(f"'{UNKNOWN}' hours: not measured on this device.")
    if any(cell.source == "extrapolated" for cell in result.cells):
        lines.append("Extrapolated: multiply-adds at the rate of a smaller step measured here, not a step measured.")
    return lines


def stage_sentences(result: Estimate, extend: int) -> list[str]:
    """What each of the two stages takes of a study that tunes."""
    if not any(cell.tuning for cell in result.cells):
        return []

    def said(tuning: bool) -> str:
        totals = result.totals(tuning)
        time = "time unknown" if totals["hours"] is None else f"{totals['hours']:,.1f} hours"
        return f"{totals['runs']} runs, {totals['recorded']} done, to do: {time}"

    more = f" A cell that is best at the last of its values tries more of them, at most {extend}." if extend else ""
    return [
        f"Stage 1, tuning, which chooses on validation: {said(True)}.{more}",
        f"Stage 2, at the values chosen, compared: {said(False)}.",
    ]


def card_sentences(cards: Mapping[str, OnCard]) -> list[str]:
    """The cost of a run of each cell on one large GPU."""
    lines = [f"{cell}: {found.hours:,.1f} hours and {found.memory_mb / 1024:,.1f} GB." for cell, found in cards.items()]
    return [HEADING, *lines] if lines else []


def _text(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)
