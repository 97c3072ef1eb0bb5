"""Verdicts as people read them, a table and a sentence for each claim (Markdown, LaTeX, HTML); all as CSV and JSON."""

import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from lrsms.base.csvfile import write_csv
from lrsms.base.files import write_atomically, write_json
from lrsms.record.metric import Metric
from lrsms.record.metrics import WORDS
from lrsms.report.claims import Rule
from lrsms.report.outcomes import Outcome
from lrsms.report.readable import Column, Readable, as_p, latex, markdown
from lrsms.report.samples import number, weigh_as
from lrsms.report.verdicts import Finding
from lrsms.statistics import stats
from lrsms.statistics.effects import MIN_SEEDS
from lrsms.statistics.stats import Interval

NAME = "claims"
"""Of the files, without ending."""


def write(outcomes: Sequence[Outcome], folder: Path, question: str = "") -> None:
    """Writes ``claims.json``, ``.csv``, ``.md``, ``.tex`` and ``.html`` of one study.

    Args:
        outcomes: see ``outcomes.verdicts``.
        folder: where they go, beside the study's tables.
        question: of the study; the heading.
    """
    table = readable(outcomes)
    frame = complete(outcomes)
    rows = json.loads(frame.to_json(orient="records"))
    write_json(folder / f"{NAME}.json", {"study": folder.name, "question": question, "claims": rows})
    write_csv(folder / f"{NAME}.csv", frame)
    heading = f"# {question}\n\n" if question else ""
    write_atomically(folder / f"{NAME}.md", (heading + markdown(table)).encode())
    write_atomically(folder / f"{NAME}.html", page(table, question or folder.name).encode())
    write_atomically(folder / f"{NAME}.tex", latex(table, f"{folder.name}-{NAME}").encode())


