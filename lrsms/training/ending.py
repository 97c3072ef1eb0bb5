"""How a run ended: the content of ``run.json``, kept a second time where no workflow manager deletes it.

Snakemake removes a job's declared output before it runs the job again, also where the job had ended and Snakemake was
killed before it took note. So ``checkpoints/ended.json`` holds the same content beside the hash of the weights; as long
as both agree, a run that has ended is not trained again. It takes the place of the run's checkpoints, which are many
times as large as its weights.
"""

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lrsms.data.identity import difference
from lrsms.data.prepared import Prepared
from lrsms.files import file_hash, write_json
from lrsms.provenance import processor, provenance
from lrsms.resumed import STATE_VERSION
from lrsms.study import OUTCOME
from lrsms.training.checkpoint import remove_checkpoints
from lrsms.training.distributed import Ranks

WEIGHTS = "weights.safetensors"
_ENDED = "ended.json"


@dataclass
class Session:
    """What one process, or group of processes, adds to a run before it ends or is interrupted.

    Attributes:
        start: steps that lie behind it.
        ranks: who takes part.
        earlier: what ``content`` said of the sessions before.
        began: by the monotonic clock.
        origin: the code: as it was at the beginning, since a checkout may change while a run is on.
    """

    start: int
    ranks: Ranks
    earlier: Sequence[Mapping[str, Any]]
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
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "provenance": self.origin,
        }
        return [*self.earlier, mine]


def end(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Writes ``run.json``, and removes what only an unfinished run needs; the weights, if any, are there already.

    ``run.json`` is ``outcome`` with ``weights_hash``, the SHA-256 of the file of weights; None of a run that diverged.
    """
    weights = folder / WEIGHTS
    outcome = {**outcome, "weights_hash": file_hash(weights) if weights.is_file() else None}
    write_json(folder / "checkpoints" / _ENDED, {"weights": outcome["weights_hash"], "outcome": outcome})
    write_json(folder / OUTCOME, outcome)
    remove_checkpoints(folder / "checkpoints")


def check_weights(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Whether a run's weights are those that training wrote; of runs from before ``weights_hash`` that is not known.

    Raises:
        ValueError: one line: they are not.
        OSError: they cannot be read.
    """
    path = folder / WEIGHTS
    if "weights_hash" in outcome and file_hash(path) != outcome["weights_hash"]:
        raise ValueError(
            f"{path}: is not what training wrote (its SHA-256 is not 'weights_hash' of {folder / OUTCOME}); restore it,"
            f" or delete {folder / OUTCOME} to train again"
        )


def has_ended(folder: Path, prepared: Prepared, ranks: Ranks) -> bool:
    """Whether a run need not be trained any more; then its ``run.json`` is there, as it was first written.

    Raises:
        ValueError: it was trained on other data.
    """
    path = folder / "checkpoints" / _ENDED
    if not path.is_file():
        return False
    try:
        note = json.loads(path.read_bytes())
        outcome, weights = dict(note["outcome"]), note["weights"]
        whole = file_hash(folder / WEIGHTS) == weights if weights is not None else outcome["status"] == "diverged"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        whole = False
    if not whole:
        if ranks.first:
            warnings.warn(f"{folder}: had ended, but its weights are not as they were; training anew", stacklevel=2)
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


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory held so far: allocated on the device, or resident in this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def device_name(device: torch.device) -> str:
    """The model of a GPU or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
