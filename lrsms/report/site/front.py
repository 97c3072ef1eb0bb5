"""What the front page says: the answer in sentences and in one table, all effects in one picture, and every claim."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lrsms.report import loss_changes
from lrsms.report.cells import Cell
from lrsms.report.claims import OF_RATES, Claim
from lrsms.report.estimate_text import as_text
from lrsms.report.finding import Finding, Verdict
from lrsms.report.findings import measured_once, place
from lrsms.report.outcomes import Outcome
from lrsms.report.pages.markup import Table
from lrsms.report.readable import known_p
from lrsms.report.samples import number
from lrsms.report.site.content import Study
from lrsms.report.site.intervals import Scale, axis, picture
from lrsms.report.site.render import badge, kind, link
from lrsms.report.verdict_table import converged, effects, excess, loss_column, sample, with_interval
from lrsms.statistics.looks import as_percent

ORDER: tuple[Verdict, ...] = ("supported", "contradicted", "undecided", "not run")
"""Of verdicts, wherever they are counted."""
NOTHING = "-"
_ANSWERS = {
    "supported": "Yes, wherever it was tested.",
    "contradicted": "No, wherever it was tested.",
    "undecided": "It is not decided yet.",
    "not run": "It is not tested yet.",
}
_SO_FAR = {"supported": "Yes, wherever it is decided so far.", "contradicted": "No, wherever it is decided so far."}
_MIXED = "It depends on where it was tested."


@dataclass(frozen=True)
class Tested:
    """A claim and what was found of it.

    Attributes:
        name: of the claim.
        claim: as it was stated.
        tests: outcomes by place; those that are one measurement are together. None where it was not run.
    """

    name: str
    claim: Claim
    tests: Sequence[Sequence[Outcome]]


@dataclass(frozen=True)
class Row:
    """A row of the picture of effects: what it is of, the picture, and the same as text."""

    name: Markup
    place: str
    verdict: Markup
    picture: Markup
    text: str


def tested(claims: Mapping[str, Claim], outcomes: Sequence[Outcome]) -> list[Tested]:
    """Every claim in the order of its file."""
    known = [outcome for outcome in outcomes if outcome.verdict != "not run"]
    return [
        Tested(name, claim, measured_once([outcome for outcome in known if outcome.id == name]))
        for name, claim in claims.items()
    ]


def tally(claims: Sequence[Tested]) -> dict[Verdict, int]:
    """How many tests came out how; a claim that was not run counts once."""
    counts = Counter(test[0].verdict for one in claims for test in one.tests)
    counts["not run"] = sum(not one.tests for one in claims)
    return {verdict: counts[verdict] for verdict in ORDER}


def address(name: str) -> str:
    """Where a claim is, under the root of the site."""
    return f"findings.html#{name}"


def claims_table(claims: Sequence[Tested]) -> Table:
    """A row for each claim that was tested, with its verdicts and where they were found."""
    rows = []
    for one in claims:
        by_verdict: dict[str, list[str]] = {}
        for test in one.tests:
            by_verdict.setdefault(test[0].verdict, []).append(place(*test))
        if by_verdict:
            verdicts = Markup("<br>").join(map(badge, by_verdict))
            places = Markup("<br>").join("; ".join(found) for found in by_verdict.values())
            rows.append((link(address(one.name), one.name), one.claim.finding.rstrip("."), verdicts, places))
    return Table(("claim", "finding", "verdict", "tested on"), rows)


def tests_table(claims: Sequence[Tested]) -> Table:
    """A row for each test, in the order of claims; those that were not run are left out."""
    rows = []
    with_losses = bool(loss_column([test[0] for one in claims for test in one.tests]))
    for one in claims:
        for test in one.tests:
            outcome = test[0]
            p = known_p(outcome.p_holm)
            losses = [loss_changes.text(outcome.findings)] if with_losses else []
            found = (effects(outcome), excess(outcome), *losses, converged(outcome), p, sample(outcome))
            where = (link(f"#{one.name}", one.name), place(*test), badge(outcome.verdict))
            rows.append((*where, *(text or NOTHING for text in found)))
    heads = [loss_changes.HEADER] if with_losses else []
    headers = ("claim", "tested on", "verdict", "effect", "beyond margin", *heads, "converged", "p (Holm)", "n")
    return Table(headers, rows, frozenset({headers.index("p (Holm)")}))


def effects_picture(claims: Sequence[Tested]) -> tuple[list[Row], Markup]:
    """Changes of error rates with their intervals, a row for each test that compares any, and the axis below them."""
    shown = [
        (one, test, finding)
        for one in claims
        for test in one.tests
        if (finding := _of_rates(test[0])) is not None and math.isfinite(finding.value)
    ]
    scale = Scale.of([(finding.value, finding.interval) for *_, finding in shown])
    rows = []
    for one, test, finding in shown:
        outcome, where = test[0], place(*test)
        text = _change(finding)
        label = f"{one.name}, {where}: {outcome.metric.short} {text}"
        drawn = picture(scale, finding.value, finding.interval, kind(outcome.verdict), label)
        rows.append(Row(link(address(one.name), one.name), where, badge(outcome.verdict), drawn, text))
    return rows, axis(scale)


def levels(claims: Sequence[Tested]) -> str:
    """The levels of the intervals of the picture, for example ``99.6%``."""
    found = [_of_rates(test[0]) for one in claims for test in one.tests]
    known = sorted({finding.level for finding in found if finding is not None and math.isfinite(finding.value)})
    return " or ".join(dict.fromkeys(map(as_percent, known)))


def verdict_in_words(claims: Sequence[Tested]) -> str:
    """The answer to the question in one line."""
    verdicts = {test[0].verdict for one in headline(claims)[:1] for test in one.tests}
    if len(verdicts) <= 1:
        return _ANSWERS[verdicts.pop() if verdicts else "not run"]
    decided = verdicts - {"undecided"}
    return _SO_FAR[decided.pop()] if len(decided) == 1 else _MIXED


def answer(claims: Sequence[Tested]) -> list[str]:
    """What is known of the question, in sentences; every number is one of the tests'."""
    sentences = []
    for one in headline(claims):
        verdicts = Counter(test[0].verdict for test in one.tests)
        tests = number(len(one.tests), "test")
        where = ", ".join(f"{verdict} in {count} of {tests}" for verdict, count in verdicts.items())
        sentences.append(f"{one.claim.finding.rstrip('.')}: {where}.")
    studies = {one.claim.study for one in headline(claims)}
    alike = [one for one in claims if not studies or one.claim.study in studies]
    if fewer := _values(alike, "fewer_parameters"):
        sentences.append(f"Counted: {_span(fewer)} times fewer parameters.")
    if speeds := _values(claims, "faster"):  # other studies time the same network in other settings
        sentences.append(f"Measured: a training step is {_span(speeds)} times as fast.")
    return sentences


