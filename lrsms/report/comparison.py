"""Turns a claim into numbers: it finds the cells, the runs that converged, and their edits in pairs."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from lrsms.record.metrics import METRICS
from lrsms.report import aggregate, further, learning, paired
from lrsms.report.cells import Cell, cells_of
from lrsms.report.claims import OF_RATES, OF_RUNS, Claim, Part, Rule
from lrsms.report.finding import Compared, Doses
from lrsms.report.paired import Edits, Paired
from lrsms.report.selection import matched, select
from lrsms.statistics.convergence import Failures, bar, failed
from lrsms.statistics.crossed import Array
from lrsms.statistics.survival import LogRank, Time, log_rank

Pairs = Sequence[tuple[Cell, Cell]]
"""Pairs of cells: the baseline and the cell of the group."""


@dataclass(frozen=True)
class Endpoint:
    """The decoder whose hypotheses are compared, and the conditions whose edits are summed."""

    decoder: str
    conditions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.decoder}, {' + '.join(self.conditions)}"


@dataclass(frozen=True)
class Results:
    """The results of a study that verdicts need.

    Attributes:
        folder: folder of its tables.
        runs: ``runs.csv``.
        edits: edits by run, decoder and condition.
        times: when runs began to learn, where it is known.
        losses: by metric, as ``edits`` of no decoder; of no run where records are from before they were kept.
    """

    folder: Path
    runs: pd.DataFrame
    edits: Edits
    times: Mapping[str, Time]
    losses: Mapping[str, Edits] = field(default_factory=dict)

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, in the order of the study."""
        return cells_of(self.runs, self.folder)

    @cached_property
    def ended(self) -> dict[str, tuple[str, float]]:
        """For each run, how it ended and its error rate on validation at the end of training (a fraction, or NaN)."""
        rows = self.runs.drop_duplicates("run")
        return dict(zip(rows["run"], zip(rows["status"], rows["valid_wer_end"], strict=True), strict=True))

    @cached_property
    def endpoints(self) -> list[Endpoint]:
        """Each decoder under each condition of the test split (or all, if none is), in the order of the project."""
        decoders = [decoder for decoder in self.runs["decoder"].unique() if decoder]
        tested = list(self.runs.loc[self.runs["split"] == "test", "condition"].unique())
        conditions = tested or [condition for condition in self.runs["condition"].unique() if condition]
        return [Endpoint(decoder, (condition,)) for condition in conditions for decoder in decoders]


def read(folder: Path) -> Results:
    """The tables of a study.

    Raises:
        ValueError: one line: a file is malformed.
    """
    runs, speakers = aggregate.read_runs(folder), aggregate.read_speakers(folder)
    table = aggregate.read_further(folder)
    losses = further.by_metric(table[table["metric"].isin([n for n, one in METRICS.items() if one.source == "losses"])])
    return Results(folder, runs, paired.by_run(speakers), learning.read(folder), losses)


def pairs_of(part: Part, cells: Sequence[Cell], where: str, family: str | None = None, halvings: bool = True) -> Pairs:
    """The pairs of a comparison; within a pair, the field of a ``family`` may differ.

    ``halvings``: rule trend counts halvings of the ratio, and not parameters.

    Raises:
        ValueError: one line: a group matches no cell, or its cells cannot be compared.
    """
    group = select(part.group, cells, f"{where}: 'group'")
    if part.against == "baseline":
        by_name = {cell.name: cell for cell in cells}
        if dense := [cell.name for cell in group if cell.baseline not in by_name]:
            raise ValueError(f"{where}: 'group' holds '{dense[0]}', which has no baseline in this study")
        pairs = [(by_name[cell.baseline], cell) for cell in group]
    else:
        against = select(part.against, cells, f"{where}: 'against'")
        named = {*part.group, *part.against, *([family] if family else [])}
        pairs = matched(against, group, named, where)
    if family is not None and family not in pairs[0][1].fields:
        raise ValueError(f"{where}: 'family' names '{family}', which the study does not vary")
    counted = [rule for rule in part.rules if rule == "onset" or (rule == "trend" and halvings)]
    if counted and (several := [cell.name for cell in unique(pairs) if cell.factored.by_target]):
        raise ValueError(
            f"{where}: rule {counted[0]} puts cells in order by their ratio, but each target of '{several[0]}' has its"
            " own; leave it out of 'group'" + (", or say dose: parameters" if counted[0] == "trend" else "")
        )
    single = [rule for rule in part.rules if rule in ("fewer_parameters", "faster")]
    if len(pairs) > 1 and single:
        raise ValueError(f"{where}: rule {single[0]} compares one pair of cells, but 'group' matches {len(pairs)}")
    before, after = pairs[0]
    # If a dense model has a speed-up of its own, steps were not measured beside it.
    if "faster" in part.rules and before.baseline and before.speedup is not None:
        raise ValueError(
            f"{where}: '{after.name}' is compared with '{before.name}', but step times are measured beside the preset's"
            " dense model; take rule faster out, or name a cell of the preset's dimensions"
        )
    return pairs


