"""A study's result table: complete as CSV, and in readable width as Markdown, as LaTeX and on the terminal."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrsms.base.csvfile import write_csv
from lrsms.base.files import write_atomically
from lrsms.base.terminal import open_console
from lrsms.record.metrics import WORDS
from lrsms.record.score import EDITS
from lrsms.report import further_table
from lrsms.report.cells import Cell
from lrsms.report.estimate_text import UNFINISHED, as_numbers, as_text, change_header, quantity
from lrsms.report.factored import joined
from lrsms.report.paired import Key
from lrsms.report.readable import Column, Readable, as_p, latex, markdown
from lrsms.report.steptimes import CEILING
from lrsms.report.summary import Summary, holm, summarise
from lrsms.study.fields import short_name

AT_MOST = "at most"
WIDTH = 160
"""Largest width of a Markdown line, in characters; less important columns are left out until it fits."""
_INTEGERS = ["diverged_at", "parameters", "parameters_factorised", "parameters_factorised_dense"]
_ENCODER = "encoder."


def write(folder: Path) -> None:
    """Writes ``table.csv``, ``table.md`` and ``table.tex`` from the ``runs.csv`` and ``speakers.csv`` in ``folder``.

    Raises:
        ValueError: one line: a file is missing or malformed, or has no rows.
    """
    summary = summarise(folder)
    table = readable(summary, WIDTH)
    write_csv(folder / "table.csv", complete(summary))
    write_atomically(folder / "table.md", markdown(table).encode())
    write_atomically(folder / "table.tex", latex(table, folder.name).encode())


def render_terminal(folder: Path, console: Console | None = None) -> None:
    """Prints the readable table and its notes.

    Raises:
        ValueError: as ``write``.
    """
    console = console or open_console()
    if not console.is_terminal:  # a log has no width
        console = open_console(WIDTH, file=console.file)
    table = readable(summarise(folder), console.width, separator=2)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        drawn.add_column(Text(column.header), justify="right" if column.numeric else "left")
    for row in zip(*(column.texts for column in table.columns), strict=True):
        drawn.add_row(*map(Text, row))
    console.print(drawn)
    console.print()
    for note in table.notes:
        console.print(Text(note), soft_wrap=not console.is_terminal)


def complete(summary: Summary) -> pd.DataFrame:
    """All that is known as numbers, a row per cell; error rates in percent."""
    rows = []
    adjusted = holm(summary)
    rate = summary.metric.short.lower()
    for cell in summary.cells:
        row: dict[str, Any] = {"cell": cell.name, "baseline": cell.baseline, "status": cell.status}
        row |= {"diverged_at": cell.diverged_at, "seeds": cell.seeds, "seeds_finished": cell.finished}
        row |= {
            "targets": joined(cell.targets),
            "ratio": cell.factored.written_ratio,
            "mapping": cell.mapping,
            "init": cell.init,
            **cell.axes,
        }
        for key in summary.keys:
            score, name = cell.scores.get(key), "_".join(key)
            row |= as_numbers(f"{rate}_percent_{name}", score.rate if score else None, 100)
            if summary.metric == WORDS:
                row |= {f"cer_percent_{name}": 100 * score.cer if score else None}
            for part, errors in enumerate(EDITS):
                row |= {f"{errors}_percent_{name}": 100 * score.parts[part] if score else None}
            row |= as_numbers(f"{rate}_change_{name}", score.change if score else None, 100)
            row |= {f"improvement_probability_{name}": score.improvement if score else None}
            effect = score.effect if score else None
            row |= {f"{rate}_change_p_{name}": effect.p if effect else None}
            row |= {f"{rate}_change_df_{name}": effect.df if effect else None}
            if key == summary.keys[0]:
                row |= {f"{rate}_change_p_holm_{name}": adjusted.get(cell.name)}
        row |= further_table.numbers(summary, cell)
        row |= {"parameters": cell.parameters, "times_fewer": cell.times_fewer}
        row |= {"parameters_factorised": cell.parameters_factorised}
        row |= {"parameters_factorised_dense": cell.parameters_factorised_dense}
        row |= {"macs_per_second": cell.macs_per_second, "peak_memory_mb": cell.peak_memory_mb}
        row |= {"step_ms": cell.step_ms, **as_numbers("speedup", cell.speedup)}
        if any(each.ceiling for each in summary.cells):
            row |= dict(zip(CEILING, cell.ceiling or (None, None), strict=True))
        row |= {"steptime_device": cell.steptime_device}
        rows.append(row)
    return pd.DataFrame(rows).astype(dict.fromkeys(_INTEGERS, "Int64"))


def readable(summary: Summary, width: int, separator: int = 3) -> Readable:
    """The columns that fit into ``width`` characters, with ``separator`` between two; constant columns become notes."""
    columns, notes = _describing_columns(summary)
    columns += _measured_columns(summary)
    left_out = []
    while _width(columns, separator) > width and (spare := [c for c in columns if c.leave_out is not None]):
        goes = min(spare, key=lambda column: column.leave_out or 0)
        columns.remove(goes)
        left_out.append(goes.header)
    return Readable(tuple(columns), (*notes, *_notes(summary, {column.header for column in columns}, left_out)))


def short_targets(cells: Sequence[Cell]) -> tuple[list[tuple[str, ...]], bool]:
    """The cells' targets, and whether all are in the encoder, so that ``encoder.`` is left out."""
    targets = [target for cell in cells for target in cell.targets]
    in_encoder = bool(targets) and all(target.startswith(_ENCODER) for target in targets)
    prefix = _ENCODER if in_encoder else ""
    return [tuple(target.removeprefix(prefix) for target in cell.targets) for cell in cells], in_encoder


