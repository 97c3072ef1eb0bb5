"""Writes verdicts: a table, and a sentence for each claim (Markdown, LaTeX, HTML); and all as CSV and JSON."""

import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import pandas as pd

from lrsms.base.csvfile import write_csv
from lrsms.base.files import write_atomically, write_json
from lrsms.record.metric import Metric
from lrsms.record.metrics import WORDS
from lrsms.report import loss_changes
from lrsms.report.claims import OF_RUNS, Rule
from lrsms.report.finding import Finding
from lrsms.report.outcomes import Outcome, Sensitivity
from lrsms.report.readable import Column, Readable, known_p, latex, markdown
from lrsms.report.samples import number, weigh_as
from lrsms.statistics.convergence import most_likely_failures
from lrsms.statistics.looks import as_percent
from lrsms.statistics.stats import Interval

NAME = "claims"
"""Name of the files, without ending."""


def write(outcomes: Sequence[Outcome], folder: Path, question: str = "") -> None:
    """Writes ``claims.json``, ``.csv``, ``.md``, ``.tex`` and ``.html`` of one study.

    Args:
        outcomes: see ``outcomes.verdicts``.
        folder: folder for the files, with the study's tables.
        question: question of the study; it is the heading.
    """
    table, others = readable(outcomes), sensitivity(outcomes)
    frame = complete(outcomes)
    rows = json.loads(frame.to_json(orient="records"))
    write_json(folder / f"{NAME}.json", {"study": folder.name, "question": question, "claims": rows})
    write_csv(folder / f"{NAME}.csv", frame)
    heading = f"# {question}\n\n" if question else ""
    below = f"\n## {_SENSITIVITY}\n\n{markdown(others)}" if others.columns[0].texts else ""
    write_atomically(folder / f"{NAME}.md", (heading + markdown(table) + below).encode())
    write_atomically(folder / f"{NAME}.html", page(table, question or folder.name, others).encode())
    write_atomically(folder / f"{NAME}.tex", latex(table, f"{folder.name}-{NAME}").encode())


