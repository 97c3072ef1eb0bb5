"""Checks that the records of a study can be compared: the same recordings and texts, and the same tokenizer.

``run.json`` identifies the data by three hashes (``Prepared.identity``):

- ``source_hash``: hash of the recordings' bytes and the texts. Tokenizer, machine and libraries do not change it;
- ``data_hash``: hash of the prepared content, or of the manifest if the corpus is rendered. Old records have only this.
  Equal hashes mean the same recordings. So a record with both hashes identifies the recordings of an old record;
- ``tokenizer_hash``: runs with the same ``tokenizer`` settings must have the same hash.

Under a condition that names a corpus of its own, they must be scored on the same test set too: by ``source_hash`` in
``scores-<digest>.tests.json``.

Samples that were prepared otherwise from the same recordings are remarked on, not refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsms.base.strict import canonical_json
from lrsms.record.run_files import OUTCOME
from lrsms.record.tested import ScoredOn, load_tests
from lrsms.study.expand import Experiment
from lrsms.study.run import Run

_SHOWN = 10
"""Digits of a hash that a message shows."""


@dataclass(frozen=True)
class Noted:
    """The identity of the data of one record."""

    run: str
    tokenizer: str
    data_hash: str
    source_hash: str | None
    tokenizer_hash: str | None
    manifest_hash: str | None
    streams_hash: str | None


def compare(experiments: Sequence[Experiment], records: Path, scores: str) -> list[str]:
    """Remarks for readers of a table about runs whose data are not bit-identical.

    Args:
        experiments: the study's runs.
        records: folder of their records. Missing and malformed records are ignored here; their readers report them.
        scores: name of the score table that makes a record complete.

    Raises:
        ValueError: one line: the records cannot be compared.
    """
    complete = [e for e in experiments if e.trained and (records / e.name / scores).is_file()]
    found = [data for e in complete if (data := noted(e.name, e.run, records / e.name)) is not None]
    tested = {e.name: load_tests(records / e.name / scores) for e in complete}
    return [*agree(found, records), *agree_on_tests(tested, records)]


def agree(found: Sequence[Noted], records: Path) -> list[str]:
    """The same for data noted in records of one corpus and task; messages name ``records`` as their folder."""
    _refuse_other_recordings(found, records)
    _refuse_other_tokenizers(found, records)
    return _remarks(found)


def agree_on_tests(tested: Mapping[str, Mapping[str, ScoredOn]], records: Path) -> list[str]:
    """Likewise, of the test sets of conditions, by run and condition.

    Raises:
        ValueError: one line: two runs were scored on different ones under one condition.
    """
    firsts: dict[str, tuple[str, ScoredOn]] = {}
    others: dict[str, str] = {}
    for run, conditions in tested.items():
        for condition, one in conditions.items():
            name, first = firsts.setdefault(condition, (run, one))
            if (first.corpus, first.source_hash) != (one.corpus, one.source_hash):
                ours, theirs = (f"{each.corpus} {each.source_hash[:_SHOWN]}" for each in (first, one))
                raise ValueError(
                    f"{records}: under condition '{condition}', '{name}' was scored on test set {ours} and '{run}' on"
                    f" {theirs}, which cannot be compared; prepare the one that is meant, and delete the scores of the"
                    " other to decode it again"
                )
            if first.streams_hash != one.streams_hash:
                others.setdefault(condition, run)
    return [
        f"Data: under condition '{condition}', '{run}' was scored on other samples of the same recordings than"
        f" '{firsts[condition][0]}', as another machine or version of a library may prepare: by a last bit, as a rule."
        for condition, run in others.items()
    ]


def noted(name: str, run: Run, record: Path) -> Noted | None:
    """The identity of the data in the record of a run; None where nothing readable is noted."""
    try:
        content = json.loads((record / OUTCOME).read_bytes())
        said: dict[str, Any] = content if isinstance(content, dict) else {}
    except (OSError, ValueError, RecursionError):
        return None
    hashes = {key: said.get(key) for key in Noted.__dataclass_fields__ if key.endswith("_hash")}
    known = {key: value if isinstance(value, str) and value else None for key, value in hashes.items()}
    if known["data_hash"] is None:
        return None
    return Noted(name, canonical_json(run.tokenizer.model_dump(mode="json")), **known)  # type: ignore[arg-type]


def _refuse_other_recordings(noted: Sequence[Noted], records: Path) -> None:
    """Refuses a record whose recordings are not those of the first, directly or through other records."""
    reached = _names(noted[0]) if noted else set()
    others, near = list(noted), list(noted)
    while near:
        near = [data for data in others if reached & _names(data)]
        others = [data for data in others if not reached & _names(data)]
        reached = reached.union(*map(_names, near))
    if others:
        raise ValueError(_not_the_same(noted[0], others[0], records))


def _names(data: Noted) -> set[str]:
    """The names by which its recordings are known."""
    return {f"data {data.data_hash}"} | ({f"source {data.source_hash}"} if data.source_hash else set())


def _not_the_same(first: Noted, other: Noted, records: Path) -> str:
    trained = f"'{first.run}' was trained on data {_hash(first)} and '{other.run}' on {_hash(other)}"
    old = next((data for data in (first, other) if data.source_hash is None), None)
    why, or_tell = "of other recordings or transcripts", ""
    if old is not None:
        why = f"as far as is known: '{old.run}' is from before recordings were hashed apart from their preparation"
        or_tell = "; or add a run of its settings with another seed, which tells whether the recordings are the same"
    return (
        f"{records}: {trained}, which cannot be compared, {why}; move the run of another corpus, in "
        f"{records} and in results/runs, to another folder and run again{or_tell}"
    )


def _hash(data: Noted) -> str:
    return (data.source_hash or data.data_hash)[:_SHOWN]


def _refuse_other_tokenizers(noted: Sequence[Noted], records: Path) -> None:
    first_with: dict[str, Noted] = {}
    for data in noted:
        if data.tokenizer_hash is None:
            continue
        first = first_with.setdefault(data.tokenizer, data)
        if first.tokenizer_hash != data.tokenizer_hash:
            raise ValueError(
                f"{records}: '{first.run}' and '{data.run}' have tokenizers of the same settings, {data.tokenizer}, "
                "that spell otherwise, so that their models differ in more than the study says (another version of "
                "sentencepiece trains another tokenizer; 'packages' in run.json names it); to have both, train one of "
                f"them again in another checkout, with the other's version, and bring its record to {records}"
            )


def _remarks(noted: Sequence[Noted]) -> list[str]:
    """A line for each way in which equal data were prepared differently."""
    told = {
        "streams_hash": "prepared other samples (or babble) from the same recordings, as another machine or version of"
        " a library may: by a last bit, as a rule",
        "manifest_hash": "left out other utterances of the same corpus, or cut some to another length",
    }
    remarks = []
    for key, what in told.items():
        known = [data for data in noted if getattr(data, key) is not None]
        others = [data.run for data in known if getattr(data, key) != getattr(known[0], key)]
        if others:
            more = f" and {len(others) - 1} more" if others[1:] else ""
            remarks.append(f"Data: '{others[0]}'{more} {what}, than '{known[0].run}'.")
    return remarks
