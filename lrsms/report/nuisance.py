"""Nuisance fields: each cell is compared at its own best value, chosen on the valid split and never on the test split.

If a study compares methods at one learning rate, this rate may be the best one for only some of them. So a study may
name such fields (``nuisance: [train.lr]``). Every cell, including the baseline, then takes the value with the lowest
word error rate on validation. If the study tunes, that value was chosen before its runs were made, by runs that are no
part of the table.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd

from lrsms.base.csvfile import unguard, write_csv
from lrsms.record.metric import Metric
from lrsms.record.metrics import WORDS
from lrsms.record.score import EDITS
from lrsms.study.decoding import Decoding
from lrsms.study.expand import Experiment
from lrsms.study.fields import as_text
from lrsms.study.tuning import ends

FILE = "nuisance.csv"
UNDECIDED = "-"
_TUNED = ["tuned_by", "added", "last"]
"""Columns of a study that tunes: the seeds that chose; whether a value is beyond the study's own; whether it is the
chosen one and the last of those tried in some field."""
_COLUMNS = [
    "cell",
    "chosen",
    "status",
    "seeds",
    "seeds_finished",
    "decoder",
    "conditions",
    "valid_wer_percent",
    *_TUNED,
]


@dataclass(frozen=True)
class Candidate:
    """A cell at one value of its nuisance fields.

    Attributes:
        cell: label of the cell.
        values: values of the nuisance fields, by field.
        runs: names of its runs, one for each seed.
        finished: number of runs that have finished.
        status: ``missing`` while any run is missing; else ``diverged`` if any diverged; else ``finished``.
        wer: exact mean over the seeds of the WER on validation; None unless finished.
        chosen: whether the cell is judged at this value.
        tuned_by: the seeds of these runs, where they only choose.
        added: whether the value is beyond the study's own.
    """

    cell: str
    values: dict[str, Any]
    runs: tuple[str, ...]
    finished: int
    status: str
    wer: Fraction | None
    chosen: bool = False
    tuned_by: tuple[int, ...] = ()
    added: bool = False


def judged(
    experiments: Sequence[Experiment], runs: pd.DataFrame, decoding: Decoding
) -> tuple[list[Candidate], pd.DataFrame]:
    """The choices of a study, and the rows by which its cells are judged; all rows where it has no nuisance fields.

    Args:
        experiments: the study's runs.
        runs: their rows of ``runs.csv``.
        decoding: decoders and conditions.

    Raises:
        ValueError: one line: there is nothing to choose on; or runs were made at a value that tuning did not choose.
    """
    tuning = [experiment for experiment in experiments if experiment.tuning]
    if tuning:
        candidates = choose(tuning, runs, decoding)
        _check_tuned(candidates, experiments, set(runs.loc[runs["status"] != "missing", "run"]))
        return candidates, runs[~runs["run"].isin({experiment.name for experiment in tuning})]
    if any(experiment.nuisance for experiment in experiments):
        candidates = choose(experiments, runs, decoding)
        return candidates, keep(runs, candidates)
    return [], runs


def choose(experiments: Sequence[Experiment], runs: pd.DataFrame, decoding: Decoding) -> list[Candidate]:
    """Every value of every cell in the study's order; one value of each cell is chosen.

    The chosen value has the lowest mean word error rate over seeds, for the last decoder, on all conditions of the
    valid split together. If several are equal, the one nearest to the middle of all tried values is chosen, and the
    smaller one of two that are as near (the earlier one if values are not numbers). A value is skipped if a seed
    diverged. None is chosen while any run of the cell is missing, or if every value diverged.

    Args:
        experiments: the study's runs.
        runs: their rows of ``runs.csv``; rows of other splits are ignored.
        decoding: decoders and conditions.

    Raises:
        ValueError: there is no condition of the valid split.
    """
    decoder, conditions = _chosen_on(decoding)
    status = runs.drop_duplicates("run").set_index("run")["status"]
    valid = runs[(runs["decoder"] == decoder) & runs["condition"].isin(conditions) & (runs["status"] == "finished")]
    counts = valid.assign(edits=valid[[*EDITS]].sum(axis=1)).groupby("run")[["edits", "words"]].sum()
    groups: dict[str, dict[str, list[Experiment]]] = {}
    for experiment in experiments:
        groups.setdefault(experiment.cell, {}).setdefault(repr(experiment.nuisance), []).append(experiment)
    result = []
    for cell, by_value in groups.items():
        candidates = [_candidate(cell, members, status, counts) for members in by_value.values()]
        best = None
        if not any(candidate.status == "missing" for candidate in candidates):
            # Exact fractions, so that equal counts are equal rates.
            finished = (
                (c.wer, far, c)
                for far, c in zip(_from_middle(candidates), candidates, strict=True)
                if c.wer is not None
            )
            best = min(finished, key=lambda one: one[:2], default=(None, None, None))[2]
        result += [Candidate(**(vars(candidate) | {"chosen": candidate is best})) for candidate in candidates]
    return result


def keep(runs: pd.DataFrame, candidates: Sequence[Candidate]) -> pd.DataFrame:
    """The rows by which cells are judged: the rows of the chosen values.

    A cell without a choice keeps the rows of the first value that is not finished, so it is not finished either. If
    every value diverged, it keeps the rows of the first value. Its nuisance fields then read ``UNDECIDED``.
    """
    kept: set[str] = set()
    undecided: set[str] = set()
    for cell in dict.fromkeys(candidate.cell for candidate in candidates):
        values = [candidate for candidate in candidates if candidate.cell == cell]
        chosen = next((candidate for candidate in values if candidate.chosen), None)
        shown = chosen or next((c for c in values if c.status == "missing"), values[0])
        kept |= set(shown.runs)
        if chosen is None:
            undecided |= set(shown.runs)
    rows = runs[runs["run"].isin(kept)].copy()
    for column in [name for name in candidates[0].values if name in rows.columns]:
        rows.loc[rows["run"].isin(undecided), column] = UNDECIDED
    return rows


def write(candidates: Sequence[Candidate], decoding: Decoding, folder: Path) -> None:
    """Writes ``nuisance.csv``, a row per cell and value with its WER on validation, or removes an old file."""
    if not candidates:
        (folder / FILE).unlink(missing_ok=True)
        return
    decoder, conditions = _chosen_on(decoding)
    rows = [
        {
            "cell": candidate.cell,
            **{name: as_text(value) for name, value in candidate.values.items()},
            "chosen": "yes" if candidate.chosen else "no",
            "status": candidate.status,
            "seeds": len(candidate.runs),
            "seeds_finished": candidate.finished,
            "decoder": decoder,
            "conditions": " ".join(conditions),
            "valid_wer_percent": None if candidate.wer is None else float(100 * candidate.wer),
            **(_how_tuned(candidate, candidates) if candidate.tuned_by else {}),
        }
        for candidate in candidates
    ]
    write_csv(folder / FILE, pd.DataFrame(rows))


def fields(folder: Path) -> list[str]:
    """The nuisance fields of a study; none where it has no ``nuisance.csv``."""
    path = folder / FILE
    if not path.is_file():
        return []
    return [column for column in pd.read_csv(path, nrows=0).columns if column not in _COLUMNS]


def describe_choices(folder: Path, metric: Metric = WORDS) -> list[str]:
    """Says in a sentence or two how the nuisance fields of a study were chosen; nothing if it has none.

    Raises:
        ValueError: one line: the file is malformed.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        table = unguard(pd.read_csv(path, dtype="str", keep_default_na=False))
        fields = [column for column in table.columns if column not in _COLUMNS]
        tried = table[fields].agg(", ".join, axis=1)
        first = table.iloc[0]
        where = f"{first['decoder']}; {first['conditions'].replace(' ', ', ')}"
        gone = table["status"] == "diverged"
        diverged = [f"{cell} at {value}" for cell, value in zip(table["cell"][gone], tried[gone], strict=True)]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{path}: not readable ({str(error).splitlines()[0]}); delete it to aggregate again") from None
    values = " / ".join(dict.fromkeys(tried))
    by = "mean over seeds"
    if "tuned_by" in table:
        by = f"seed {first['tuned_by'].replace(' ', ', ')}, which chooses and is in no row"
    sentences = [
        f"{' and '.join(fields)}: for each row the value of the lowest {metric.short} on validation ({where}; {by}),"
        f" of {values}; every value is in {FILE}."
    ]
    if diverged:
        sentences.append(f"Passed over because a seed diverged: {', '.join(diverged)}.")
    if "tuned_by" in table:
        sentences += _describe_tuning(table, tried)
    return sentences