def complete(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """All that is known: a row per claim and rule, then a row per other endpoint; error rates in points."""
    rows: list[dict[str, Any]] = []
    losses = loss_changes.metrics_of(outcomes)
    for outcome in outcomes:
        kinds = [("verdict", outcome.findings), ("between looks", outcome.between)]
        rows += [_row(outcome, finding, kind, losses) for kind, findings in kinds for finding in findings]
        for finding in outcome.findings:
            rows += [_row(outcome, one, "family", losses, name) for name, one in finding.members.items()]
        for one in outcome.sensitivity:
            endpoint = {"decoder": one.endpoint.decoder, "condition": " + ".join(one.endpoint.conditions)}
            rows += [_row(outcome, finding, "sensitivity", losses) | endpoint for finding in one.findings]
    return pd.DataFrame(rows)


def _row(outcome: Outcome, finding: Finding, kind: str, losses: Sequence[Metric], member: str = "") -> dict[str, Any]:
    """A row of this table; only rows of the kind ``verdict`` have a verdict."""
    claim, judged = outcome.claim, kind == "verdict"
    row: dict[str, Any] = {"claim": outcome.id, "kind": kind, "verdict": outcome.verdict if judged else ""}
    row |= {"finding": claim.finding, "digest": claim.digest}
    row |= asdict(outcome.place)
    row |= {"compared": outcome.compared, "member": member, "decoder": outcome.decoder}
    row |= {"condition": outcome.condition, "rule": finding.rule, "rule_verdict": finding.verdict if judged else ""}
    row |= {"because": finding.because if judged else "", "metric": finding.metric, "value": finding.value}
    row |= {"low": finding.interval.low, "high": finding.interval.high, "level": finding.level}
    row |= {"margin": claim.margin if finding.excess is not None else math.nan}
    row |= {"excess": finding.excess, "excess_low": finding.excess_interval.low}
    row |= {"excess_high": finding.excess_interval.high, "df": finding.df, "p": finding.p}
    row |= {"p_holm": outcome.p_holm if judged and not math.isnan(finding.p) else math.nan}
    row |= {"look": outcome.look.number if outcome.look else math.nan, "looks": len(claim.looks)}
    row |= {"seeds": finding.seeds, "units": finding.units, "unit": finding.unit if finding.units else ""}
    row |= {"effective_units": finding.effective_units, "words": finding.words}
    failures = finding.failures
    counts = ("failed_baseline", "runs_baseline", "failed", "runs")
    row |= dict.fromkeys(counts, math.nan) if failures is None else dict(zip(counts, astuple(failures), strict=True))
    row |= {"p_failures": math.nan if failures is None else failures.p, "training": outcome.training}
    row |= loss_changes.numbers(finding, losses)
    row |= {"steptime_device": finding.device} if finding.device else {}
    return row | {"needs": outcome.needs if judged else ""}


def readable(outcomes: Sequence[Outcome]) -> Readable:
    """A row per claim; below the table, a sentence for each, and how verdicts are made."""
    columns = [
        Column("claim", tuple(outcome.id for outcome in outcomes), numeric=False),
        Column("verdict", tuple(outcome.verdict for outcome in outcomes), numeric=False),
        Column("look", tuple(look(outcome) or "-" for outcome in outcomes), numeric=False),
        Column("effect", tuple(effects(outcome) or "-" for outcome in outcomes), numeric=False),
        Column("beyond margin", tuple(excess(outcome) for outcome in outcomes)),
        *loss_column(outcomes),
        Column("converged", tuple(converged(outcome) or "-" for outcome in outcomes), numeric=False),
        Column("p", tuple(_p(outcome.p) for outcome in outcomes)),
        Column("p (Holm)", tuple(_p(outcome.p_holm) for outcome in outcomes)),
        Column("n", tuple(sample(outcome) or "-" for outcome in outcomes), numeric=False),
    ]
    if not any(columns[4].texts):
        del columns[4]
    return Readable(tuple(columns), (*map(sentence, outcomes), *_notes(outcomes)))


def loss_column(outcomes: Sequence[Outcome]) -> list[Column]:
    """The change of the test loss of each verdict; no column where no record has losses."""
    texts = tuple(loss_changes.text(outcome.findings) for outcome in outcomes)
    return [Column(loss_changes.HEADER, tuple(text or "-" for text in texts), numeric=False)] if any(texts) else []


def sensitivity(outcomes: Sequence[Outcome]) -> Readable:
    """A row per claim and endpoint that is not its own, with the same numbers but no verdict."""
    rows = [(outcome, one) for outcome in outcomes for one in outcome.sensitivity]
    columns = (
        Column("claim", tuple(outcome.id for outcome, _ in rows), numeric=False),
        Column("endpoint", tuple(str(one.endpoint) for _, one in rows), numeric=False),
        Column("effect", tuple(_shown(outcome, one) or "-" for outcome, one in rows), numeric=False),
        Column("beyond margin", tuple(_excess(one.findings) or "-" for _, one in rows), numeric=False),
    )
    note = "At the seeds and the level of the claim's look. A claim has one endpoint; these decide nothing."
    return Readable(columns, (note,))


def _shown(outcome: Outcome, one: Sensitivity) -> str:
    return "; ".join(text for finding in one.findings if (text := _effect(finding, outcome.metric, short=True)))


def sentence(outcome: Outcome) -> str:
    """The verdict on a claim with all reasons, and what would decide it."""
    words = [f"{outcome.id} {outcome.verdict}: {outcome.claim.finding.rstrip('.')}."]
    if outcome.compared:
        words.append(f"{outcome.compared}{_tested(outcome)}.")
    if text := look(outcome, words=True):
        words.append(f"{text}.")
    for finding in outcome.findings:
        if finding.verdict == "not run":
            continue
        part = f" {finding.verdict}" if outcome.findings[1:] else ""
        said = "; ".join(text for text in (_effect(finding, outcome.metric), finding.because) if text)
        test = f" (one-sided p {_p(finding.p)}, Holm {_p(outcome.p_holm)})" if not math.isnan(finding.p) else ""
        words.append(f"{_RULE[finding.rule]}{part}: {said}{test}.")
        members = [f"{name} {_effect(one, outcome.metric, short=True)}" for name, one in finding.members.items()]
        words += [f"Within the family: {'; '.join(members)}."] if members else []
    if text := loss_changes.sentence(outcome.findings):
        words.append(text)
    if outcome.between:
        numbers = "; ".join(text for one in outcome.between if (text := _effect(one, outcome.metric)))
        words.append(f"Between looks, with {outcome.seeds} seeds (no verdict): {numbers}.")
    if text := converged(outcome, words=True):
        words.append(f"{text}.")
    if n := sample(outcome, words=True):
        words.append(f"n: {n}.")
    return " ".join(text for text in (*words, outcome.training, outcome.needs) if text)


def reason(outcome: Outcome) -> str:
    """The reasons of the verdict, how far models were trained, and what would decide it, without the effects."""
    found = "; ".join(finding.because for finding in outcome.findings if finding.because)
    runs = converged(outcome, words=True)
    return " ".join(text for text in (f"{found}.", f"{runs}." if runs else "", outcome.training, outcome.needs) if text)


def look(outcome: Outcome, words: bool = False) -> str:
    """The look of the verdict and its level; empty if no runs are compared, or no look was reached."""
    of_runs = any(rule in OF_RUNS for rule in outcome.claim.all_rules)
    if outcome.look is None or not of_runs:
        return ""
    one, level = outcome.look, as_percent(outcome.look.level)
    if words:
        return f"Look {one.number} of {one.of}, at {number(one.seeds, 'seed')}: intervals of {level}"
    return f"{one.number} of {one.of} ({level})"


def converged(outcome: Outcome, words: bool = False) -> str:
    """How many runs converged, in the group and in its baseline; empty if no runs are compared."""
    found = [finding.failures for finding in outcome.findings if finding.failures is not None]
    texts = []
    for one in dict.fromkeys(found):
        counts = f"{one.runs_b - one.failed_b}/{one.runs_b}", f"{one.runs_a - one.failed_a}/{one.runs_a}"
        if not words:
            texts.append(" against ".join(counts))
        elif one.failed_a or one.failed_b:
            texts.append(f"Converged: {counts[0]} runs, against {counts[1]} (Fisher's exact p {_p(one.p)})")
        else:
            bound = 100 * most_likely_failures(one.runs_b)
            texts.append(f"Converged: {counts[0]} runs, against {counts[1]} (up to {bound:.0f}% might not, at 95%)")
    return "; ".join(texts)


def effects(outcome: Outcome) -> str:
    """The findings in short, of each rule that found something."""
    return "; ".join(text for finding in outcome.findings if (text := _effect(finding, outcome.metric, short=True)))


def excess(outcome: Outcome) -> str:
    """The error rate minus the margin, in points, with its interval."""
    return _excess(outcome.findings)


def _excess(findings: Sequence[Finding]) -> str:
    return "; ".join(with_interval(f.excess, f.excess_interval) for f in findings if f.excess is not None)


def sample(outcome: Outcome, words: bool = False) -> str:
    """The numbers of seeds and units, and of words if asked; empty if no rates are compared."""
    finding = next((finding for finding in outcome.findings if finding.units), None)
    if finding is None:
        return ""
    units = number(finding.units, finding.unit) + weigh_as(finding.units, finding.effective_units)
    parts = [number(finding.seeds, "seed"), units]
    return ", ".join([*parts, number(finding.words, outcome.metric.noun)] if words else parts)


def page(table: Readable, title: str, others: Readable | None = None) -> str:
    """A page of its own, for the report."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    body = f"<h1>{html.escape(title)}</h1>\n{_html(table)}"
    if others is not None and others.columns[0].texts:
        body += f"\n<h2>{html.escape(_SENSITIVITY)}</h2>\n{_html(others)}"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _html(table: Readable) -> str:
    notes = "\n".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    return f"{table.frame().to_html(index=False, border=0)}\n<ul>\n{notes}\n</ul>"


_SENSITIVITY = "Sensitivity: the same comparisons on other endpoints"
_STYLE = "body{font:15px sans-serif;margin:2em}td,th{padding:.3em .8em;text-align:left}li{margin:.4em 0}"
_RULE: dict[Rule, str] = {
    "parity": "Parity",
    "degradation": "Degradation",
    "improvement": "Improvement",
    "trend": "Trend",
    "onset": "Onset",
    "sooner": "Sooner",
    "fewer_parameters": "Fewer parameters",
    "faster": "Faster",
}


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    rates = [finding for outcome in outcomes for finding in outcome.findings if finding.units]
    metric = outcomes[0].metric if outcomes else WORDS
    tests = sum(not math.isnan(outcome.p_holm) for outcome in outcomes)
    notes = []
    if rates:
        units = " and ".join(dict.fromkeys(f"{finding.unit}s" for finding in rates))
        if metric != WORDS:
            notes.append(f"{metric.short}: {metric.name}, of characters without blanks, in place of words.")
        notes.append(
            f"{metric.short} changes in points with intervals of a crossed random-effects model of seeds and {units}"
            " (t; Satterthwaite's degrees of freedom, below 6 seeds at most seeds - 1): what other seeds and other"
            " units would give. Error rates are compared on the seeds with which every compared run converged: a run"
            f" that diverged did not, nor one that ended above 50% {metric.short} on validation and above three times"
            " the median of all."
        )
        if any(finding.unit == "utterance" for finding in rates):
            notes.append("There is one speaker, or speakers are unknown: utterances are the units, as if independent.")
        notes.append(
            "A verdict rests on its own interval, at the level of its look, and on what was stated beforehand:"
            " endpoint, margin, looks. The looks of a claim share an error of 2.5%, one-sided; p is one-sided, of what"
            f" the claim denies, at this look. Holm: over the {number(tests, 'claim')} of this table with a p, and over"
            " the looks of each."
        )
    if any(finding.excess is not None for finding in rates):
        margins = sorted({outcome.claim.margin for outcome in outcomes if outcome.sensitivity})
        stated = " or ".join(f"{100 * margin:g}%" for margin in margins)
        notes.append(
            f"Beyond margin: {metric.short} minus {stated} (or a few points, where those are more) more than the"
            f" baseline's {metric.short} (Fieller); wholly below zero is parity. Of improvement: what is short of a"
            " gain of the margin; wholly above zero excludes it."
        )
    if loss_column(outcomes):
        notes.append(loss_changes.NOTE)
    if any(finding.rule == "faster" for outcome in outcomes for finding in outcome.findings):
        notes.append("Step times: ratio of medians of steps measured in turns, bootstrap over pairs of steps (95%).")
    return notes


def _effect(finding: Finding, metric: Metric, short: bool = False) -> str:
    if math.isnan(finding.value):
        return ""
    if finding.rule == "fewer_parameters":
        return f"{finding.value:.2f}x fewer{'' if short else ' parameters'}"
    if finding.rule == "faster":
        times = f"{with_interval(finding.value, finding.interval, sign='')} times as fast"
        return f"{'' if short else 'step '}{times}{f' on {finding.device}' if finding.device else ''}"
    if finding.rule == "sooner":
        return f"{with_interval(finding.value, finding.interval, sign='')} times as soon"
    text = f"{metric.short} {with_interval(finding.value, finding.interval)}"
    if finding.rule == "trend":
        text += finding.metric.partition("(points)")[2]
    if short:
        return text
    text += " points" if finding.rule != "trend" else ", in points"
    if finding.excess is not None:
        text += f", beyond the margin {with_interval(finding.excess, finding.excess_interval)}"
    return text


def with_interval(value: float, interval: Interval, sign: str = "+") -> str:
    """A number with its sign and its interval, where it has one."""
    if math.isnan(interval.low):
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _tested(outcome: Outcome) -> str:
    return f" ({outcome.decoder} decoding, {outcome.condition})" if outcome.decoder else ""


def _p(value: float) -> str:
    return known_p(value) or "-"
