"""Runs that were resumed by a version of lrsms that restored the optimizer's moments in the wrong order.

Factors from an SVD are stored column by column. Before ``STATE_VERSION`` 2, their moments were restored from a
checkpoint row by row. Fused AdamW on a CPU reads both in the order of memory, and so gave each weight the moments of
another one. On a GPU it refused them. The checkpoints themselves are right: a run that was never resumed may continue
from its own.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrsms.study.run import Run

STATE_VERSION = 2
"""How a session restores a checkpoint. Sessions in ``run.json`` name their version, except those of version 1."""
_ROW_BY_ROW = ("matched", "orthogonal", "random")
"""Initialisations whose factors were always stored row by row: version 1 restored their moments correctly."""


def refuse_wrongly_resumed(run: Run, outcome: Mapping[str, Any], path: Path, remedy: str) -> None:
    """Refuses the files of a wrongly resumed run.

    Args:
        run: the run.
        outcome: its ``run.json``; for a run that has not ended, its ``sessions`` and ``steps`` so far.
        path: the file or folder to name.
        remedy: what to do about it.

    Raises:
        ValueError: one line: the run was resumed wrongly.
    """
    reason = wrongly_resumed(run, outcome)
    if reason:
        raise ValueError(f"{path}: {reason}; {remedy}")


def wrongly_resumed(run: Run, outcome: Mapping[str, Any]) -> str:
    """The reason why a run's weights are wrong, if it was resumed wrongly; otherwise empty."""
    if run.lowrank is None or run.lowrank.init in _ROW_BY_ROW:
        return ""
    try:
        # The oldest records have the last session only.
        sessions = outcome.get("sessions") or [{"start": outcome.get("resumed_at", 0)}]
        starts = [session["start"] for session in sessions]
        ends = [*starts[1:], outcome.get("diverged_at") or outcome.get("steps", math.inf)]
        for session, start, end in zip(sessions, starts, ends, strict=True):
            # A session that ended at the step where it began has changed no weight.
            if 0 < start < end and session.get("state_version", 1) < STATE_VERSION:
                return (
                    f"the run was resumed from step {start} by a version of lrsms that mixed up the optimizer's"
                    f" moments of '{run.lowrank.init}' factors, so its result is wrong"
                )
    except (AttributeError, LookupError, TypeError) as error:
        return f"'sessions' was changed after training wrote it ({error})"
    return ""