def unique(pairs: Pairs) -> list[Cell]:
    """The cells of the pairs, each once."""
    return list({cell.name: cell for cell in chain.from_iterable(pairs)}.values())


def members(pairs: Pairs, field: str) -> dict[str, Pairs]:
    """The pairs of each value of a family, by its name."""
    values = dict.fromkeys(after.fields[field] for _, after in pairs)
    short = field.split(".")[-1]
    return {f"{short} {value}": [pair for pair in pairs if pair[1].fields[field] == value] for value in values}


def compared_cells(pairs: Pairs, rules: Collection[Rule], results: Results) -> list[Cell]:
    """The cells whose runs the rules compare, each once: those of the pairs; for a trend, also their dense model."""
    dense = _dense(pairs, results) if "trend" in rules else None
    return unique([*([(dense, dense)] if dense is not None else []), *pairs])


def complete_seeds(cells: Sequence[Cell], results: Results) -> list[int]:
    """The first seeds, in order, for which every run has ended. Looks count these."""
    done = []
    for seed in sorted(set().union(*(cell.runs for cell in cells))):
        if any(results.ended.get(cell.runs.get(seed, ""), ("missing",))[0] == "missing" for cell in cells):
            break
        done.append(seed)
    return done


def compare(
    part: Part, pairs: Pairs, seeds: Sequence[int], endpoint: Endpoint, results: Results, claim: Claim
) -> Compared:
    """The numbers of a comparison.

    Args:
        part: its rules and groups.
        pairs: its pairs (see ``pairs_of``).
        seeds: the seeds that are compared. Without any, only numbers that need no run are found.
        endpoint: the endpoint whose edits are compared.
        results: results of the study.
        claim: the claim of which it is a part.
    """
    before, after = pairs[0]
    sizes = None
    if before.parameters is not None and after.parameters is not None:
        sizes = before.parameters, after.parameters
    known = Compared(
        parameters=sizes,
        device=after.steptime_device,
        metric=aggregate.metric_of(results.runs),
    )
    if after.speedup is not None:
        known = replace(known, speedup=after.speedup.value, speedup_interval=after.speedup.interval)
    if not seeds or not set(part.rules) & set(OF_RUNS):
        return known
    cells = compared_cells(pairs, part.rules, results)
    dense = _dense(pairs, results) if "trend" in part.rules else None
    bad = _not_converged(cells, seeds, results)
    good = [seed for seed in seeds if not any((cell.name, seed) in bad for cell in cells)]
    known = replace(
        known,
        failures=_failures(pairs, seeds, bad),
        log_rank=_log_rank(pairs, seeds, results) if "sooner" in part.rules else None,
    )
    if not good:
        return known
    losses = []
    for name, table in results.losses.items() if set(part.rules) & set(OF_RATES) else ():
        measured = _Edits(table, replace(endpoint, decoder=""), good)
        if measured.has_all(cells):
            losses.append(_counted(Compared(metric=METRICS[name]), part, pairs, dense, measured, claim))
    edits = _Edits(results.edits, endpoint, good)
    return replace(_counted(known, part, pairs, dense, edits, claim), losses=tuple(losses))


