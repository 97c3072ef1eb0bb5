"""Writes ``docs/power.md``: how likely each look decides a claim, by the variances of committed runs.

Run it as ``python -m lrsms.report.power_page docs/power.md``.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lrsms.base.files import write_atomically
from lrsms.report import comparison
from lrsms.report.claims import Claim, load
from lrsms.report.comparison import Endpoint, compare, compared_cells, complete_seeds, pairs_of
from lrsms.report.finding import Threshold
from lrsms.report.paired import Paired
from lrsms.report.rate_rules import by_points, difference_of, excess_of
from lrsms.report.results import Place
from lrsms.statistics.effects import Effect
from lrsms.statistics.looks import Look, plan
from lrsms.statistics.power import STUDIES, likely_components, share_of_units, shown_by
from lrsms.study.run import Task

TASK: Task = "asr"
SCALE, CORPUS = "tiny", "commands"
LARGER = 10
"""Plans are made for the test set, and for one that is this many times larger."""


@dataclass(frozen=True)
class Question:
    """The question of a claim, and an assumed truth.

    Attributes:
        claim: id of the claim.
        part: index of one of its comparisons.
        words: the question and the assumed truth.
        loss: true loss relative to the baseline's error rate; 0 asks for parity of equals.
    """

    claim: str
    part: int
    words: str
    loss: float


QUESTIONS = (
    Question("F1", 0, "parity, where both are equal", 0.0),
    Question("F2", 1, "degradation, of 10%", 0.1),
    Question("F2", 1, "degradation, of 20%", 0.2),
    Question("F5", 0, "parity, where both are equal", 0.0),
)


def page(config: Path, results: Path) -> str:
    """The whole page, as Markdown.

    Args:
        config: folder of ``claims.yaml``.
        results: folder of the studies' tables.

    Raises:
        ValueError: one line: a file is malformed, or runs are missing.
    """
    claims = load(config / "claims.yaml")
    looks = plan(claims[QUESTIONS[0].claim].looks)
    rows = [row for question in QUESTIONS for row in _rows(question, claims[question.claim], results, looks)]
    heads = ["claim", "shown is", "speakers", *(f"{look.seeds} seeds" for look in looks)]
    lines = [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]
    return _HEAD + "\n".join(lines) + "\n" + _components(claims, results) + _TAIL


def _rows(question: Question, claim: Claim, results: Path, looks: tuple[Look, ...]) -> Iterator[list[str]]:
    effect, size = _planned(question, claim, results)
    likely = likely_components(effect.components, effect.seeds, effect.units, effective_units=effect.effective_units)
    for times in (1, LARGER):
        units, weigh_as = times * effect.units, times * effect.effective_units
        found, *ends = (
            shown_by(one, size, looks, units, effective_units=weigh_as) for one in (effect.components, *likely)
        )
        reach = [f"{_percent(min(both))} to {_percent(max(both))}" for both in zip(*ends, strict=True)]
        cells = [f"{_percent(p)} ({both})" for p, both in zip(found, reach, strict=True)]
        yield [question.claim, question.words, f"{units}", *cells]


def _planned(question: Question, claim: Claim, results: Path) -> tuple[Effect, float]:
    """The model that has the variances for the plan, and the size to detect, above zero (a fraction)."""
    paired, threshold = _paired(question, claim, results)
    if question.loss:
        return difference_of(paired), question.loss * paired.rates[0]
    margin = threshold.least if by_points(paired, threshold) else threshold.margin * paired.rates[0]
    return excess_of(paired, threshold), margin


def _paired(question: Question, claim: Claim, results: Path) -> tuple[Paired, Threshold]:
    folder, part = results / Place(claim.study, TASK, SCALE, CORPUS).folder, claim.parts[question.part]
    found = comparison.read(folder)
    pairs = pairs_of(part, found.cells, f"{folder}: claim {question.claim}")
    endpoint = Endpoint(claim.decoder, claim.conditions_of(TASK))
    compared = compare(
        part, pairs, complete_seeds(compared_cells(pairs, part.rules, found), found), endpoint, found, claim
    )
    if compared.paired is None:
        raise ValueError(f"{folder}: claim {question.claim}: its runs are missing; a plan needs their variances")
    return compared.paired, Threshold(claim.margin, claim.least / compared.metric.scale)


def _components(claims: dict[str, Claim], results: Path) -> str:
    """The variances behind the plan, as standard deviations in points of WER."""
    rows = []
    first = min(claims[QUESTIONS[0].claim].looks)
    for question in QUESTIONS:
        effect, size = _planned(question, claims[question.claim], results)
        parts = (effect.components.seed, effect.components.unit, effect.components.residual)
        values = " | ".join(f"{100 * variance**0.5:.2f}" for variance in parts)
        share = _percent(share_of_units(effect.components, first, effect.units))
        rows.append(f"| {question.claim} | {question.words} | {100 * size:.2f} | {values} | {share} |")
    return _FOUND + "\n".join(rows) + "\n"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


_HEAD = f"""# How many seeds a claim needs

Each row is a claim, and what is taken for true. A number is the probability that this is shown by so many seeds, at
this look or an earlier one, with the levels of [the looks](verdicts.md#looking-again). Runs are {TASK.upper()} at
`{SCALE}` scale on `{CORPUS}`; the second row of each pair has a test set with {LARGER} times as many speakers.

"""

_FOUND = f"""
Behind each number, in brackets, is its range: few seeds say little of the variance between seeds, and the two ends
are where that is as large, or as small, as they allow (80% confidence). {STUDIES:,} studies of normal tables are
simulated: a number has a standard error of {50 / STUDIES**0.5:.1f} points or less. No run collapses in them.

The variances are those of the runs that are committed. Here are the size that must be seen, and the standard deviations
between seeds, between speakers and of the rest, in points of WER. The last column is the share of the squared standard
error, at the first look, that is the test set's: a larger one takes it away. This share grows with the seeds.

| claim | shown is | size | seeds | speakers | rest | test set |
| --- | --- | --- | --- | --- | --- | --- |
"""

_TAIL = """
At three seeds the level is 0.22%, so little is shown there. A larger test set costs no training: a condition may name
one of its own. It does nothing about the variance between seeds.

```sh
.venv/bin/python -m lrsms.report.power_page docs/power.md   # writes this page from results/ and workflow/config/
```
"""


if __name__ == "__main__":
    write_atomically(Path(sys.argv[1]), page(Path("workflow/config"), Path("results")).encode())
