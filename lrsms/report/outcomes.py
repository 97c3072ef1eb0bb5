"""What a study's results say of its claims: the compared cells found, their numbers put together, the rules applied.

Verdicts are made of ``runs.csv`` and ``speakers.csv`` alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import isnan, nan
from pathlib import Path
from statistics import fmean

import pandas as pd

from lrsms.record.metric import Metric
from lrsms.record.metrics import WORDS
from lrsms.report import aggregate, paired
from lrsms.report.cells import Cell, cells_of
from lrsms.report.claims import OF_RATES, Claim, Selection
from lrsms.report.factored import joined
from lrsms.report.results import Place
from lrsms.report.selection import matched, select
from lrsms.report.verdicts import Compared, Finding, Threshold, Verdict, combine, judge, what_would_decide
from lrsms.statistics import stats


@dataclass(frozen=True)
class Outcome:
    """A claim and what a study says of it.

    Attributes:
        id: of the claim.
        claim: as it was stated.
        place: where it was tested.
        verdict: of all rules together.
        findings: one for each rule.
        compared: the groups in words.
        decoder: whose hypotheses were scored; empty where no rates are compared.
        condition: likewise.
        p_holm: p of the conjunction, adjusted for the other claims of the table; NaN where no part is a test.
        training: how far the compared models were trained, in a sentence; empty where no rates are compared.
        needs: what would decide it, or what is missing; empty if it is decided.
        metric: the error rate that is compared, if any is.
    """

    id: str
    claim: Claim
    place: Place
    verdict: Verdict
    findings: tuple[Finding, ...]
    compared: str
    decoder: str = ""
    condition: str = ""
    p_holm: float = nan
    training: str = ""
    needs: str = ""
    metric: Metric = WORDS


def verdicts(claims: Mapping[str, Claim], folder: Path, place: Place) -> list[Outcome]:
    """What the results of one study say of its claims, with Holm's adjustment over them.

    Args:
        claims: those of the study (``claims_of``).
        folder: of ``runs.csv`` and ``speakers.csv``; where it is absent every claim is not run.
        place: what the study was asked of.

    Raises:
        ValueError: one line: a file is malformed, a group matches no cell, or there is no such condition.
    """
    if not (folder / "runs.csv").is_file():
        missing = f"Missing: {folder / 'runs.csv'}; run the study first."
        return [_not_run(name, claim, place, missing) for name, claim in claims.items()]
    runs, speakers = aggregate.read_runs(folder), aggregate.read_speakers(folder)
    edits = paired.by_run(speakers)
    outcomes = [_outcome(name, claim, folder, place, runs, edits) for name, claim in claims.items()]
    adjusted = stats.holm([max((f.p for f in o.findings if not isnan(f.p)), default=nan) for o in outcomes])
    return [replace(outcome, p_holm=p) for outcome, p in zip(outcomes, adjusted, strict=True)]


def _outcome(name: str, claim: Claim, folder: Path, place: Place, runs: pd.DataFrame, edits: paired.Edits) -> Outcome:
    where = f"{folder / 'runs.csv'}: claim {name}"
    of_rates, metric = any(rule in OF_RATES for rule in claim.rules), aggregate.metric_of(runs)
    key = _key(claim, runs, where) if of_rates else ("", "")
    cells = cells_of(runs, folder)
    pairs = _pairs(claim, cells, where)
    compared = _words(claim, pairs)
    threshold = Threshold(claim.margin or 0.1, claim.times_fewer, (claim.speedup or {}).get(place.task))
    gone = {cell.name: cell for pair in pairs for cell in pair if cell.status in ("missing", "diverged")}
    numbers = _compared(pairs, edits, key, of_rates and not gone, metric)
    findings = [judge(rule, numbers, threshold) for rule in claim.rules]
    findings = [replace(f, needs=what_would_decide(f, numbers, threshold)) for f in findings]
    needs = " ".join(dict.fromkeys(finding.needs for finding in findings if finding.needs))
    if any(finding.verdict == "not run" for finding in findings):
        diverged = [cell for cell in gone.values() if cell.status == "diverged"]
        if of_rates and diverged and len(diverged) == len(gone):
            findings = [
                replace(f, verdict="undecided", because=_diverged(diverged)) if f.verdict == "not run" else f
                for f in findings
            ]
            needs = f"Diverged runs have no {metric.name} to compare."
        else:
            needs = _missing(gone if of_rates else {}, claim, pairs)
    verdict = combine(findings)
    if verdict == "contradicted":  # whatever a part still lacks
        needs = ""
    training = _training(pairs, metric) if numbers.paired is not None else ""
    return Outcome(
        name,
        claim,
        place,
        verdict,
        tuple(findings),
        compared,
        *key,
        training=training,
        needs=needs,
        metric=metric,
    )


def _not_run(name: str, claim: Claim, place: Place, needs: str) -> Outcome:
    none = Compared()
    findings = tuple(judge(rule, none, Threshold()) for rule in claim.rules)
    return Outcome(name, claim, place, "not run", findings, "", needs=needs)


def _key(claim: Claim, runs: pd.DataFrame, where: str) -> paired.Key:
    """The last decoder, and the claim's condition or the first of the test split."""
    decoders = [decoder for decoder in runs["decoder"].unique() if decoder]
    tested = list(runs.loc[runs["split"] == "test", "condition"].unique()) or list(runs["condition"].unique())
    if not decoders:
        raise ValueError(f"{where}: rule {claim.rules[0]} compares error rates, but the study trains nothing")
    condition = claim.condition or tested[0]
    if condition not in tested:
        near = get_close_matches(condition, tested, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"tested: {', '.join(tested)}"
        raise ValueError(f"{where}: 'condition' is '{condition}', which was not tested; {hint}")
    return decoders[-1], condition


def _pairs(claim: Claim, cells: Sequence[Cell], where: str) -> list[tuple[Cell, Cell]]:
    """The baseline and the group's cell of each pair."""
    group = select(claim.group, cells, f"{where}: 'group'")
    if claim.against == "baseline":
        by_name = {cell.name: cell for cell in cells}
        if dense := [cell.name for cell in group if cell.baseline not in by_name]:
            raise ValueError(f"{where}: 'group' holds '{dense[0]}', which has no baseline in this study")
        pairs = [(by_name[cell.baseline], cell) for cell in group]
    else:
        against = select(claim.against, cells, f"{where}: 'against'")
        pairs = matched(against, group, {*claim.group, *claim.against}, where)
    if len(pairs) > 1 and (single := [rule for rule in claim.rules if rule not in OF_RATES]):
        raise ValueError(f"{where}: rule {single[0]} compares one pair of cells, but 'group' matches {len(pairs)}")
    before, after = pairs[0]
    # A dense model with a speed-up of its own is not the one that steps are measured beside.
    if "faster" in claim.rules and before.baseline and before.speedup is not None:
        raise ValueError(
            f"{where}: '{after.name}' is compared with '{before.name}', but step times are measured beside the preset's"
            " dense model; take rule faster out, or name a cell of the preset's dimensions"
        )
    return pairs


def _compared(
    pairs: Sequence[tuple[Cell, Cell]], edits: paired.Edits, key: paired.Key, rates: bool, metric: Metric
) -> Compared:
    before, after = pairs[0]
    found = None
    if rates:
        seeds = set.intersection(*(set(cell.runs) for pair in pairs for cell in pair))
        same = [tuple({seed: cell.runs[seed] for seed in sorted(seeds)} for cell in pair) for pair in pairs]
        found = paired.pair(edits, [(a, b) for a, b in same], key) if seeds else None
    sizes = None
    if before.parameters is not None and after.parameters is not None:
        sizes = before.parameters, after.parameters
    compared = Compared(found, sizes, device=after.steptime_device, metric=metric)
    if after.speedup is None:
        return compared
    return replace(compared, speedup=after.speedup.value, speedup_interval=after.speedup.interval)


def _training(pairs: Sequence[tuple[Cell, Cell]], metric: Metric) -> str:
    """Error rates on validation in the course of training: of models that still learn, a verdict is on how soon."""
    before, after = (
        [100 * fmean(cell.valid_wer[moment] for cell in cells) for moment in (0, 1)]
        for cells in zip(*pairs, strict=True)
    )
    if any(map(isnan, before + after)):
        return ""
    course = "{:.1f} and {:.1f}%".format
    what = f"Validation {metric.short} half-way through training and at its end"
    return f"{what}: {course(*after)}, against {course(*before)}."


def _words(claim: Claim, pairs: Sequence[tuple[Cell, Cell]]) -> str:
    if len(pairs) == 1:
        return f"'{pairs[0][1].name}' against '{pairs[0][0].name}'"
    against = "the dense baseline" if claim.against == "baseline" else _selected(claim.against)
    return f"{_selected(claim.group)} against {against}, {len(pairs)} pairs of cells alike in all else, summed"


def _selected(selection: Selection) -> str:
    parts = (
        f"{field.split('.')[-1]} {joined(value) if isinstance(value, tuple) else value}"
        for field, value in selection.items()
    )
    return ", ".join(parts)


def _missing(gone: Mapping[str, Cell], claim: Claim, pairs: Sequence[tuple[Cell, Cell]]) -> str:
    unfinished = [
        f"'{cell.name}' ({cell.finished} of {cell.seeds} seed{'s' if cell.seeds != 1 else ''} finished)"
        for cell in gone.values()
        if cell.status == "missing"
    ]
    if unfinished:
        shown = ", ".join(unfinished[:4]) + (f" and {len(unfinished) - 4} more" if unfinished[4:] else "")
        return f"Missing: {shown}."
    before, after = pairs[0]
    if "faster" in claim.rules and after.speedup is None:
        return f"Missing: the step time of '{after.name}'."
    if "fewer_parameters" in claim.rules and None in (before.parameters, after.parameters):
        return f"Missing: the parameters of '{before.name}' or '{after.name}'."
    return "Missing: a seed that all compared cells share."


def _diverged(cells: Sequence[Cell]) -> str:
    return "; ".join(f"{cell.diverged} of {cell.seeds} seeds of '{cell.name}' diverged" for cell in cells)