def tally_in_words(counts: Mapping[Verdict, int]) -> str:
    """How many tests there were and how they came out."""
    *first, last = (
        f"{counts[verdict] or 'none'} {'is' if counts[verdict] < 2 else 'are'} {verdict}" for verdict in ORDER[:3]
    )
    tests = number(sum(counts[verdict] for verdict in ORDER[:3]), "test")
    return f"Of {tests}, {', '.join(first)} and {last}. Not run yet: {number(counts['not run'], 'claim')}."


def headline(claims: Sequence[Tested]) -> list[Tested]:
    """The claims that ask what this project asks: no loss, at fewer parameters."""
    wanted = {"parity", "fewer_parameters"}
    return [one for one in claims if one.tests and wanted <= set(one.claim.all_rules)]


def answer_table(claims: Sequence[Tested], studies: Sequence[Study]) -> Table:
    """What low rank costs and saves, a row for each place where the headline claim was tested."""
    by_name = {study.name: study for study in studies}
    outcomes = [outcome for one in headline(claims) for test in one.tests for outcome in test]
    rows = []
    for outcome in outcomes:
        study = by_name[outcome.place.folder]
        found = {finding.rule: finding for finding in outcome.findings}
        fewer = found["fewer_parameters"].value
        times = f"{fewer:.2f} times fewer" if math.isfinite(fewer) else NOTHING
        claim = link(address(outcome.id), outcome.id)
        where, changed = link(study.page, study.place), _change(found["parity"])
        rates, speeds = _rates(study, outcome), _speeds(study, outcome)
        rows.append((claim, where, badge(outcome.verdict), rates, changed, times, speeds))
    metrics = " or ".join(dict.fromkeys(outcome.metric.short for outcome in outcomes))
    headers = (
        "claim",
        "tested on",
        "on a par",
        f"{metrics} %",
        f"{metrics} change, points",
        "parameters",
        "training step",
    )
    return Table(headers, rows)


def _compared(study: Study, outcome: Outcome) -> list[tuple[Cell, Cell]]:
    """The low-rank cells of a test, each with its dense baseline."""
    cells = {cell.name: cell for cell in study.summary.cells}
    found = [cells[name] for name in outcome.cells if cells[name].targets]
    return [(cell, cells[cell.baseline]) for cell in found if cell.baseline in cells]


def _rates(study: Study, outcome: Outcome) -> str:
    """Error rates with the primary decoder and condition, of low rank against dense."""
    scores = [
        [100 * cell.scores[key].rate.value for cell in pair]
        for pair in _compared(study, outcome)
        for key in study.summary.keys[:1]
        if all(key in cell.scores for cell in pair)
    ]
    return "; ".join(f"{after:.1f} against {before:.1f}" for after, before in scores) or NOTHING


def _speeds(study: Study, outcome: Outcome) -> str:
    """How much faster the training steps of low rank are than the dense baseline's."""
    cells = (cell for cell, _ in _compared(study, outcome))
    texts = [f"{as_text(cell.speedup, 2)} times as fast" for cell in cells if cell.speedup is not None]
    return "; ".join(dict.fromkeys(texts)) or NOTHING


def _of_rates(outcome: Outcome) -> Finding | None:
    """The finding that compares error rates directly: a trend or an onset has another unit."""
    direct = set(OF_RATES) - {"trend", "onset"}
    return next((finding for finding in outcome.findings if finding.rule in direct), None)


def _values(claims: Sequence[Tested], rule: str) -> list[float]:
    found = (finding for one in claims for test in one.tests for finding in test[0].findings)
    return [finding.value for finding in found if finding.rule == rule and math.isfinite(finding.value)]


def _change(finding: Finding) -> str:
    return with_interval(finding.value, finding.interval) if math.isfinite(finding.value) else NOTHING


def _span(values: Iterable[float]) -> str:
    """The least and the largest of some numbers, as text."""
    texts = list(dict.fromkeys(f"{value:.2f}" for value in sorted(values)))
    return f"{texts[0]} to {texts[-1]}" if texts[1:] else texts[0]
