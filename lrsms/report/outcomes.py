"""Judges claims by a study's results, look by look.

At each of its looks, a claim is judged on the first n seeds, at the level of the look. The first look that decides it
gives its verdict, and later seeds do not change it. So the verdict depends only on the records and the claim. It does
not depend on how often someone looked, or on the order of decoders and conditions in the configuration. Verdicts are
made from ``runs.csv``, ``speakers.csv`` and ``learning.csv``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path

from lrsms.base.hints import did_you_mean
from lrsms.record.metric import Metric
from lrsms.record.metrics import WORDS
from lrsms.report import aggregate, comparison, loss_changes
from lrsms.report.cells import Cell
from lrsms.report.claims import OF_RATES, OF_RUNS, Claim, Part, Rule
from lrsms.report.comparison import Endpoint, Pairs, Results, compare, pairs_of
from lrsms.report.finding import Compared, Finding, Threshold, Verdict
from lrsms.report.needs import what_would_decide
from lrsms.report.results import Place
from lrsms.report.verdicts import combine, judge, some
from lrsms.report.wording import compared, training
from lrsms.statistics import looks, stats
from lrsms.statistics.looks import Look


@dataclass(frozen=True)
class Sensitivity:
    """The same comparison on another endpoint: numbers without a verdict.

    Attributes:
        endpoint: the endpoint.
        findings: findings of the rules of error rates.
    """

    endpoint: Endpoint
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Outcome:
    """A claim and its verdict by the results of a study.

    Attributes:
        id: id of the claim.
        claim: the claim as it was stated.
        place: where it was tested.
        verdict: the verdict of all rules together.
        findings: one for each rule, at the look that decides, or else at the last look that was reached.
        compared: the compared groups in words.
        decoder: the decoder whose hypotheses were scored; empty where no rates are compared.
        condition: the condition, or several joined by " + "; empty where no rates are compared.
        p_holm: p of the conjunction, adjusted for the other claims of the table; NaN where no part is a test.
        training: how far the compared models were trained, in a sentence; empty where no rates are compared.
        needs: what would decide it, or what is missing; empty if it is decided.
        metric: the study's error rate.
        look: the look at which it was judged; None before the first, and where no runs are compared.
        seeds: number of seeds for which every compared run has ended, now.
        between: numbers on all these seeds, if there are more than at the look; no verdict.
        sensitivity: the same comparison on other endpoints.
        cells: cells whose runs are compared.
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
    look: Look | None = None
    seeds: int = 0
    between: tuple[Finding, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    cells: tuple[str, ...] = ()

    @property
    def p(self) -> float:
        """The p of the conjunction: the largest p of its tests; NaN where there is none, or one has not been made."""
        tests = [finding.p for finding in self.findings if finding.rule in OF_RUNS]
        return nan if self.verdict == "not run" or any(map(isnan, tests)) else max(tests, default=nan)


def verdicts(claims: Mapping[str, Claim], folder: Path, place: Place) -> list[Outcome]:
    """The outcomes of a study's claims, with Holm's adjustment over them.

    Args:
        claims: claims of the study (``claims_of``).
        folder: folder of the study's tables; if it is absent, every claim is "not run".
        place: study, task, scale and corpus.

    Raises:
        ValueError: one line: a file is malformed, or a group matches no cell.
    """
    if not (folder / "runs.csv").is_file():
        missing = f"Missing: {folder / 'runs.csv'}; run the study first."
        return [_not_run(name, claim, place, missing) for name, claim in claims.items()]
    results = comparison.read(folder)
    return with_holm([_Judge(name, claim, place, results).outcome() for name, claim in claims.items()])


def with_holm(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same outcomes, with Holm's adjustment over all of them, and over the looks of each."""
    adjusted = stats.holm([looks.over_all(one.p, looks.plan(one.claim.looks)) for one in outcomes])
    return [replace(outcome, p_holm=p) for outcome, p in zip(outcomes, adjusted, strict=True)]


class _Judge:
    """One claim over one study's results."""

    def __init__(self, name: str, claim: Claim, place: Place, results: Results) -> None:
        self.name, self.claim, self.place, self.results = name, claim, place, results
        where = f"{results.folder / 'runs.csv'}: claim {name}"
        self.of_runs = any(rule in OF_RUNS for rule in claim.all_rules)
        self.of_rates = any(rule in OF_RATES for rule in claim.all_rules)
        if self.of_runs and not results.endpoints:
            raise ValueError(f"{where}: rule {claim.rules[0]} compares error rates, but the study trains nothing")
        self.parts = [
            (part, pairs_of(part, results.cells, where, claim.family, claim.dose == "halvings")) for part in claim.parts
        ]
        self.cells = self.compared([pair for _, pairs in self.parts for pair in pairs])
        self.endpoint = Endpoint(claim.decoder, claim.conditions_of(place.task))
        self.metric = aggregate.metric_of(results.runs)
        self.seeds = max((len(self.done(pairs)) for pairs in self.comparisons()), default=0) if self.of_runs else 0
        self.looks = looks.plan(claim.looks)

    def comparisons(self) -> list[Pairs]:
        """The separate comparisons of a claim: each part, or each value of a family."""
        field = self.claim.family
        if field is None:
            return [pairs for _, pairs in self.parts]
        return list(comparison.members(self.parts[0][1], field).values())

    def compared(self, pairs: Pairs) -> list[Cell]:
        """The cells whose runs are compared."""
        return comparison.compared_cells(pairs, self.claim.all_rules, self.results)

    def done(self, pairs: Pairs) -> list[int]:
        """The first seeds for which every run of a comparison has ended."""
        return comparison.complete_seeds(self.compared(pairs), self.results)

    def outcome(self) -> Outcome:
        """Judges the claim."""
        text = "; ".join(compared(part, pairs) for part, pairs in self.parts)
        cells = tuple(cell.name for cell in self.cells) if self.of_runs else ()
        none = Outcome(self.name, self.claim, self.place, "not run", (), text, metric=self.metric, cells=cells)
        if not self.of_runs:
            findings = self.findings(0, None)
            return replace(none, verdict=combine(findings), findings=findings, needs=self.needs(findings, None))
        absent = self.absent()
        if self.of_rates:
            none = replace(none, decoder=self.endpoint.decoder, condition=" + ".join(self.endpoint.conditions))
        due = looks.due(self.looks, self.seeds)
        unfinished = any(cell.status == "missing" for cell in self.cells)
        if absent or (not due and unfinished):
            findings = self.findings(0, None)
            verdict = combine(findings)
            needs = "" if verdict == "contradicted" else absent or self.missing(findings)
            return replace(none, verdict=verdict, findings=findings, needs=needs)
        look, findings = self.looked(due)
        verdict = combine(findings)
        seen = self.seeds if look is None else look.seeds
        needs = "" if verdict in ("supported", "contradicted") else self.needs(findings, look)
        more = look is not None and verdict == "undecided" and not look.final and self.seeds > look.seeds
        between = self.findings(self.seeds, look) if more else ()
        return replace(
            none,
            verdict=verdict,
            findings=findings,
            training=training([pairs for _, pairs in self.parts], self.metric) if findings[0].seeds else "",
            needs=needs,
            look=look,
            seeds=self.seeds,
            between=between if combine(between) != "not run" else (),
            sensitivity=self.sensitivity(seen, look),
        )

    def looked(self, due: Sequence[Look]) -> tuple[Look | None, tuple[Finding, ...]]:
        """The first look that decides, or the last that was reached. Before the first, numbers without a verdict.

        Members of a family may have different numbers of seeds; a look that all reached says more than a later one.
        """
        last = None
        for look in due:
            findings = self.findings(look.seeds, look)
            verdict = combine(findings)
            if verdict in ("supported", "contradicted"):
                return look, findings
            if last is None or verdict != "not run":
                last = look, findings
        if last is not None:
            return last
        findings = self.findings(self.seeds, self.looks[0])
        first = f"the first look is at {self.looks[0].seeds} seeds"
        return None, tuple(
            replace(f, verdict="undecided", because=first)
            if f.rule in OF_RUNS and f.verdict in ("supported", "contradicted")
            else f
            for f in findings
        )

    def findings(self, seeds: int, look: Look | None, endpoint: Endpoint | None = None) -> tuple[Finding, ...]:
        """Findings of every rule on so many seeds; on an endpoint other than the claim's, only rules of error rates."""
        threshold, found = self.threshold(look), []
        for part, pairs in self.parts:
            for rule in part.rules:
                if endpoint is None or rule in OF_RATES:
                    found.append(self.judged(rule, part, pairs, seeds, endpoint or self.endpoint, threshold))
        return tuple(found)

    def judged(
        self,
        rule: Rule,
        part: Part,
        pairs: Pairs,
        seeds: int,
        endpoint: Endpoint,
        threshold: Threshold,
    ) -> Finding:
        """The finding of one rule, for a family or for all pairs together, with what would decide it."""

        def one(some_pairs: Pairs) -> tuple[Finding, Compared]:
            done = self.done(some_pairs) if seeds else []
            seen = done[:seeds] if len(done) >= seeds else []
            numbers = compare(part, some_pairs, seen, endpoint, self.results, self.claim)
            losses = loss_changes.of(rule, numbers, threshold)
            return replace(judge(rule, numbers, threshold), losses=losses), numbers

        field = self.claim.family
        if field is None:
            finding, numbers = one(pairs)
            primary = endpoint == self.endpoint
            return (
                replace(finding, needs=what_would_decide(finding, numbers, threshold, self.looks, seeds))
                if primary
                else finding
            )
        members = {name: one(some_pairs)[0] for name, some_pairs in comparison.members(pairs, field).items()}
        return some(members, threshold)

    def threshold(self, look: Look | None) -> Threshold:
        """The numbers that the claim states, at the level of a look."""
        claim = self.claim
        stated = Threshold(
            claim.margin, claim.least / self.metric.scale, claim.times_fewer, (claim.speedup or {}).get(self.place.task)
        )
        return replace(stated, onset=claim.onset, level=look.level if look else stats.LEVEL)

    def sensitivity(self, seeds: int, look: Look | None) -> tuple[Sensitivity, ...]:
        """The rules of error rates on every other endpoint."""
        if not self.of_rates:
            return ()
        single = self.results.endpoints
        decoders = dict.fromkeys(one.decoder for one in single)
        pooled = [Endpoint(decoder, self.endpoint.conditions) for decoder in decoders]
        others = [one for one in dict.fromkeys((*pooled, *single)) if one != self.endpoint]
        return tuple(Sensitivity(one, self.findings(seeds, look or self.looks[0], one)) for one in others)

    def absent(self) -> str:
        """Says which part of the endpoint the project does not test; empty if it tests all."""
        if not self.of_rates:
            return ""
        tested = self.results.endpoints
        for what, names, known in (
            ("decoder", [self.endpoint.decoder], [one.decoder for one in tested]),
            ("condition", self.endpoint.conditions, [name for one in tested for name in one.conditions]),
        ):
            for name in names:
                if name not in known:
                    hint = did_you_mean(name, known, f"tested: {', '.join(dict.fromkeys(known))}.")
                    return f"Missing: {what} '{name}', which the claim names and the project does not test; {hint}"
        return ""

    def needs(self, findings: Sequence[Finding], look: Look | None) -> str:
        """Says what would decide it."""
        if any(finding.verdict == "not run" for finding in findings):
            return self.missing(findings)
        if look is not None and look.final:
            return "This was the last look: it stays undecided."
        said = list(dict.fromkeys(finding.needs for finding in findings if finding.needs))
        if look is not None and (following := looks.next_look(self.looks, look.seeds)):
            said.append(f"The next look is at {following.seeds} seeds.")
        return " ".join(said)

    def missing(self, findings: Sequence[Finding]) -> str:
        """Says what is missing."""
        unfinished = [
            f"'{cell.name}' ({cell.finished} of {cell.seeds} seed{'s' if cell.seeds != 1 else ''} finished)"
            for cell in self.cells
            if cell.status == "missing"
        ]
        if self.of_runs and unfinished:
            shown = ", ".join(unfinished[:4]) + (f" and {len(unfinished) - 4} more" if unfinished[4:] else "")
            return f"Missing: {shown}."
        before, after = self.parts[0][1][0]
        rules = [finding.rule for finding in findings if finding.verdict == "not run"]
        if "faster" in rules:
            return f"Missing: the step time of '{after.name}'."
        if "fewer_parameters" in rules or self.claim.dose == "parameters":
            return f"Missing: the parameters of '{before.name}' or '{after.name}'."
        if "sooner" in rules:
            return "Missing: a training curve in the record of every run."
        return "Missing: a seed that all compared cells share."


def _not_run(name: str, claim: Claim, place: Place, needs: str) -> Outcome:
    none = Compared()
    findings = tuple(judge(rule, none, Threshold()) for rule in claim.all_rules)
    return Outcome(name, claim, place, "not run", findings, "", needs=needs)
