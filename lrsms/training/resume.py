"""Continues a run from its last checkpoint."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsms.data.identity import difference, warn_of_unknown_pieces
from lrsms.data.prepared import Prepared
from lrsms.record.resumed import refuse_wrongly_resumed
from lrsms.record.start import STARTS
from lrsms.study.run import Run
from lrsms.training.checkpoint import Checkpoint, load_checkpoint
from lrsms.training.cut import cut_by_outputs
from lrsms.training.distributed import Ranks
from lrsms.training.start import starting_weights
from lrsms.training.state import State, restore


@dataclass(frozen=True)
class Begun:
    """The finished part of a run.

    Attributes:
        step: number of steps that it has taken.
        sessions: the content of ``ending.Session`` for each session that took them.
        row: the log entry of the last step, if that step still has to be validated.
        start: what is noted of the weights that the run began from; None: they were random.
    """

    step: int = 0
    sessions: Sequence[Mapping[str, Any]] = ()
    row: dict[str, float] | None = None
    start: Mapping[str, Any] | None = None

    @property
    def noted(self) -> dict[str, Any]:
        """What checkpoints and ``run.json`` say of these weights; nothing of random ones."""
        return {} if self.start is None else {"init_from": self.start}


def resume(
    folder: Path, run: Run, prepared: Prepared, total: int, ranks: Ranks, graphs: bool = False, starts: Path = STARTS
) -> tuple[State, Begun]:
    """Restores the run's last checkpoint, or begins the run. Any number of ranks may have written the checkpoint.

    Once there is a checkpoint, the weights that the run began from are not needed any more.

    Args:
        folder: folder of the run.
        run: the run.
        prepared: its corpus.
        total: steps of the training.
        ranks: the processes that train it; all of them go on from the same checkpoint.
        graphs: whether steps run as CUDA graphs, where they can.
        starts: folders with weights that runs begin from.

    Raises:
        ValueError: one line: the weights of ``init_from`` are missing or do not fit; the checkpoint has other data,
            another model or another optimizer; a session before it was restored wrongly (see ``lrsms.record.resumed``);
            ranks do not see the same one; or the run does not fit the length of its training.
    """
    checkpoint = _newest(folder, ranks)
    step = 0 if checkpoint is None else checkpoint.step
    if checkpoint is not None and (other := difference(checkpoint.extra, prepared.identity)):
        raise ValueError(
            f"{folder}: was begun {other} than {prepared.folder} holds now; bring back the corpus as it was, or move "
            "the run's folder elsewhere to start anew"
        )
    start, weights = None, None
    if checkpoint is None and run.init_from is not None:
        start, weights = starting_weights(run, prepared, starts)
        if run.lowrank is not None and run.lowrank.cut_by is not None and not run.method.cuts_trained:
            weights = cut_by_outputs(run, weights, prepared)
    state = State.at(run, prepared.tokenizer.size, ranks.device, step, total, graphs, weights)
    if checkpoint is None:
        return state, Begun(start=None if start is None else start.note())
    if ranks.first:
        warn_of_unknown_pieces(folder, checkpoint.extra, prepared)
    try:
        begun = _begun(checkpoint.step, checkpoint.extra)
        restore(checkpoint, state.model, state.optimizer, state.total_weights)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{folder / 'checkpoints'}: do not fit this version of the model ({reason}); delete it to start anew"
        ) from None
    earlier = {"sessions": begun.sessions, "steps": step}
    refuse_wrongly_resumed(run, earlier, folder / "checkpoints", "delete it to start anew")
    return state, begun


def _newest(folder: Path, ranks: Ranks) -> Checkpoint | None:
    """The newest whole checkpoint, the same at every rank."""
    with nullcontext() if ranks.first else warnings.catch_warnings():
        if not ranks.first:
            warnings.simplefilter("ignore")  # the first rank warns for all
        checkpoint = load_checkpoint(folder / "checkpoints")
    step = 0 if checkpoint is None else checkpoint.step
    if ranks.totals([step * (ranks.rank == rank) for rank in range(ranks.size)]) != [step] * ranks.size:
        raise ValueError(f"{folder / 'checkpoints'}: not every process sees the same checkpoint; run again")
    return checkpoint


def _begun(step: int, extra: Mapping[str, Any]) -> Begun:
    sessions, row = extra["sessions"], extra["row"]
    return Begun(
        step, [dict(session) for session in sessions], None if row is None else dict(row), extra.get("init_from")
    )
