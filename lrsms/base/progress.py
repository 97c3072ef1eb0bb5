"""Progress with time left: a bar on a terminal, plain lines in a log."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lrsms.base.terminal import open_console, say

SECONDS_BETWEEN_LINES = 5.0
LINE = re.compile(r"(?P<title>.+): (?P<done>\d+)/(?P<total>\d+) \(\d+%\), (?P<rest>.+)")
"""A plain line of progress."""


class Report(Protocol):
    """A function to call during the work."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Reports that ``done`` of ``total`` units are finished, with a short note."""


@contextmanager
def progress(title: str, start: int = 0) -> Iterator[Report]:
    """A progress report on standard error, until the block ends.

    Args:
        title: what is being done.
        start: units that were done before (in a resumed run); the estimate ignores them.
    """
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=open_console(stderr=True)) as bar:
            task = bar.add_task(title, total=None, completed=start, note="")
            yield lambda done, total, note="": bar.update(task, completed=done, total=total, note=note)
        return

    began = last = time.monotonic()

    def line(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES and done < total:
            return
        last = now
        left = (now - began) / max(done - start, 1) * (total - done)
        text = f"{title}: {done}/{total} ({done / max(total, 1):.0%}), {timedelta(seconds=round(left))} left"
        say(f"{text}, {note}" if note else text, sys.stderr)
        sys.stderr.flush()

    yield line