def _describe_tuning(table: pd.DataFrame, tried: pd.Series) -> list[str]:
    """Sentences on choices that a reader must know of, in a study that tunes."""

    def listed(rows: pd.Series) -> str:
        return ", ".join(f"{cell} at {value}" for cell, value in zip(table["cell"][rows], tried[rows], strict=True))

    gone = [cell for cell, part in table.groupby("cell", sort=False) if set(part["status"]) == {"diverged"}]
    said = {
        "Tried as well, since the last value was the best": listed(table["added"] == "yes"),
        "Best at the last value tried, so that a better one may lie beyond": listed(table["last"] == "yes"),
        "Without a value, and so without runs, since every run that was to choose it diverged": ", ".join(
            map(str, gone)
        ),
    }
    return [f"{what}: {which}." for what, which in said.items() if which]


def _how_tuned(candidate: Candidate, candidates: Sequence[Candidate]) -> dict[str, str]:
    tried = [other.values for other in candidates if other.cell == candidate.cell]
    last = candidate.chosen and bool(ends(candidate.values, tried))
    seeds = " ".join(map(str, candidate.tuned_by))
    return {"tuned_by": seeds, "added": "yes" if candidate.added else "no", "last": "yes" if last else "no"}


def _from_middle(candidates: Sequence[Candidate]) -> list[tuple[float, int]]:
    """By how many places each is away from the middle, and its place; in the order of values if these are numbers."""
    values = [tuple(candidate.values.values()) for candidate in candidates]
    order = list(range(len(values)))
    if all(isinstance(number, int | float) for value in values for number in value):
        order.sort(key=lambda number: values[number])
    middle = (len(order) - 1) / 2
    return [(abs(place - middle), place) for place in map(order.index, range(len(order)))]


