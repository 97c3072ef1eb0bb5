"""The utterances of a study. Every run is scored on the same ones, so that counts can be paired and summed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrsms.record.score import COUNTS
from lrsms.report.paired import Key

_ERRORS = [COUNTS.index(name) for name in ("substitutions", "deletions", "insertions")]
_IDENTITY = ["decoder", "condition", "id", "speaker", "words", "characters"]


@dataclass(frozen=True)
class Part:
    """The rows of one decoder and condition, and their units of resampling.

    Attributes:
        rows: indices of the rows in a table of ``Utterances.ordered``.
        codes: for each row the index of its unit.
        units: for each unit the columns of ``speakers.csv`` that are the same in every run.
        speakers: number of speakers; None where they are unknown.
    """

    rows: slice
    codes: npt.NDArray[np.intp]
    units: pd.DataFrame
    speakers: int | None


class Utterances:
    """The content that all score tables of a study share, found once.

    Args:
        run: the run of the score table.
        scores: the table, not empty.
    """

    def __init__(self, run: str, scores: pd.DataFrame) -> None:
        self.run = run
        self._given = scores[_IDENTITY]
        sorted_ = self._given.sort_values(_IDENTITY)
        self._order = sorted_.index
        self._identity = sorted_.reset_index(drop=True)
        groups = self._identity.groupby(["decoder", "condition"], sort=False)
        self.parts: dict[Key, Part] = {(str(d), str(c)): _part(rows) for (d, c), rows in groups}

    def counts(self, run: str, scores: pd.DataFrame, records: Path) -> npt.NDArray[np.int64]:
        """The ``COUNTS`` of a run, in the rows of the parts: ``(rows, counts)``.

        Raises:
            ValueError: one line: the table has other utterances or references, so that counts cannot be paired.
        """
        if scores[_IDENTITY].equals(self._given):  # tables are written in this order
            return scores[[*COUNTS]].to_numpy()[self._order]
        ordered = scores.sort_values(_IDENTITY, ignore_index=True)
        if not ordered[_IDENTITY].equals(self._identity):
            raise ValueError(
                f"{records}: '{self.run}' and '{run}' were scored on different utterances or references; delete the"
                " wrong scores to decode again"
            )
        return ordered[[*COUNTS]].to_numpy()

    def of_condition(self, condition: str) -> Part:
        """The part of any decoder, since all have scored the same utterances."""
        return next(part for (_, name), part in self.parts.items() if name == condition)

    def summed(self, key: Key, counts: npt.NDArray[np.int64]) -> dict[str, Any]:
        """A run's columns of ``runs.csv`` for a decoder and a condition."""
        part = self.parts[key]
        totals = counts[part.rows].sum(axis=0)
        size = part.rows.stop - part.rows.start
        units = {"utterances": size, "speakers": part.speakers, "unit": part.units["unit"].iloc[0]}
        return dict(zip(COUNTS, map(int, totals), strict=True)) | units

    def edits(self, key: Key, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """A run's word errors for a decoder and a condition, by unit."""
        part = self.parts[key]
        errors = counts[part.rows, _ERRORS].sum(axis=1)
        return np.bincount(part.codes, errors).astype(np.int64)  # exact: sums of counts

    def by_unit(self, edits: Mapping[str, Mapping[Key, npt.NDArray[np.int64]]]) -> pd.DataFrame:
        """The rows of ``speakers.csv``, in the order of the runs and keys of ``edits``."""
        keys = list(next(iter(edits.values())))
        one = pd.concat([self.parts[key].units for key in keys], ignore_index=True)
        table = one.iloc[np.tile(np.arange(len(one)), len(edits))]
        found = np.concatenate([counts[key] for counts in edits.values() for key in keys])
        return table.assign(run=np.repeat(list(edits), len(one)), edits=found)


def _part(rows: pd.DataFrame) -> Part:
    """Units are speakers; utterances where speakers are unknown, or one speaker leaves nothing to resample."""
    known = bool((rows["speaker"] != "").all())
    speakers = rows["speaker"].nunique() if known else None
    by_speaker = speakers is not None and speakers > 1
    names, codes = np.unique(rows["speaker" if by_speaker else "id"].to_numpy(dtype=object), return_inverse=True)
    units = pd.DataFrame(
        {
            "decoder": rows["decoder"].iloc[0],
            "condition": rows["condition"].iloc[0],
            "unit": "speaker" if by_speaker else "utterance",
            "speaker": names,
            "utterances": np.bincount(codes),
            "words": np.bincount(codes, rows["words"]).astype(np.int64),
        }
    )
    return Part(slice(rows.index[0], rows.index[-1] + 1), codes, units, speakers)
