"""How a run ended: the content of ``run.json``, and a second copy that no workflow manager deletes.

Snakemake removes a job's declared output before it runs the job again, even if the job had ended and Snakemake was
killed before it noted that. So ``checkpoints/ended.json`` has the same content and the hash of the weights. As long as
both agree, a run that has ended is not trained again. It replaces the run's checkpoints, which are many times as
large as its weights.
"""

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lrsms.base.devices import device_name, peak_memory_mb
from lrsms.base.files import file_hash, write_json
from lrsms.base.provenance import provenance
from lrsms.data.identity import difference
from lrsms.data.prepared import Prepared
from lrsms.record.resumed import STATE_VERSION
from lrsms.record.run_files import OUTCOME, WEIGHTS
from lrsms.training.checkpoint import remove_checkpoints
from lrsms.training.distributed import Ranks

_ENDED = "ended.json"


@dataclass
class Session:
    """The part of a run that one process, or group of processes, makes before it ends or is interrupted.

    Attributes:
        start: steps that were done before it.
        ranks: the processes that take part.
        earlier: the ``content`` of earlier sessions.
        graphs: whether steps run as CUDA graphs, where they can: dropout then draws other numbers.
        began: its start, by the monotonic clock.
        origin: the code at the start, because a checkout may change during a run.
    """

    start: int
    ranks: Ranks
    earlier: Sequence[Mapping[str, Any]]
    graphs: bool = False
    began: float = field(default_factory=time.monotonic)
    origin: Mapping[str, Any] = field(default_factory=provenance)

    def content(self, recomputing: bool) -> list[Mapping[str, Any]]:
        """All sessions so far, this one included, as JSON; ``recomputing``: whether memory was short."""
        mine = {
            "start": self.start,
            "state_version": STATE_VERSION,
            "seconds": time.monotonic() - self.began,
            "device": device_name(self.ranks.device),
            "num_devices": self.ranks.size,
            "threads": torch.get_num_threads(),
            "recomputed": recomputing,
            "peak_memory_mb": peak_memory_mb(self.ranks.device),
            "graphs": self.graphs,
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "provenance": self.origin,
        }
        return [*self.earlier, mine]


def end(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Writes ``run.json``, and removes files that only an unfinished run needs; any weights are already written.

    ``run.json`` is ``outcome`` with ``weights_hash``, the SHA-256 of the file of weights; None for a diverged run.
    """
    weights = folder / WEIGHTS
    outcome = {**outcome, "weights_hash": file_hash(weights) if weights.is_file() else None}
    write_json(folder / "checkpoints" / _ENDED, {"weights": outcome["weights_hash"], "outcome": outcome})
    write_json(folder / OUTCOME, outcome)
    remove_checkpoints(folder / "checkpoints")


def read_end(folder: Path) -> dict[str, Any] | None:
    """How a run ended, as it was first written; None if it has not, or if its weights were changed since."""
    try:
        note = json.loads((folder / "checkpoints" / _ENDED).read_bytes())
        outcome, weights = dict(note["outcome"]), note["weights"]
        whole = file_hash(folder / WEIGHTS) == weights if weights is not None else outcome["status"] == "diverged"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return outcome if whole else None


def has_ended(folder: Path, prepared: Prepared, ranks: Ranks) -> bool:
    """Whether a run has been trained to its end; if so, its ``run.json`` is restored as it was first written.

    Raises:
        ValueError: it was trained on other data.
    """
    if not (folder / "checkpoints" / _ENDED).is_file():
        return False
    outcome = read_end(folder)
    if outcome is None:
        if ranks.first:
            warnings.warn(f"{folder}: had ended, but its weights were changed since; training again", stacklevel=2)
        return False
    if other := difference(outcome, prepared.identity):
        raise ValueError(
            f"{folder}: was trained {other} than {prepared.folder} holds now; bring back the corpus as it was, or move "
            "the run's folder elsewhere to train anew"
        )
    if ranks.first:
        write_json(folder / OUTCOME, outcome)
        remove_checkpoints(folder / "checkpoints")
    return True
