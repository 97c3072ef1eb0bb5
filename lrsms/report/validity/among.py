"""Compares the records of a study: shared content must be equal in each, and nothing else may be equal."""

import hashlib
import math
from pathlib import Path

import pandas as pd

from lrsms.base.strict import canonical_json
from lrsms.report.validity.record import Record
from lrsms.study.run import Run

_SLACK = 0.1
"""Relative tolerance: another release of PyTorch may count other operations."""


class Among:
    """The shared content of the records that were read so far.

    Args:
        records: their folder.
    """

    def __init__(self, records: Path) -> None:
        self._records = records
        self._vocabularies: dict[str, tuple[str, int]] = {}
        self._operations: dict[str, tuple[str, float]] = {}
        self._errors: dict[str, list[str]] = {}

    def add(self, name: str, run: Run, record: Record) -> None:
        """Checks one more record.

        Raises:
            ValueError: one line: it has another vocabulary or other multiply-adds than a run of the same configuration.
        """
        spelt = canonical_json({"corpus": run.corpus, "tokenizer": run.tokenizer})
        first, size = self._vocabularies.setdefault(spelt, (name, record.vocabulary))
        if size != record.vocabulary:
            raise ValueError(
                f"{self._records / name / 'plan.json'}: has a vocabulary of {record.vocabulary}, but '{first}' has "
                f"{size} of the same transcripts; delete the record that is wrong, to run it again"
            )
        lowrank = None if run.lowrank is None else run.lowrank.model_dump(exclude={"init"})
        shape = spelt + canonical_json({"model": run.model, "lowrank": lowrank})
        counted = float(record.outcome["macs_per_second"])
        first, before = self._operations.setdefault(shape, (name, counted))
        if not math.isclose(before, counted, rel_tol=_SLACK):
            raise ValueError(
                f"{self._records / name / 'run.json'}: 'macs_per_second' is {counted:.4g}, but '{first}', a run of the "
                f"same network, has {before:.4g}; delete the record that is wrong, to run it again"
            )
        is_trained = run.train.steps != 0  # what was not trained may be the same network at every seed
        if is_trained and (errors := _errors_of(record.scores)) is not None:
            self._errors.setdefault(errors, []).append(name)

    def warnings(self) -> list[str]:
        """Sentences about runs with the same errors in every utterance, which two trainings never have."""
        return [
            f"{', '.join(f'{name!r}' for name in names[:-1])} and '{names[-1]}' made the same errors in every "
            "utterance, by every decoder under every condition: the scores of one may be a copy of the other's."
            for names in self._errors.values()
            if len(names) > 1
        ]


def _errors_of(scores: pd.DataFrame) -> str | None:
    """A hash of the errors of every utterance; None if all words of all utterances are right, or all are wrong."""
    columns = ["decoder", "condition", "id", "words", "substitutions", "deletions", "insertions", "character_edits"]
    columns += ["alignment"] * ("alignment" in scores)
    right = scores["words"] - scores["substitutions"] - scores["deletions"]
    if not ((right > 0) & (right < scores["words"])).any():
        return None
    rows = sorted(zip(*(scores[column].tolist() for column in columns), strict=True))
    return hashlib.sha256(repr(rows).encode(errors="replace")).hexdigest()
