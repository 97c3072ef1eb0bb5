"""``results/FINDINGS.md``: the verdicts of all studies on one page; below them, text that people wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lrsms.base.files import write_atomically
from lrsms.record.metric import WORDS
from lrsms.report.claims import Claim
from lrsms.report.outcomes import Outcome
from lrsms.report.readable import Column, Readable, markdown
from lrsms.report.verdict_table import effects, excess, reason, sample

FILE = "FINDINGS.md"
MARK = "<!-- Up to here made by `snakemake --cores all regenerate`; below it, written by hand and kept. -->"
_HEAD = "# What was found of the paper's findings\n\n"


def write(outcomes: Sequence[Outcome], claims: Mapping[str, Claim], results: Path) -> None:
    """Writes the page down to ``MARK`` again; the text below it stays.

    Args:
        outcomes: of every study that there are results of.
        claims: all of ``claims.yaml``, in whose order the rows are.
        results: the folder of the page.
    """
    path = results / FILE
    _, _, written = (path.read_text(encoding="utf-8") if path.is_file() else "").rpartition(
        MARK
    )  # all of it where there is no mark
    page = f"{_HEAD}{markdown(table(outcomes, claims))}\n{MARK}\n{written.removeprefix(chr(10))}"
    write_atomically(path, page.encode())


def table(outcomes: Sequence[Outcome], claims: Mapping[str, Claim]) -> Readable:
    """A row for each claim and place where it was tested; below it, what each verdict rests on and would decide it."""
    rows: list[tuple[str, ...]] = []
    notes = []
    for name, claim in claims.items():
        finding = claim.finding.rstrip(".")
        tested = [outcome for outcome in outcomes if outcome.id == name and outcome.verdict != "not run"]
        for alike in _measured_once(tested):
            outcome, where = alike[0], place(*alike)
            found = (text or "-" for text in (effects(outcome), excess(outcome), sample(outcome)))
            rows.append((name, finding, where, outcome.verdict, *found))
            notes.append(f"{name}, {where}: {reason(outcome)}")
            finding = ""
        if not tested:
            rows.append((name, finding, "-", "not run", "-", "-", "-"))
    headers = ("claim", "finding", "tested on", "verdict", "effect [95%]", "beyond margin [95%]", "n")
    columns = [
        Column(header, texts, numeric=False) for header, texts in zip(headers, zip(*rows, strict=True), strict=True)
    ]
    metrics = dict.fromkeys(outcome.metric.short for outcome in outcomes if sample(outcome))
    return Readable(tuple(columns), (*notes, _how(" or ".join(metrics) or WORDS.short)))


def _measured_once(tested: Sequence[Outcome]) -> list[list[Outcome]]:
    """Outcomes that are one measurement: of step times or parameters, which no corpus is part of."""
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in tested:
        _, task, scale, corpus = outcome.folder.split("-", 3)
        key = (task, scale, outcome.verdict, effects(outcome), corpus if sample(outcome) else "")
        groups.setdefault(key, []).append(outcome)
    return list(groups.values())


def place(*alike: Outcome) -> str:
    """Corpora, scale and task."""
    _, task, scale, _ = alike[0].folder.split("-", 3)
    corpora = dict.fromkeys(outcome.folder.split("-", 3)[3] for outcome in alike)
    return f"{' and '.join(corpora)}, {scale}, {task.upper()}"


def _how(metric: str) -> str:
    return (
        f"Effects are {metric} changes in points, on the test split without added noise; intervals are what other seeds"
        f" and other units would give. Beyond margin: the {metric} minus what the claim's margin allows; wholly below"
        " zero is parity. Claims, rules and margins: `workflow/config/claims.yaml`, stated before the runs. Tests:"
        " `claims.md` of a study; other conditions: its `table.md`."
    )