def _check_tuned(candidates: Sequence[Candidate], experiments: Sequence[Experiment], recorded: Set[str]) -> None:
    """Refuses runs at a value that the records do not choose.

    A cell whose records choose none, and that has no recorded run, may have been tuned elsewhere: nothing is compared.
    """
    chosen = {candidate.cell: candidate.values if candidate.chosen else None for candidate in candidates}
    chosen |= {candidate.cell: candidate.values for candidate in candidates if candidate.chosen}
    for experiment in experiments:
        if experiment.stage != "compared" or experiment.cell not in chosen:
            continue
        best = chosen[experiment.cell]
        if best != experiment.nuisance and (best is not None or experiment.name in recorded):
            used, found = (_words(values) if values else "none" for values in (experiment.nuisance, best))
            raise ValueError(
                f"cell '{experiment.cell}' has runs at {used}, but the records of its tuning choose {found}; restore"
                " these records, or run the study again: it goes on from what they say"
            )


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {as_text(value)}" for name, value in values.items())


def _candidate(cell: str, members: Sequence[Experiment], status: pd.Series, counts: pd.DataFrame) -> Candidate:
    names = tuple(experiment.name for experiment in members)
    found = [str(status[name]) for name in names]
    overall = next((word for word in ("missing", "diverged") if word in found), "finished")
    wer = None
    if overall == "finished":
        rates = [Fraction(int(counts.loc[name, "edits"]), int(counts.loc[name, "words"])) for name in names]
        wer = sum(rates, Fraction(0)) / len(rates)
    tuned_by = tuple(one.run.seed for one in members if one.tuning)
    added = members[0].stage == "extension"
    finished = found.count("finished")
    return Candidate(cell, members[0].nuisance, names, finished, overall, wer, tuned_by=tuned_by, added=added)


def _chosen_on(decoding: Decoding) -> tuple[str, list[str]]:
    conditions = [name for name, condition in decoding.conditions.items() if condition.split == "valid"]
    if not conditions:
        raise ValueError("'nuisance' chooses on the valid split, but 'conditions' has none; add valid: {split: valid}")
    return list(decoding.decoders)[-1], conditions
