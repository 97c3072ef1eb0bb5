"""Checks ``run.json`` and ``plan.json``: how training ended, and whether the network is that of the configuration."""

import json
import math
import re
from pathlib import Path
from typing import Any

from lrsms.methods.closed_form import multiply_adds_bounds, plan_of, vocabulary_of
from lrsms.report.validity.values import Fields, remedy_of, wrong
from lrsms.study.run import Run

MOST_SECONDS = 10 * 365 * 24 * 3600.0
"""Largest time of a training: ten years."""
MOST_MEGABYTES = 2.0**27
"""Largest memory: 128 TiB."""
MOST_STEPS = 10**9
MOST_CHARACTERS = 0x110000 + 2
"""Largest vocabulary of characters: Unicode has no more."""
_FEWEST_TOKENS = 3
"""Smallest vocabulary: the blank, a character, and the mark of a sentence's start and end."""
_WEIGHT_BYTES = 4
_SHA256 = re.compile("[0-9a-f]{64}")
_HASHES = ("data_hash", "corpus_hash", "manifest_hash")


def check_plan(path: Path, content: dict[str, Any], run: Run) -> int:
    """Checks ``plan.json`` against the configuration: shapes, ranks and parameters are counted again.

    Returns:
        The vocabulary size V.

    Raises:
        ValueError: one line.
    """
    fields = Fields(path, content)
    matrices = fields.get("matrices")
    if not isinstance(matrices, list) or not all(isinstance(entry, dict) for entry in matrices):
        raise wrong(path, "matrices", matrices, "a list of matrices")
    head = next((entry for entry in matrices if entry.get("name") == "ctc"), None)
    if head is None:
        raise ValueError(f"{path}: 'matrices' has no 'ctc', whose rows are the vocabulary; {remedy_of(path)}")
    known = vocabulary_of(run)
    low, high = (_FEWEST_TOKENS, MOST_CHARACTERS) if known is None else (known, known)
    size = Fields(path, head, "matrices.ctc.").whole("rows", low, high, ", the vocabulary")
    try:
        expected = plan_of(run, size)
    except ValueError as error:
        raise ValueError(f"{path.with_name('config.json')}: {error}; {remedy_of(path)}") from None
    for key in ("parameters", "parameters_dense", "factorised", "factorised_dense"):
        fields.whole(key, expected[key], expected[key], ", as its configuration has")
    if len(matrices) != len(expected["matrices"]):
        right = f"the {len(expected['matrices'])} kinds that its configuration has"
        raise wrong(path, "matrices", f"{len(matrices)} kinds of matrices", right)
    for found, planned in zip(matrices, expected["matrices"], strict=True):
        if _text({key: found.get(key) for key in planned}) != _text(planned):
            key = next(key for key, value in planned.items() if _text(found.get(key)) != _text(value))
            raise wrong(path, f"matrices.{planned['name']}.{key}", found.get(key), _text(planned[key])[:200])
    return size


def _text(content: object) -> str:
    """The value as JSON, in which 1, 1.0 and true differ."""
    return json.dumps(content)


def check_outcome(path: Path, content: dict[str, Any], run: Run, size: int) -> None:
    """Checks that every field of ``run.json`` is in its range, and agrees with the others and with the configuration.

    Raises:
        ValueError: one line.
    """
    fields = Fields(path, content)
    status = fields.get("status")
    if status not in ("finished", "diverged"):
        raise wrong(path, "status", status, "'finished' or 'diverged'")
    total = run.train.steps
    if total is not None:
        steps = fields.whole("steps", total, total, ", as config.json has")
    else:
        steps = fields.whole("steps", run.train.snapshots, MOST_STEPS, f", as {run.train.snapshots} snapshots need")
    if status == "diverged":
        fields.whole("diverged_at", min(1, steps), steps, ", a step of its training")
    elif content.get("diverged_at") is not None:
        raise wrong(path, "diverged_at", content["diverged_at"], "null, since 'status' is 'finished'")
    fields.text("data_hash")
    for key in _HASHES:
        fields.optional(key, fields.text)
    fields.number("macs_per_second", *multiply_adds_bounds(run, size), ", as its configuration's network takes")
    least = _WEIGHT_BYTES * plan_of(run, size)["parameters"] / 2**20
    fields.number("peak_memory_mb", least, MOST_MEGABYTES, ": its weights alone take the least")
    fields.text("device")
    fields.optional("seconds", fields.number, 0.0, MOST_SECONDS)
    fields.optional("waited", fields.number, 0.0, 1.0)
    fields.optional("resumed_at", fields.whole, 0, steps)
    fields.optional("threads", fields.whole, 1, 2**20)
    fields.optional("num_devices", fields.whole, 1, 2**20)
    if content.get("provenance") is not None:
        fields.below("provenance", content["provenance"])
    if content.get("sessions") is not None:
        _check_sessions(fields, steps)
    _check_start(fields, run)


def _check_start(fields: Fields, run: Run) -> None:
    """It began from the weights that its configuration names, or from none."""
    noted = fields.content.get("init_from")
    if run.init_from is None:
        if noted is not None:
            raise wrong(fields.path, "init_from", noted, "absent, since config.json has none")
        return
    weights = fields.below("init_from", fields.get("init_from")).text("weights_hash")
    if not _SHA256.fullmatch(weights) or not weights.startswith(run.init_from):
        right = f"a SHA-256 that begins with {run.init_from}, as config.json has"
        raise wrong(fields.path, "init_from.weights_hash", weights, right)


def _check_sessions(fields: Fields, steps: int) -> None:
    """Checks that sessions follow one another from step 0, and add up to the run's time."""
    sessions = fields.content["sessions"]
    if not isinstance(sessions, list) or not sessions:
        raise wrong(fields.path, "sessions", sessions, "a list of at least one session")
    last, seconds = 0, list[float | None]()
    for number, each in enumerate(sessions):
        session = fields.below(f"sessions.{number}", each)
        last = session.whole("start", last, steps if number else 0, ", a step not before the session before it")
        session.optional("seconds", session.number, 0.0, MOST_SECONDS)
        seconds.append(each.get("seconds"))
        session.optional("device", session.text)
        session.optional("threads", session.whole, 1, 2**20)
        session.optional("num_devices", session.whole, 1, 2**20)
        session.optional("peak_memory_mb", session.number, 0.0, MOST_MEGABYTES)
    known = [each for each in seconds if each is not None]
    if fields.content.get("seconds") is not None and len(known) == len(seconds):
        total = math.fsum(known)
        slack = 1e-6 * total + 1e-3
        fields.number("seconds", total - slack, total + slack, ", the sum of its sessions")
    if fields.content.get("resumed_at") is not None:
        fields.whole("resumed_at", last, last, ", where its last session begins")
