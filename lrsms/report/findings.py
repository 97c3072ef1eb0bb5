"""Writes ``results/FINDINGS.md``: the verdicts of all studies, above text that people wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lrsms.base.files import write_atomically
from lrsms.record.metrics import WORDS
from lrsms.report import loss_changes
from lrsms.report.claims import OF_RUNS, Claim
from lrsms.report.outcomes import Outcome, with_holm
from lrsms.report.readable import Column, Readable, known_p, markdown
from lrsms.report.verdict_table import converged, effects, excess, look, loss_column, reason, sample

FILE = "FINDINGS.md"
MARK = "<!-- Up to here made by `snakemake --cores all regenerate`; below it, written by hand and kept. -->"
_HEAD = "# What was found of the paper's findings\n\n"


def write(outcomes: Sequence[Outcome], claims: Mapping[str, Claim], results: Path) -> None:
    """Writes the page again, down to ``MARK``; the text below it stays.

    Args:
        outcomes: outcomes of every study that has results.
        claims: all of ``claims.yaml``; rows are in its order.
        results: folder of the page.
    """
    path = results / FILE
    _, _, written = (path.read_text(encoding="utf-8") if path.is_file() else "").rpartition(
        MARK
    )  # the whole page if it has no mark
    page = f"{_HEAD}{markdown(table(outcomes, claims))}\n{MARK}\n{written.removeprefix(chr(10))}"
    write_atomically(path, page.encode())


def table(outcomes: Sequence[Outcome], claims: Mapping[str, Claim]) -> Readable:
    """A row for each claim and place where it was tested; notes below say why, and what would decide it."""
    rows: list[tuple[str, ...]] = []
    notes = []
    outcomes = with_holm(outcomes)
    with_losses = bool(loss_column(outcomes))
    for name, claim in claims.items():
        finding = claim.finding.rstrip(".")
        tested = [outcome for outcome in outcomes if outcome.id == name and outcome.verdict != "not run"]
        for alike in measured_once(tested):
            outcome, where = alike[0], place(*alike)
            p = known_p(outcome.p_holm)
            losses = [loss_changes.text(outcome.findings)] if with_losses else []
            found = (effects(outcome), excess(outcome), *losses, converged(outcome), p, sample(outcome))
            known = (text or "-" for text in (endpoint(outcome), look(outcome), *found))
            rows.append((name, finding, where, outcome.verdict, *known))
            notes.append(f"{name}, {where}: {reason(outcome)}")
            finding = ""
        if not tested:
            rows.append((name, finding, "-", "not run", *"-------", *(["-"] if with_losses else [])))
    asked = ("claim", "finding", "tested on", "verdict", "endpoint", "look")
    heads = [loss_changes.HEADER] if with_losses else []
    headers = (*asked, "effect", "beyond margin", *heads, "converged", "p (Holm)", "n")
    columns = [
        Column(header, texts, numeric=False) for header, texts in zip(headers, zip(*rows, strict=True), strict=True)
    ]
    explained = [how(outcomes), *([loss_changes.NOTE] if with_losses else [])]
    return Readable(tuple(columns), (*notes, *explained))


def measured_once(tested: Sequence[Outcome]) -> list[list[Outcome]]:
    """Groups outcomes that share a measurement: step times and parameters do not depend on the corpus."""
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in tested:
        at = outcome.place
        of_runs = any(finding.rule in OF_RUNS for finding in outcome.findings)
        key = (at.task, at.scale, outcome.verdict, effects(outcome), at.corpus if of_runs else "")
        groups.setdefault(key, []).append(outcome)
    return list(groups.values())


def place(*alike: Outcome) -> str:
    """Corpora, scale and task."""
    first, corpora = alike[0].place, dict.fromkeys(outcome.place.corpus for outcome in alike)
    return f"{' and '.join(corpora)}, {first.scale}, {first.task.upper()}"


def endpoint(outcome: Outcome) -> str:
    """Decoder and conditions."""
    return f"{outcome.decoder}, {outcome.condition}" if outcome.decoder else ""


def how(outcomes: Sequence[Outcome]) -> str:
    """How the table is made, in Markdown."""
    metric = " or ".join(dict.fromkeys(one.metric.short for one in outcomes if sample(one))) or WORDS.short
    return (
        f"Effects are {metric} changes in points on the claim's endpoint, with intervals of the look's level: what"
        " other seeds and other units would give. Each claim, at each scale, corpus and task, is wrong at most 2.5% of"
        " the time (one-sided), over all of its looks; p (Holm) is over all rows of this page, and over the"
        f" looks of each. Beyond margin: the {metric} minus what the claim's margin allows; wholly below"
        " zero is parity. Converged: runs that learned,"
        " of the group and of what it is compared with. Claims, rules, endpoints and margins:"
        " `workflow/config/claims.yaml`, stated before the runs. Tests and other endpoints: `claims.md` of a study."
    )
