"""Two runs beside each other, from their records: configuration, plan, curve, and every error that only one makes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lrsms.base.files import read_json
from lrsms.record import hypotheses
from lrsms.record.record import load_curve, load_outcome, load_run
from lrsms.record.run_files import OUTCOME, PLAN, SCORES
from lrsms.record.score import EDITS, counted, read_alignments, read_scores
from lrsms.record.seal import hash_of
from lrsms.record.tested import load_tests
from lrsms.record.worst import load_worst
from lrsms.report.comparable import agree_on_tests
from lrsms.statistics.mapsswe import MatchedPairs, mapsswe
from lrsms.statistics.stats import Interval, bootstrap_difference
from lrsms.study.decoding import hypotheses_of
from lrsms.study.fields import as_text
from lrsms.study.run import Run

Key = tuple[str, str]
"""A decoder and a condition."""


@dataclass(frozen=True)
class Side:
    """A run as its record tells of it.

    Attributes:
        record: its folder.
        run: its configuration.
        plan: content of ``plan.json``.
        outcome: content of ``run.json``.
        curve: its training curve; None where there is none.
    """

    record: Path
    run: Run
    plan: Mapping[str, Any]
    outcome: Mapping[str, Any]
    curve: pd.DataFrame | None

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.record.resolve().name


@dataclass(frozen=True)
class Errors:
    """The errors of both sides, by one decoder under one condition.

    Attributes:
        table: by utterance id: speaker, words, and edits ``a`` and ``b``.
        letters: alignments of both sides by id; empty where a table is from before they were kept.
        said: by id the reference, and both hypotheses where they are known.
    """

    table: pd.DataFrame
    letters: Mapping[str, tuple[str, str]]
    said: Mapping[str, tuple[str, str | None, str | None]]

    @property
    def rates(self) -> tuple[float, float]:
        """Error rates, as fractions."""
        words = self.table["words"].sum()
        return float(self.table["a"].sum() / words), float(self.table["b"].sum() / words)

    @property
    def interval(self) -> Interval:
        """Interval of B's rate minus A's, by a bootstrap over speakers, or over utterances if there is one speaker."""
        unit = "speaker" if self.table["speaker"].nunique() > 1 else "id"
        sums = self.table.reset_index().groupby(unit)[["a", "b", "words"]].sum()
        return bootstrap_difference(sums["a"].to_numpy(), sums["b"].to_numpy(), sums["words"].to_numpy())[0]

    @property
    def test(self) -> MatchedPairs | None:
        """MAPSSWE of B against A; None without alignments."""
        return mapsswe(*zip(*self.letters.values(), strict=True)) if self.letters else None

    def flipped(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Utterances that only A, and only B, has without an error; those with most errors of the other first."""
        only_a = self.table[(self.table["a"] == 0) & (self.table["b"] > 0)].sort_values(
            "b", ascending=False, kind="stable"
        )
        only_b = self.table[(self.table["b"] == 0) & (self.table["a"] > 0)].sort_values(
            "a", ascending=False, kind="stable"
        )
        return only_a, only_b

    def by_speaker(self) -> pd.DataFrame:
        """Words and edits of each speaker, where they differ most first."""
        sums = self.table.groupby("speaker")[["words", "a", "b"]].sum()
        order = ((sums["b"] - sums["a"]) / sums["words"]).abs().sort_values(ascending=False, kind="stable")
        return sums.loc[order.index]

    def by_word(self, run: Run) -> pd.DataFrame:
        """How often each reference word is said, and substituted or deleted by A and B; of utterances that are known.

        Those of which B makes more or fewer errors than A come first.
        """
        times: Counter[str] = Counter()
        wrong: tuple[Counter[str], Counter[str]] = Counter(), Counter()
        for name, (reference, _, _) in self.said.items():
            words = counted(reference, run.corpus.unit)
            times.update(words)
            for errors, letters in zip(wrong, self.letters.get(name, ("", "")), strict=True):
                kept = [letter for letter in letters if letter != "I"]
                errors.update(word for word, letter in zip(words, kept, strict=False) if letter != "C")
        table = pd.DataFrame({"times": times, "a": wrong[0], "b": wrong[1]}, dtype="Int64").fillna(0).astype(int)
        order = np.lexsort((table.index, -(table["b"] - table["a"]).abs()))
        return table.iloc[order]


