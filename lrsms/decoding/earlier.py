"""What an earlier decoding of a run has found already: a condition that is added is decoded, and no other again.

``<name>.decoding.json`` beside hypotheses ``<name>.jsonl`` says how they were made. Hypotheses, losses and times of a
condition hold if the decoders are the same, all of them, the condition is the same, and so is its test set. Where a
length bonus was chosen, the conditions of the valid split, on which it was, must be the same too.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json, write_json
from lrsms.base.strict import parse
from lrsms.record import hypotheses
from lrsms.record.bonus import Choice, load_choices
from lrsms.record.decoding_times import load_times
from lrsms.record.losses import Loss, load_losses
from lrsms.record.run_files import beside
from lrsms.record.tested import ScoredOn, load_tests
from lrsms.study.decoding import Decoding

_NOTE = "decoding.json"


@dataclass
class Earlier:
    """The findings of an earlier decoding of a run, as far as they still hold.

    Attributes:
        conditions: that need not be decoded.
        rows: their hypotheses.
        losses: of their utterances.
        times: how long they took, by condition, as far as it was measured on the same device.
        choices: of length bonuses, by decoder.
    """

    conditions: set[str] = field(default_factory=set)
    rows: list[dict[str, str]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    times: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)


def note(output: Path, decoding: Decoding) -> None:
    """Writes how hypotheses are made beside them."""
    write_json(beside(output, _NOTE), decoding.model_dump(mode="json", exclude_none=True))


def take(
    folder: Path,
    output: Path,
    outcome: Mapping[str, Any],
    decoding: Decoding,
    tested: Mapping[str, ScoredOn],
    about: Mapping[str, Any],
) -> Earlier:
    """Reads what holds, from the newest hypotheses to the oldest; what was damaged since is warned of and passed over.

    Args:
        folder: of the run.
        output: the hypotheses that are to be written, which are not read.
        outcome: content of the run's ``run.json``.
        decoding: how it is to be decoded.
        tested: its test sets, by condition.
        about: device and threads now.
    """
    found = Earlier()
    notes = sorted(folder.glob(f"hypotheses-*.{_NOTE}"), key=lambda path: (-path.stat().st_mtime_ns, path.name))
    for path in notes:
        made = beside(path, "jsonl")
        if made.name == output.name or not made.is_file():
            continue
        try:
            earlier = parse(Decoding, read_json(path, "delete it to decode again"), str(path))
            if made.name == f"hypotheses-{earlier.digest}.jsonl" and _same_search(earlier, decoding):
                _add(found, made, hypotheses.read(made, folder, outcome), earlier, decoding, tested, about)
        except ValueError as error:
            warnings.warn(f"{error} (what it holds is not used)", stacklevel=2)
    return found


def _same_search(earlier: Decoding, decoding: Decoding) -> bool:
    chosen = any(decoder.grid for decoder in decoding.decoders.values())
    same_valid = earlier.of_split("valid") == decoding.of_split("valid")
    return earlier.decoders == decoding.decoders and (same_valid or not chosen)


def _add(
    found: Earlier,
    made: Path,
    rows: list[dict[str, str]],
    earlier: Decoding,
    decoding: Decoding,
    tested: Mapping[str, ScoredOn],
    about: Mapping[str, Any],
) -> None:
    losses, theirs, times = load_losses(made), load_tests(made, earlier), load_times(made)
    choices = load_choices(made, earlier)
    new = {
        name
        for name, condition in decoding.conditions.items()
        if name not in found.conditions
        and earlier.conditions.get(name) == condition
        and earlier.corpus_of(name) == decoding.corpus_of(name)
        and theirs.get(name) == tested.get(name)
    }
    if losses is None or not new:
        return
    found.conditions |= new
    found.rows += [row for row in rows if row["condition"] in new]
    for condition, name, tokens, *nats in losses.itertuples(index=False):
        if condition in new:
            ctc, attention = (None if math.isnan(loss) else loss for loss in nats)
            found.losses.append(Loss(condition, name, tokens, ctc, attention))
    if all(times.get(key) == value for key, value in about.items()):
        found.times |= {name: one for name, one in times["conditions"].items() if name in new}
    found.choices = choices
