"""The page of findings: each claim as it was stated, what each verdict rests on, and what people wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrsms.report import loss_changes
from lrsms.report.findings import FILE, MARK, endpoint, how, place
from lrsms.report.outcomes import Outcome
from lrsms.report.readable import known_p
from lrsms.report.site.content import Study
from lrsms.report.site.front import Tested, tests_table
from lrsms.report.site.markdown import as_html
from lrsms.report.site.render import link
from lrsms.report.verdict_table import converged, effects, excess, look, reason, sample


def parts(claims: Sequence[Tested], studies: Sequence[Study], results: Path) -> dict[str, Any]:
    """What the template shows.

    Args:
        claims: all of them.
        studies: to whose pages tests link.
        results: the folder with the page of findings; what people wrote there is shown below.
    """
    path = results / FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    pages = {study.name: study.page for study in studies}
    return {
        "claims": [
            {"name": one.name, "claim": one.claim, "tests": [test_parts(*test, pages=pages) for test in one.tests]}
            for one in claims
        ],
        "table": tests_table(claims),
        "how": as_html(how([outcome for one in claims for test in one.tests for outcome in test])),
        "written": as_html(text.partition(MARK)[2]),
    }


def test_parts(*alike: Outcome, pages: Mapping[str, str]) -> dict[str, Any]:
    """One test: where, its verdict, its numbers by name, and the sentences below them."""
    outcome = alike[0]
    p = known_p(outcome.p_holm)
    numbers = {
        "effect": effects(outcome),
        "beyond margin": excess(outcome),
        loss_changes.HEADER: loss_changes.text(outcome.findings),
        "endpoint": endpoint(outcome),
        "look": look(outcome),
        "converged": converged(outcome),
        "p (Holm)": p,
        "n": sample(outcome, words=True),
    }
    return {
        "id": outcome.id,
        "finding": outcome.claim.finding.rstrip("."),
        "place": place(*alike),
        "pages": [link(page, one.place.folder) for one in alike if (page := pages.get(one.place.folder))],
        "verdict": outcome.verdict,
        "numbers": {name: text for name, text in numbers.items() if text and outcome.verdict != "not run"},
        "reason": _reason(outcome),
    }


def _reason(outcome: Outcome) -> str:
    """What was compared, and what the verdict rests on; of a claim that was not run, what is missing."""
    if outcome.verdict == "not run":
        return f"{outcome.compared}. {outcome.needs}" if outcome.compared else outcome.needs
    return f"{outcome.compared}: {reason(outcome)}"