def _describing_columns(summary: Summary) -> tuple[list[Column], list[str]]:
    cells, notes = summary.cells, []
    targets, in_encoder = short_targets(cells)
    columns = [Column("targets", tuple(joined(each) or "dense" for each in targets), numeric=False)]
    if in_encoder:
        notes.append("Targets are matrices of the encoder.")
    described = {
        "kept": [c.kept for c in cells],
        "mapping": [c.mapping for c in cells],
        "init": [c.init for c in cells],
    }
    same = []
    for header, texts in described.items():
        values = {text for text, cell in zip(texts, cells, strict=True) if cell.targets}
        if len(values) == 1:
            same.append(f"{header} {values.pop()}")
        elif values:
            columns.append(Column(header, tuple(texts), numeric=header == "kept"))
    if same:
        notes.append(f"All low-rank rows: {', '.join(same)}.")
    for axis in cells[0].axes:
        texts = [cell.axes[axis] for cell in cells]
        leaf = short_name(axis)
        unique = sum(short_name(other) == leaf for other in cells[0].axes) == 1
        columns.append(Column(leaf if unique else axis, tuple(texts), numeric=False))
    if len({cell.seeds for cell in cells}) > 1:
        columns.append(Column("seeds", tuple(str(cell.seeds) for cell in cells)))
    if any(cell.targets for cell in cells):
        each = ", of each target in turn where it differs" if any(cell.factored.by_target for cell in cells) else ""
        notes.append(f"Kept: the ratio, the fraction of full rank that is kept{each}; dense keeps the full matrices.")
    return columns, notes


def _measured_columns(summary: Summary) -> list[Column]:
    cells = summary.cells
    columns = _scored_columns(summary) if summary.keys else []  # a study that trains nothing has no error rates
    columns += further_table.columns(summary)
    columns.append(quantity("params M", [_scaled(c.parameters, 1e6) for c in cells], "{:.2f}", "{:.1f}"))
    if any(cell.times_fewer for cell in cells):
        fewer = [f"{c.times_fewer:.2f}" if c.times_fewer else UNFINISHED if c.baseline else "" for c in cells]
        columns.append(Column("x fewer", tuple(fewer), 5))
    columns.append(quantity("MACs G/s", [_scaled(c.macs_per_second, 1e9) for c in cells], "{:.3f}", "{:.2f}", 3))
    columns.append(quantity("memory MB", [cell.peak_memory_mb for cell in cells], "{:.0f}", "{:.0f}", 0))
    if len(summary.devices) == 1:
        columns.append(quantity("step ms", _comparable_steps(cells), "{:.1f}", "{:.0f}", 4, 100))
    if any(cell.speedup for cell in cells):
        speedups = [as_text(c.speedup, 2) if c.speedup else UNFINISHED if c.baseline else "" for c in cells]
        columns.append(Column("speed-up [95%]", tuple(speedups)))
        if any(cell.ceiling for cell in cells):
            most = ["{:.2f} / {:.2f}".format(*cell.ceiling) if cell.ceiling else "" for cell in cells]
            columns.append(Column(AT_MOST, tuple(most), 3))
        if len(summary.devices) > 1:
            places = {device: f"({number})" for number, device in enumerate(summary.devices, start=1)}
            columns.append(Column("on", tuple(places.get(cell.steptime_device, "") for cell in cells), numeric=False))
    return columns


def _scored_columns(summary: Summary) -> list[Column]:
    cells, primary, metric = summary.cells, summary.keys[0], summary.metric.short
    smallest = min((100 * score.rate.value for cell in cells for score in cell.scores.values()), default=100.0)
    digits = 2 if smallest < 5 else 1

    def scored(text: Callable[[Cell], str], unfinished: str | None = UNFINISHED) -> tuple[str, ...]:
        return tuple(text(cell) if cell.scores else unfinished or _status(cell) for cell in cells)

    def percent(key: Key) -> Callable[[Cell], str]:
        return lambda cell: f"{100 * cell.scores[key].rate.value:.{digits}f}"

    rates = scored(lambda cell: as_text(cell.scores[primary].rate, digits, 100), None)
    columns = [Column(f"{metric} %{_which(summary, primary)} [95%]", rates)]
    for key in summary.keys[1:]:
        # Other conditions say more than other decoders.
        columns.append(
            Column(f"{metric} %{_which(summary, key)}", scored(percent(key)), 4 if key[0] == primary[0] else 2)
        )
    parts = scored(lambda cell: " / ".join(f"{100 * part:.{digits}f}" for part in cell.scores[primary].parts))
    columns.insert(1, Column("S / D / I %", parts, 5))
    changes = scored(lambda c: as_text(c.scores[primary].change, digits, 100, sign="+") if c.baseline else "")
    if any(cell.baseline for cell in cells):
        columns.append(Column(change_header(summary.metric), changes))
        columns += _p_columns(summary)
    if summary.metric == WORDS:
        columns.append(Column("CER %", scored(lambda c: f"{100 * c.scores[primary].cer:.{digits}f}"), 1))
    return columns