@dataclass(frozen=True)
class _Edits:
    """Edits of both, or what a loss has in their place, on the same seeds and the same endpoint."""

    edits: Edits
    endpoint: Endpoint
    seeds: Sequence[int]

    def of(self, pairs: Pairs) -> Paired:
        """Edits of pairs of cells, summed over the pairs and over the conditions."""
        same = [tuple({seed: cell.runs[seed] for seed in self.seeds} for cell in pair) for pair in pairs]
        both = [(a, b) for a, b in same]
        decoder, conditions = self.endpoint.decoder, self.endpoint.conditions
        run = next(iter(both[0][0].values()))
        units = [paired.units_of(self.edits, run, (decoder, condition)).names for condition in conditions]
        if any(not np.array_equal(names, units[0]) for names in units):
            raise ValueError(paired.OTHER_UNITS)
        return paired.pooled([paired.pair(self.edits, both, (decoder, condition)) for condition in conditions])

    def has_all(self, cells: Sequence[Cell]) -> bool:
        """Whether all runs of the cells were counted, and per the same: losses per token of one tokenizer."""
        runs = [cell.runs[seed] for cell in cells for seed in self.seeds]
        decoder, conditions = self.endpoint.decoder, self.endpoint.conditions
        found = [self.edits.get((run, decoder, condition)) for run in runs for condition in conditions]
        words = found[0].words if found[0] is not None else None
        return all(one is not None and words is not None and np.array_equal(one.words, words) for one in found)


def _counted(known: Compared, part: Part, pairs: Pairs, dense: Cell | None, edits: _Edits, claim: Claim) -> Compared:
    """With the edits of both groups, by ratio and by dose where a rule asks for these."""
    return replace(
        known,
        paired=edits.of(pairs),
        by_ratio=_by_ratio(pairs, edits) if "onset" in part.rules else (),
        doses=_doses(part, pairs, dense, edits, claim) if dense is not None else None,
    )


def _not_converged(cells: Sequence[Cell], seeds: Sequence[int], results: Results) -> set[tuple[str, int]]:
    ended = {(cell.name, seed): results.ended[cell.runs[seed]] for cell in cells for seed in seeds}
    highest = bar([math.nan if status == "diverged" else final for status, final in ended.values()])
    return {key for key, (status, final) in ended.items() if failed(final, status == "diverged", highest)}


def _failures(pairs: Pairs, seeds: Sequence[int], bad: set[tuple[str, int]]) -> Failures:
    groups = [{pair[side].name for pair in pairs} for side in (0, 1)]
    counts = [sum((name, seed) in bad for name in names for seed in seeds) for names in groups]
    runs = [len(names) * len(seeds) for names in groups]
    return Failures(counts[0], runs[0], counts[1], runs[1])


def _log_rank(pairs: Pairs, seeds: Sequence[int], results: Results) -> LogRank | None:
    groups = [{cell.runs[seed] for cell in side for seed in seeds} for side in zip(*pairs, strict=True)]
    if any(run not in results.times for group in groups for run in group):
        return None
    times_a, times_b = ([results.times[run] for run in sorted(group)] for group in groups)
    return log_rank(times_a, times_b)


def _by_ratio(pairs: Pairs, edits: _Edits) -> tuple[tuple[float, Paired], ...]:
    by_ratio = sorted(pairs, key=lambda pair: _ratio(pair[1]))
    return tuple((_ratio(after), edits.of([(before, after)])) for before, after in by_ratio)


def _dense(pairs: Pairs, results: Results) -> Cell | None:
    """The dense model that all cells share; None if there is none, or more than one."""
    names = {cell.baseline for _, cell in pairs}
    found = [cell for cell in results.cells if cell.name in names]
    return found[0] if len(found) == len(names) == 1 else None


def _doses(part: Part, pairs: Pairs, dense: Cell, edits: _Edits, claim: Claim) -> Doses | None:
    """The dose-response of the group, and of the other group where there is one."""
    group = _curve([after for _, after in pairs], dense, edits, claim)
    other = None if part.against == "baseline" else _curve([before for before, _ in pairs], dense, edits, claim)
    if group is None or (other is None and part.against != "baseline"):
        return None
    first = edits.of([(dense, pairs[0][1])])
    dose = "halving of the ratio" if claim.dose == "halvings" else "whole model removed"
    return Doses(*group, first.words, first.unit, dose, first.pairs, other)


def _curve(group: Sequence[Cell], dense: Cell, edits: _Edits, claim: Claim) -> tuple[Array, tuple[float, ...]] | None:
    doses = [0.0]
    for cell in group:
        if claim.dose == "halvings":
            doses.append(math.log2(1 / _ratio(cell)))
        elif cell.parameters is None or dense.parameters is None:
            return None
        else:
            doses.append(1 - cell.parameters / dense.parameters)
    tables = [edits.of([(dense, cell)]) for cell in group]
    return np.stack([tables[0].edits_a, *(table.edits_b for table in tables)]), tuple(doses)


def _ratio(cell: Cell) -> float:
    return math.nan if cell.ratio is None else cell.ratio