def load(record: Path) -> Side:
    """Reads a record, without its scores.

    Raises:
        ValueError: one line: there is none, or it is malformed.
    """
    if not (record / PLAN).is_file():
        raise ValueError(f"{record}: is no record of a run; give a name or a folder in results/records")
    run, outcome = load_run(record), load_outcome(record)
    plan = read_json(record / PLAN, "restore it")
    return Side(record, run, plan, outcome, load_curve(record))


def configuration(a: Run, b: Run) -> dict[str, tuple[str, str]]:
    """Dotted fields that differ, and both values; empty where a side has none."""
    first, second = (_flat(run.model_dump(mode="json", exclude_none=True)) for run in (a, b))
    keys = dict.fromkeys([*first, *second])
    return {
        key: (as_text(first.get(key)), as_text(second.get(key))) for key in keys if first.get(key) != second.get(key)
    }


def errors(a: Side, b: Side, runs: Path) -> dict[Key, Errors]:
    """By decoder and condition, of the score tables that both have; nothing where they share none.

    Args:
        a: one side.
        b: the other.
        runs: folders of runs, where hypotheses may lie; where they are gone, the words are known of the worst
            utterances only, which records keep.

    Raises:
        ValueError: one line: a table is malformed, or they are of other utterances.
    """
    found: dict[Key, Errors] = {}
    for table in sorted(a.record.glob(SCORES)):
        other = b.record / table.name
        if not other.is_file():
            continue
        agree_on_tests({str(path.parent): load_tests(path) for path in (table, other)}, table.parents[1])
        tables = [read_scores(path) for path in (table, other)]
        letters = [read_alignments(path) for path in (table, other)]
        said = [_said(side, path, runs) for side, path in ((a, table), (b, other))]
        keys = ["decoder", "condition", "id"]
        one, two = (part.assign(edits=part[list(EDITS)].sum(axis=1)).set_index(keys) for part in tables)
        shared = ["speaker", "words"]
        if not one[shared].sort_index().equals(two[shared].sort_index()):
            raise ValueError(f"{table} and {other}: are of other utterances or references, which do not compare")
        joint = one[shared].assign(a=one["edits"], b=two["edits"])
        for (decoder, condition), part in joint.groupby(level=["decoder", "condition"], sort=True):
            key = str(decoder), str(condition)
            rows = part.droplevel(["decoder", "condition"])
            aligned = [one_side.get(key, {}) for one_side in letters]
            names = [name for name in rows.index if all(name in one_side for one_side in aligned)]
            pairs = {name: (aligned[0][name], aligned[1][name]) for name in names}
            found[key] = Errors(rows, pairs, _joined(said[0], said[1], key, list(rows.index)))
    return found


Said = Mapping[tuple[str, str, str], tuple[str, str]]


def _said(side: Side, table: Path, runs: Path) -> Said:
    """Reference and hypothesis by decoder, condition and id: of all, or of the worst utterances."""
    path = runs / side.name / hypotheses_of(table.name)
    outcomes = [folder / OUTCOME for folder in (path.parent, side.record)]
    if not path.is_file() or hash_of(outcomes[0]) != hash_of(outcomes[1]):  # none, or of another training
        return load_worst(table)
    rows = hypotheses.read(path, path.parent, side.outcome)
    return {(row["decoder"], row["condition"], row["id"]): (row["reference"], row["hypothesis"]) for row in rows}


def _joined(a: Said, b: Said, key: Key, ids: Sequence[str]) -> dict[str, tuple[str, str | None, str | None]]:
    found = {}
    for name in ids:
        one, two = a.get((*key, name)), b.get((*key, name))
        known = one or two
        if known is not None:
            found[name] = (known[0], one and one[1], two and two[1])
    return found


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
