"""A run's hypotheses: JSON lines of every utterance by every decoder under every condition, and their seal.

``<name>.seal.json`` beside them has the hash of their ``run.json``, their own hash and those of the losses, and of the
test sets, beside them.
So a file that was cut, emptied or edited, or that comes from other weights, is refused.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrsms.base.files import write_atomically
from lrsms.base.printable import one_line
from lrsms.record import seal
from lrsms.record.run_files import OUTCOME, losses_path
from lrsms.record.score import HYPOTHESIS_KEYS
from lrsms.record.tested import load_tests, refuse_incomplete, tests_path

Row = Mapping[str, str]
"""With ``HYPOTHESIS_KEYS``."""


def write(path: Path, rows: Sequence[Row], folder: Path) -> None:
    """Writes the seal, then the hypotheses of the run in ``folder``: an incomplete file is then refused.

    Losses and test sets beside them were written before.
    """
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    parts = {OUTCOME: seal.hash_of(folder / OUTCOME), path.name: seal.hash_bytes(content)}
    beside = [losses_path(path), tests_path(path)]
    seal.write(path, parts | {file.name: seal.hash_of(file) for file in beside})
    write_atomically(path, content)


def read(path: Path, folder: Path, outcome: Mapping[str, Any]) -> list[dict[str, str]]:
    """The rows of the run in ``folder``: one for each decoder, condition and utterance; none if the run diverged.

    Old hypotheses, from before there were seals, have no seal.

    Raises:
        ValueError: one line: a line is torn or malformed, lines are missing or repeated, or the file is not as
            ``decode`` wrote it.
    """
    beside = {file.name: file for file in (path, losses_path(path), tests_path(path))}
    seal.check(path, {OUTCOME: folder / OUTCOME} | beside, "decode the run again")
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}, line {number}"
            row = _parse(line, where)
            key = row["decoder"], row["condition"], row["id"]
            if key in rows:
                raise ValueError(f"{where}: decoder, condition and id {key} already occurred; each may occur once")
            rows[key] = row
    found = list(rows.values())
    _check_complete(path, found, outcome["status"])
    refuse_incomplete(path, load_tests(path), ((row["decoder"], row["condition"]) for row in found))
    return found


def _check_complete(path: Path, rows: Sequence[Row], status: str) -> None:
    if status != "finished":
        if rows:
            raise ValueError(f"{path}: has hypotheses, but its run {status}; delete it and decode the run again")
        return
    if not rows:
        raise ValueError(f"{path}: is empty, but its run finished; delete it and decode the run again")
    spoken: dict[tuple[str, str], tuple[str, str]] = {}
    decoded: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        utterance, said = (row["condition"], row["id"]), (row["speaker"], row["reference"])
        if spoken.setdefault(utterance, said) != said:
            raise ValueError(
                f"{path}: utterance '{one_line(row['id'])}' under condition '{one_line(row['condition'])}' has two "
                "references or speakers; decode the run again"
            )
        decoded.setdefault(row["decoder"], set()).add(utterance)
    for decoder, utterances in decoded.items():
        if missing := sorted(spoken.keys() - utterances):
            condition, name = missing[0]
            raise ValueError(
                f"{path}: decoder '{one_line(decoder)}' has no line for utterance '{one_line(name)}' under condition "
                f"'{one_line(condition)}', which "
                f"another has ({len(missing)} are missing); delete it and decode the run again"
            )


def _parse(line: bytes, where: str) -> dict[str, str]:
    if not line.endswith(b"\n"):
        raise ValueError(f"{where}: the file ends within this line; decode the run again")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({str(error).splitlines()[0]}); decode the run again") from None
    if not isinstance(row, dict) or set(row) != set(HYPOTHESIS_KEYS):
        found = one_line(", ".join(row)) if isinstance(row, dict) else type(row).__name__
        raise ValueError(f"{where}: has {found}; expected an object with {', '.join(HYPOTHESIS_KEYS)}")
    for key, value in row.items():
        if not isinstance(value, str):
            raise ValueError(f"{where}: '{key}' is {json.dumps(value)[:80]}, expected text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where}: '{key}' has an incomplete character; decode the run again") from None
    return row