def complete(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Everything that is known: a row per claim and rule; error rates in points."""
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        claim = outcome.claim
        for finding in outcome.findings:
            row: dict[str, Any] = {"claim": outcome.id, "verdict": outcome.verdict, "finding": claim.finding}
            row |= asdict(outcome.place)
            row |= {"compared": outcome.compared, "decoder": outcome.decoder}
            row |= {"condition": outcome.condition, "rule": finding.rule, "rule_verdict": finding.verdict}
            row |= {"because": finding.because, "metric": finding.metric, "value": finding.value}
            row |= {"low": finding.interval.low, "high": finding.interval.high, "margin": claim.margin}
            row |= {"excess": finding.excess, "excess_low": finding.excess_interval.low}
            row |= {"excess_high": finding.excess_interval.high, "df": finding.df, "p": finding.p}
            row |= {"p_holm": outcome.p_holm if not math.isnan(finding.p) else math.nan}
            row |= {"seeds": finding.seeds, "units": finding.units, "unit": finding.unit if finding.units else ""}
            row |= {"effective_units": finding.effective_units}
            row |= {"words": finding.words, "training": outcome.training}
            row |= {"steptime_device": finding.device} if finding.device else {}
            rows.append(row | {"needs": outcome.needs})
    return pd.DataFrame(rows)


def readable(outcomes: Sequence[Outcome]) -> Readable:
    """A row per claim; below it a sentence for each, and how verdicts are made."""
    columns = [
        Column("claim", tuple(outcome.id for outcome in outcomes), numeric=False),
        Column("verdict", tuple(outcome.verdict for outcome in outcomes), numeric=False),
        Column("effect [95%]", tuple(effects(outcome) or "-" for outcome in outcomes), numeric=False),
        Column("beyond margin [95%]", tuple(excess(outcome) for outcome in outcomes)),
        Column("p", tuple(_p(_largest_p(outcome)) for outcome in outcomes)),
        Column("p (Holm)", tuple(_p(outcome.p_holm) for outcome in outcomes)),
        Column("n", tuple(sample(outcome) or "-" for outcome in outcomes), numeric=False),
    ]
    if not any(columns[3].texts):
        del columns[3]
    return Readable(tuple(columns), (*map(sentence, outcomes), *_notes(outcomes)))


def sentence(outcome: Outcome) -> str:
    """The verdict on a claim with all that it rests on, and what would decide it."""
    words = [f"{outcome.id} {outcome.verdict}: {outcome.claim.finding.rstrip('.')}."]
    if outcome.compared:
        words.append(f"{outcome.compared}{_tested(outcome)}.")
    for finding in outcome.findings:
        if finding.verdict == "not run":
            continue
        part = f" {finding.verdict}" if outcome.findings[1:] else ""
        said = "; ".join(text for text in (_effect(finding, outcome.metric), finding.because) if text)
        test = f" (one-sided p {_p(finding.p)}, Holm {_p(outcome.p_holm)})" if not math.isnan(finding.p) else ""
        words.append(f"{_RULE[finding.rule]}{part}: {said}{test}.")
    if n := sample(outcome, words=True):
        words.append(f"n: {n}.")
    return " ".join(text for text in (*words, outcome.training, outcome.needs) if text)


def reason(outcome: Outcome) -> str:
    """What the verdict rests on, how far models were trained, and what would decide it, without the effects."""
    found = "; ".join(finding.because for finding in outcome.findings if finding.because)
    return " ".join(text for text in (f"{found}.", outcome.training, outcome.needs) if text)


def effects(outcome: Outcome) -> str:
    """What was found, in short, by each rule that found anything."""
    return "; ".join(text for finding in outcome.findings if (text := _effect(finding, outcome.metric, short=True)))


def excess(outcome: Outcome) -> str:
    """By how many points the error rate exceeds the margin, with its interval."""
    texts = [_with_interval(f.excess, f.excess_interval) for f in outcome.findings if f.excess is not None]
    return "; ".join(texts)


def sample(outcome: Outcome, words: bool = False) -> str:
    """How many seeds and units, and words if asked; empty where no rates are compared."""
    finding = next((finding for finding in outcome.findings if finding.seeds), None)
    if finding is None:
        return ""
    units = number(finding.units, finding.unit) + weigh_as(finding.units, finding.effective_units)
    parts = [number(finding.seeds, "seed"), units]
    return ", ".join([*parts, number(finding.words, outcome.metric.noun)] if words else parts)


def page(table: Readable, title: str) -> str:
    """A page of its own, which the report shows first."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    notes = "\n".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    rows = table.frame().to_html(index=False, border=0)
    body = f"<h1>{html.escape(title)}</h1>\n{rows}\n<ul>\n{notes}\n</ul>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


_STYLE = "body{font:15px sans-serif;margin:2em}td,th{padding:.3em .8em;text-align:left}li{margin:.4em 0}"
_RULE: dict[Rule, str] = {
    "parity": "Parity",
    "degradation": "Degradation",
    "improvement": "Improvement",
    "fewer_parameters": "Fewer parameters",
    "faster": "Faster",
}


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    rates = [finding for outcome in outcomes for finding in outcome.findings if finding.seeds]
    metric = outcomes[0].metric if outcomes else WORDS
    level = f"{100 * stats.LEVEL:g}%"
    tests = sum(not math.isnan(outcome.p_holm) for outcome in outcomes)
    notes = []
    if rates:
        units = " and ".join(dict.fromkeys(f"{finding.unit}s" for finding in rates))
        if metric != WORDS:
            notes.append(f"{metric.short}: {metric.name}, of characters without blanks, in place of words.")
        notes.append(
            f"{metric.short} changes in points with {level} intervals of a crossed random-effects model of seeds and"
            f" {units} (t, Satterthwaite's degrees of freedom): what other seeds and other units would give."
        )
        if any(finding.unit == "utterance" for finding in rates):
            notes.append("There is one speaker, or speakers are unknown: utterances are the units, as if independent.")
        notes.append(
            "A verdict rests on its own interval and on the margin stated beforehand; p is one-sided, of what the claim"
            f" denies (its level is 2.5%). Holm: over the {number(tests, 'claim')} of this table with a p."
            f" Fewer than {MIN_SEEDS} seeds decide nothing."
        )
    margins = {outcome.claim.margin for outcome in outcomes if outcome.claim.margin is not None}
    if margins and rates:
        stated = " or ".join(f"{100 * margin:g}%" for margin in sorted(margins))
        notes.append(
            f"Beyond margin: {metric.short} minus {stated} more than the baseline's {metric.short} (Fieller); wholly"
            " below zero is parity, and an improvement is parity too."
        )
    if any(finding.rule == "faster" for outcome in outcomes for finding in outcome.findings):
        notes.append("Step times: ratio of medians of steps measured in turns, bootstrap over pairs of steps.")
    return notes


def _effect(finding: Finding, metric: Metric, short: bool = False) -> str:
    if math.isnan(finding.value):
        return ""
    if finding.rule == "fewer_parameters":
        return f"{finding.value:.2f}x fewer{'' if short else ' parameters'}"
    if finding.rule == "faster":
        times = f"{_with_interval(finding.value, finding.interval, sign='')} times as fast"
        return f"{'' if short else 'step '}{times}{f' on {finding.device}' if finding.device else ''}"
    text = f"{metric.short} {_with_interval(finding.value, finding.interval)}"
    if short:
        return text
    text += " points"
    if finding.excess is not None:
        text += f", beyond the margin {_with_interval(finding.excess, finding.excess_interval)}"
    return text


def _with_interval(value: float, interval: Interval, sign: str = "+") -> str:
    if math.isnan(interval.low):
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _tested(outcome: Outcome) -> str:
    return f" ({outcome.decoder} decoding, {outcome.condition})" if outcome.decoder else ""


def _largest_p(outcome: Outcome) -> float:
    return max((finding.p for finding in outcome.findings if not math.isnan(finding.p)), default=math.nan)


def _p(value: float) -> str:
    return "-" if math.isnan(value) else as_p(value)
