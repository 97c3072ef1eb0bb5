"""Runs that went on from a checkpoint in a version of lrsms that put the optimizer's moments back in the wrong order.

Factors from an SVD lie in memory column by column. Until ``STATE_VERSION`` 2 their moments came back from a checkpoint
row by row, and fused AdamW on a CPU, which walks both as they lie, gave each weight the moments of another. On a GPU it
refused them. The checkpoints themselves are sound: one of a run that was never resumed may be gone on from.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrsms.study.run import Run

STATE_VERSION = 2
"""How a session puts a checkpoint back. Sessions in ``run.json`` say theirs, but for those of version 1."""
_ROW_BY_ROW = ("matched", "orthogonal", "random")
"""Initialisations whose factors always lay row by row: version 1 put their moments back rightly."""


def refuse_wrongly_resumed(run: Run, outcome: Mapping[str, Any], path: Path, remedy: str) -> None:
    """Refuses what a wrongly resumed run left.

    Args:
        run: the run.
        outcome: its ``run.json``; or ``sessions`` and ``steps`` so far, of a run that has not ended.
        path: the file or folder to name.
        remedy: what to do about it.

    Raises:
        ValueError: one line: the run was resumed wrongly.
    """
    reason = wrongly_resumed(run, outcome)
    if reason:
        raise ValueError(f"{path}: {reason}; {remedy}")


def wrongly_resumed(run: Run, outcome: Mapping[str, Any]) -> str:
    """Why a run's weights are wrong, if it was resumed wrongly; otherwise empty."""
    if run.lowrank is None or run.lowrank.init in _ROW_BY_ROW:
        return ""
    try:
        # The first records of all tell of the last session only.
        sessions = outcome.get("sessions") or [{"start": outcome.get("resumed_at", 0)}]
        starts = [session["start"] for session in sessions]
        ends = [*starts[1:], outcome.get("diverged_at") or outcome.get("steps", math.inf)]
        for session, start, end in zip(sessions, starts, ends, strict=True):
            # A session that began where it ended has moved no weight.
            if 0 < start < end and session.get("state_version", 1) < STATE_VERSION:
                return (
                    f"the run went on from step {start} in a version of lrsms that mixed up the optimizer's moments of"
                    f" '{run.lowrank.init}' factors, so its result is wrong"
                )
    except (AttributeError, LookupError, TypeError) as error:
        return f"'sessions' is not as training wrote it ({error})"
    return ""
