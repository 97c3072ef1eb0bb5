"""An orderly end at SIGTERM, or at SIGUSR1, which is Slurm's warning before the time is over."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_STATUS = 75
"""EX_TEMPFAIL of sysexits.h: the work continues when it is started again."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
ONE_REQUEST_SECONDS = 1.0
"""Signals within this many seconds are one request: a process may get one with its group and one from its launcher."""

Stop = Callable[[], bool]
"""A function that says whether the process was asked to stop."""


class Interrupted(Exception):
    """Work ended early on request; nothing is lost."""


def never() -> bool:
    """A ``Stop`` that is never requested."""
    return False


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turns the first of ``SIGNALS`` into a request that the work can check; a second one ends the process at once.

    Once a stop was requested, our handlers stay installed until the process exits. Otherwise a second copy of the same
    signal would kill the process while it shuts down.
    """
    asked_at: float | None = None

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal asked_at
        if asked_at is None:
            asked_at = time.monotonic()
        elif time.monotonic() - asked_at > ONE_REQUEST_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    earlier = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield lambda: asked_at is not None
    finally:
        if asked_at is None:
            for number, handler in earlier.items():
                signal.signal(number, handler)
