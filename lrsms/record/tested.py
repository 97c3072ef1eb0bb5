"""Which test set a run was scored on, under each condition that names a corpus of its own.

``<name>.tests.json`` is beside a run's hypotheses ``<name>.jsonl``, and beside its score table in the record. By
condition it has::

    corpus        name of the corpus, whose test split it is
    source_hash   of its recordings and texts, whatever the machine: runs that are compared must have the same
    data_hash     of its prepared content, of a rendered corpus of its manifest
    streams_hash  of its prepared samples and pictures alone
    utterances    how many there are: as many are scored
    left_out      those that are not, by reason (see ``leftout``)

Hypotheses and score tables without such conditions lack the file.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json, write_json
from lrsms.record import leftout
from lrsms.record.run_files import beside
from lrsms.study.decoding import Decoding

_REMEDY = "restore it, or delete the score table beside it to decode again"


@dataclass(frozen=True)
class ScoredOn:
    """The test set of a condition."""

    corpus: str
    source_hash: str
    data_hash: str
    streams_hash: str
    utterances: int
    left_out: Mapping[str, Any]


def tests_path(path: Path) -> Path:
    """The path of the test sets that belong to hypotheses or to a score table."""
    return beside(path, "tests.json")


def write_tests(path: Path, tested: Mapping[str, ScoredOn]) -> None:
    """Writes the test sets, by condition, beside hypotheses; removes old ones where there are none."""
    if not tested:
        tests_path(path).unlink(missing_ok=True)
        return
    write_json(tests_path(path), {name: asdict(one) for name, one in tested.items()})


def load_tests(path: Path, decoding: Decoding | None = None) -> dict[str, ScoredOn]:
    """The test sets beside hypotheses or a score table, by condition; none where there is no file.

    Args:
        path: of hypotheses or a score table.
        decoding: what the file must be of; None: of anything.

    Raises:
        ValueError: one line: the file is malformed, or missing or of other conditions than ``decoding`` has.
    """
    file = tests_path(path)
    content = read_json(file, _REMEDY) if file.is_file() else {}
    found = {name: _tested(file, name, one) for name, one in content.items()}
    if decoding is not None:
        wanted = {name: one.corpus for name, one in decoding.conditions.items() if one.corpus is not None}
        told = {name: one.corpus for name, one in found.items()}
        if wanted != told:
            raise ValueError(f"{file}: is of {_listed(told)}, expected {_listed(wanted)}; {_REMEDY}")
    return found


def refuse_incomplete(path: Path, tested: Mapping[str, ScoredOn], rows: Iterable[tuple[str, str]]) -> None:
    """Checks that every decoder has as many rows under each condition as its test set has utterances.

    Args:
        path: of hypotheses or a score table.
        tested: the test sets beside it.
        rows: decoder and condition of each; a diverged run has none.

    Raises:
        ValueError: one line that names the condition.
    """
    counts = Counter(rows)
    for decoder in dict.fromkeys(decoder for decoder, _ in counts):
        for name, one in tested.items():
            if (count := counts[decoder, name]) != one.utterances:
                raise ValueError(
                    f"{path}: decoder '{decoder}' has {count:,} utterances under condition '{name}', but its corpus"
                    f" '{one.corpus}' has {one.utterances:,}; delete it and decode the run again"
                )


def _tested(file: Path, name: str, content: Any) -> ScoredOn:
    wanted = {field.name: field.type for field in fields(ScoredOn)}
    sound = isinstance(content, dict) and set(content) == set(wanted)
    if sound:
        texts = [content[key] for key in ("corpus", "source_hash", "data_hash", "streams_hash")]
        sound = all(isinstance(text, str) and text for text in texts)
        sound = sound and type(content["utterances"]) is int and content["utterances"] > 0
    if not sound:
        raise ValueError(f"{file}: '{name}' must have {', '.join(wanted)}; {_REMEDY}")
    leftout.describe(content["left_out"])
    return ScoredOn(**content)


def _listed(corpora: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({corpus})" for name, corpus in sorted(corpora.items())) or "no condition"
