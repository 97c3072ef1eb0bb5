"""Continues a run from its last checkpoint."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lrsms.data.identity import difference, warn_of_unknown_pieces
from lrsms.data.prepared import Prepared
from lrsms.record.resumed import refuse_wrongly_resumed
from lrsms.study.run import Run
from lrsms.training.checkpoint import load_checkpoint
from lrsms.training.distributed import ALONE, Ranks
from lrsms.training.state import restore


@dataclass(frozen=True)
class Begun:
    """The finished part of a run.

    Attributes:
        step: steps.
        sessions: the content of ``ending.Session`` for each process that took them.
        row: the log entry of the last step, if that step still has to be validated.
    """

    step: int = 0
    sessions: Sequence[Mapping[str, Any]] = ()
    row: dict[str, float] | None = None


def resume(
    folder: Path,
    run: Run,
    prepared: Prepared,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    total_weights: Mapping[str, Tensor],
    ranks: Ranks = ALONE,
) -> Begun:
    """Restores the run's last checkpoint, if there is one, at every rank; any number of ranks may have written it.

    Raises:
        ValueError: it is of other data, another model or optimizer, it follows on a session that restored it wrongly
            (see ``lrsms.record.resumed``), or ranks do not see the same one.
    """
    with nullcontext() if ranks.first else warnings.catch_warnings():
        if not ranks.first:
            warnings.simplefilter("ignore")  # the first rank warns for all
        checkpoint = load_checkpoint(folder / "checkpoints")
    step = 0 if checkpoint is None else checkpoint.step
    if ranks.totals([step * (ranks.rank == rank) for rank in range(ranks.size)]) != [step] * ranks.size:
        raise ValueError(f"{folder / 'checkpoints'}: not every process sees the same checkpoint; run again")
    if checkpoint is None:
        return Begun()
    if other := difference(checkpoint.extra, prepared.identity):
        raise ValueError(
            f"{folder}: was begun {other} than {prepared.folder} holds now; bring back the corpus as it was, or move "
            "the run's folder elsewhere to start anew"
        )
    if ranks.first:
        warn_of_unknown_pieces(folder, checkpoint.extra, prepared)
    try:
        begun = _begun(checkpoint.step, checkpoint.extra)
        restore(checkpoint, model, optimizer, total_weights)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{folder / 'checkpoints'}: do not fit this version of the model ({reason}); delete it to start anew"
        ) from None
    earlier = {"sessions": begun.sessions, "steps": step}
    refuse_wrongly_resumed(run, earlier, folder / "checkpoints", "delete it to start anew")
    return begun


def _begun(step: int, extra: Mapping[str, Any]) -> Begun:
    sessions, row = extra["sessions"], extra["row"]
    return Begun(step, [dict(session) for session in sessions], None if row is None else dict(row))
