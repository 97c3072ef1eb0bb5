"""The data for a run's page: its record, and its rows of the study's aggregates."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import nsmallest
from pathlib import Path
from typing import Any

import pandas as pd

from lrsms.record.bonus import Choice
from lrsms.record.score import COUNTS, EDITS, KEYS
from lrsms.record.worst import NUM_WORST, Words, badness
from lrsms.report.validity.record import read as read_record
from lrsms.study.decoding import Decoding
from lrsms.study.expand import Experiment


@dataclass(frozen=True)
class Material:
    """A run of a study, with all of it that is finished.

    Attributes:
        experiment: the run.
        status: ``finished``, ``diverged``, ``timed`` (in a study that trains nothing) or ``missing``.
        plan: content of ``plan.json``; empty where there is none.
        outcome: content of ``run.json``; empty where there is none.
        measured: the run's first row of ``runs.csv``; empty where it has none.
        scores: its score table; None where there is none, or it is empty.
        curve: its training curve; None where there is none.
        times: how long decoding took (see `lrsms.record.decoding_times`); empty where that is unknown.
        choices: for each decoder the length bonus chosen on the valid split (see `lrsms.record.bonus`).
        words: words of the worst utterances (see `lrsms.record.worst`); empty where they are unknown.
        losses: losses of every utterance (see `lrsms.record.losses`); None where they are unknown.
    """

    experiment: Experiment
    status: str
    plan: Mapping[str, Any]
    outcome: Mapping[str, Any]
    measured: Mapping[str, Any]
    scores: pd.DataFrame | None
    curve: pd.DataFrame | None
    times: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    words: Words = field(default_factory=dict)
    losses: pd.DataFrame | None = None

    @property
    def matrices(self) -> list[dict[str, Any]]:
        """The matrices of the plan."""
        return list(self.plan.get("matrices", ()))

    def number(self, name: str) -> float | None:
        """A measured number from ``runs.csv``; without a row there, from the plan or the outcome; None if unknown."""
        for source in (self.measured, self.plan, self.outcome):
            value = source.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not pd.isna(value):
                return float(value)
        return None

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Sums of the score table by decoder and condition, with the number of utterances; empty without a table."""
        if self.scores is None:
            return pd.DataFrame(columns=["decoder", "condition", "utterances", *COUNTS])
        grouped = self.scores.assign(utterances=1).groupby(["decoder", "condition"], sort=False, as_index=False)
        return grouped[["utterances", *COUNTS]].sum()

    def worst(self, decoder: str, condition: str) -> pd.DataFrame:
        """The ``NUM_WORST`` utterances with most word errors; at equal errors, those with fewer words first."""
        if self.scores is None:
            return pd.DataFrame(columns=[*KEYS, *COUNTS, "alignment", "edits"])
        found = [row for row in self._wrong if row[:2] == (decoder, condition)]
        worst = nsmallest(NUM_WORST, found, key=lambda row: badness(-row[2], *row[3:5]))
        return self.scores.iloc[[row[-1] for row in worst]].assign(edits=[-row[2] for row in worst])

    @cached_property
    def _wrong(self) -> list[tuple[str, str, int, int, str, int]]:
        """Decoder, condition, edits (negative), words, id and row of every utterance with errors.

        They are lists, since pandas takes ten times as long to sort parts of a small table.
        """
        assert self.scores is not None
        edits = (-self.scores[[*EDITS]].to_numpy().sum(axis=1)).tolist()
        decoders, conditions, words, ids = (
            self.scores[name].tolist() for name in ("decoder", "condition", "words", "id")
        )
        rows = zip(decoders, conditions, edits, words, ids, range(len(ids)), strict=True)
        return [row for row in rows if row[2] < 0]

    def without_scores(self) -> "Material":
        """The same without score table and curve, which need much memory for many runs."""
        return replace(self, scores=None, losses=None, curve=None, words={})


def load(experiment: Experiment, records: Path, decoding: Decoding, measured: Mapping[str, Any]) -> Material:
    """Reads a run's record, which may not be there.

    Args:
        experiment: the run.
        records: folder of the runs' records.
        decoding: the way of decoding whose scores are shown.
        measured: the run's first row of ``runs.csv``.

    Raises:
        ValueError: one line: a file of the record is malformed.
    """
    record = read_record(records / experiment.name, experiment.run, decoding)
    if record is None:
        status = "timed" if not experiment.trained and measured.get("status") == "timed" else "missing"
        return Material(experiment, status, {}, {}, measured, None, None)
    return Material(
        experiment=experiment,
        status=record.outcome["status"],
        plan=record.plan,
        outcome=record.outcome,
        measured=measured,
        scores=None if record.scores.empty else record.scores,
        curve=record.curve,
        times=record.times,
        choices=record.choices,
        words=record.words,
        losses=record.losses,
    )