def _p_columns(summary: Summary) -> list[Column]:
    """The p of each change, raw and adjusted; no columns if no comparison has a p."""
    adjusted = holm(summary)
    if not adjusted:
        return []
    primary = summary.keys[0]
    effects = {cell.name: cell.scores[primary].effect for cell in summary.cells if cell.name in adjusted}
    plain = [as_p(effect.p) if (effect := effects.get(c.name)) else _no_p(c) for c in summary.cells]
    holms = [as_p(adjusted[c.name]) if c.name in adjusted else _no_p(c) for c in summary.cells]
    return [Column("p", tuple(plain), 5), Column("p (Holm)", tuple(holms), 6)]


def _no_p(cell: Cell) -> str:
    return UNFINISHED if cell.baseline else ""


def _comparable_steps(cells: Sequence[Cell]) -> list[float | None]:
    """Milliseconds of a step: the dense baseline's time over each cell's speed-up.

    Cells were measured at different moments, so their own milliseconds may drift. Only the ratio does not.
    """
    dense = next((cell.step_ms for cell in cells if cell.step_ms is not None and cell.speedup is None), None)
    if dense is None:
        return [cell.step_ms for cell in cells]
    return [dense / cell.speedup.value if cell.speedup else cell.step_ms for cell in cells]


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _which(summary: Summary, key: Key) -> str:
    """Decoder and condition, each only if there is more than one."""
    decoder = key[0] if len(summary.decoders) > 1 else ""
    condition = key[1] if len(summary.conditions) > 1 else ""
    return "".join(f" {part}" for part in (decoder, condition) if part)


def _status(cell: Cell) -> str:
    if cell.status == "missing":
        return UNFINISHED
    seeds = f", {cell.seeds - cell.finished} of {cell.seeds}" if cell.seeds > 1 else ""
    return f"diverged at step {cell.diverged_at}{seeds}"


def _notes(summary: Summary, shown: set[str], left_out: list[str]) -> list[str]:
    notes = []
    if any(cell.status == "missing" for cell in summary.cells):
        notes.append(f"'{UNFINISHED}': not finished.")
    metric = summary.metric.short
    if summary.metric != WORDS:
        notes.append(f"{metric}: {summary.metric.name}, of characters without blanks, in place of words.")
    notes += summary.remarks
    notes += [*summary.described_samples, *summary.left_out, *summary.choices]
    notes += further_table.notes(summary, shown)
    everything = (summary.metric, *summary.further)
    compared = {change_header(each): f"{each.short} change ({each.points})" for each in everything}
    compared |= {"x fewer": "x fewer (parameters)"}
    if changes := [text for header, text in compared.items() if header in shown]:
        one = sum(not cell.targets for cell in summary.cells) == 1
        which = "the dense row" if one else "the dense model of the same other settings, or else the preset's"
        same = ", on the same utterances" if summary.keys else ""
        notes.append(f"{_listed(changes)}: against {which}{same}.")
    if tests := len(holm(summary)):
        several = f"; Holm: over the {tests} comparisons of this table" if tests > 1 else ""
        notes.append(f"p: two-sided, of no change, by the model of changes (t, Satterthwaite){several}.")
    if summary.devices:
        where = " and ".join(summary.devices)
        several = ""
        if summary.devices[1:]:
            where = ", ".join(f"({number}) {device}" for number, device in enumerate(summary.devices, start=1))
            several = f" Times and speed-ups on {len(summary.devices)} devices do not compare."
        notes.append(
            f"Training step: {where}; speed-up against the preset's dense model, measured in turns with it (ratio of"
            f" medians, bootstrap over pairs); step ms is that model's over the speed-up.{several}"
        )
    if AT_MOST in shown:
        notes.append(
            "At most: the dense model's multiply-adds and bytes in a step over the row's, counted. They bound the"
            " speed-up of a device that only computes, and of one that only moves data."
        )
    if "S / D / I %" in shown:
        noun = summary.metric.noun
        notes.append(f"S / D / I: {noun}s substituted, deleted and inserted, of those that were said.")
    notes.append("MACs: multiply-adds per second of audio." if "MACs G/s" not in left_out else "")
    if left_out:
        notes.append(f"Also in table.csv: {', '.join(left_out)}.")
    return [note for note in notes if note]


def _listed(texts: Sequence[str]) -> str:
    """For example ``a, b and c``."""
    *others, last = texts
    return f"{', '.join(others)} and {last}" if others else last


def _width(columns: Sequence[Column], separator: int) -> int:
    widths = [max(map(len, (column.header, *column.texts))) for column in columns]
    return sum(widths) + separator * (len(columns) + 1)
