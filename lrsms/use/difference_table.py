"""How the difference of two runs is printed: A on the left, B on the right, the largest differences first."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from lrsms.base.terminal import open_console
from lrsms.record.metrics import metric_of
from lrsms.use.difference import Errors, Key, Side, configuration

_ROWS = 8
"""Largest number of rows of each table."""


def show(a: Side, b: Side, found: Mapping[Key, Errors], detailed: Key | None) -> None:
    """Prints everything.

    Args:
        a: one side.
        b: the other.
        found: see ``difference.errors``.
        detailed: the decoder and condition whose utterances, speakers and words are printed; None: none.
    """
    console = open_console()
    console.print(f"A  {a.name}\nB  {b.name}\n")
    _table(console, "Configuration", ("field", "A", "B"), _fields(a, b), "the same")
    _table(console, "Plan and training", ("", "A", "B"), _training(a, b), "the same")
    metric = metric_of(a.run.corpus.unit)
    _table(console, f"Curve: {metric.short} on validation", ("step", "A", "B"), _curve(a, b), "no curve is kept")
    heads: Sequence[str] = (
        "decoder",
        "condition",
        "A",
        "B",
        "B - A [95%]",
        "only A right",
        "only B right",
        "MAPSSWE p",
    )
    rates = [_rates(key, errors) for key, errors in found.items()]
    _table(
        console, f"{metric.short}, and utterances without an error", heads, rates, "no score table is common to both"
    )
    if detailed is not None:
        errors = found[detailed]
        where = f"{detailed[0]}, {detailed[1]}"
        rows = _speakers(errors.by_speaker())
        _table(console, f"By speaker ({where})", ("speaker", metric.plural, "A", "B"), rows, "speakers are unknown")
        of = f"{len(errors.said)} of {len(errors.table)} utterances, whose {metric.plural} are known"
        words = _words(errors, a)
        _table(console, f"By {metric.noun} ({where}; of {of})", ("", "said", "wrong in A", "wrong in B"), words, "none")
        for title, part in zip(("Only A has right", "Only B has right"), errors.flipped(), strict=True):
            heads = "utterance", "speaker", "errors of the other", "reference", "the other's"
            name = f"{title} ({where}): {len(part)} utterances"
            _table(console, name, heads, _utterances(part, errors), "none")


def _table(console: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    if not rows:
        console.print(f"{title}: {nothing}\n")
        return
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def _fields(a: Side, b: Side) -> list[tuple[str, str, str]]:
    return [(field, one or "-", two or "-") for field, (one, two) in configuration(a.run, b.run).items()]


def _training(a: Side, b: Side) -> list[tuple[str, ...]]:
    """Counts and notes of both runs that differ."""
    named = {"parameters": "parameters", "factorised": "parameters in factorised kinds"}
    rows: list[tuple[str, ...]] = [
        (text, *(f"{int(side.plan[key]):,}" for side in (a, b))) for key, text in named.items() if key in a.plan
    ]
    told = {"status": "training", "steps": "steps", "macs_per_second": "multiply-adds a second"}
    told |= {"peak_memory_mb": "peak memory (MB)", "device": "device"}
    rows += [(text, *(_plain(side.outcome.get(key)) for side in (a, b))) for key, text in told.items()]
    return [row for row in rows if row[1] != row[2]]


def _plain(value: object) -> str:
    return "-" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)


def _curve(a: Side, b: Side) -> list[tuple[str, str, str]]:
    """At steps that both were validated at, evenly over training, the last one among them."""
    if a.curve is None or b.curve is None:
        return []
    one, two = (side.curve.set_index("step")["valid_wer"].dropna() for side in (a, b) if side.curve is not None)
    steps = sorted(set(one.index) & set(two.index))
    chosen = [steps[round(place)] for place in np.linspace(0, len(steps) - 1, min(_ROWS, len(steps)))] if steps else []
    return [(f"{step:,}", _percent(one[step]), _percent(two[step])) for step in chosen]


def _rates(key: Key, errors: Errors) -> tuple[str, ...]:
    (one, two), interval, test = errors.rates, errors.interval, errors.test
    known = "" if math.isnan(interval.low) else f" [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"
    only_a, only_b = errors.flipped()
    p = "-" if test is None else f"{test.p:.2g} ({test.segments} segments)"
    change = f"{100 * (two - one):+.2f}{known}"
    return *key, _percent(one), _percent(two), change, str(len(only_a)), str(len(only_b)), p


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f}%"


def _speakers(table: pd.DataFrame) -> list[tuple[str, ...]]:
    if list(table.index) == [""]:
        return []
    rows = table.head(_ROWS).itertuples()
    return [
        (str(row.Index), f"{row.words:,}", _percent(row.a / row.words), _percent(row.b / row.words)) for row in rows
    ]


def _words(errors: Errors, side: Side) -> list[tuple[str, ...]]:
    table = errors.by_word(side.run)
    rows = table[table["a"] != table["b"]].head(_ROWS).itertuples()
    return [(str(row.Index), str(row.times), str(row.a), str(row.b)) for row in rows]


def _utterances(part: pd.DataFrame, errors: Errors) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, row in part.head(_ROWS).iterrows():
        reference, *found = errors.said.get(str(name), ("", None, None))
        worse = 1 if row["b"] else 0
        rows.append((str(name), str(row["speaker"]), str(max(row["a"], row["b"])), reference, found[worse] or ""))
    return rows
