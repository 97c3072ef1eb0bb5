"""Progress bars for a workflow on a terminal: one for its jobs, and one for each running job, with time left.

Jobs report progress in plain lines (``progress.py``), which reach Snakemake's output. Here that output goes into a log,
and its lines of progress become bars. Without a terminal nothing changes: the lines themselves show the progress.
"""

import collections
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from lrsms.base.progress import LINE
from lrsms.base.terminal import open_console, say

_JOBS = re.compile(r"(?P<done>\d+) of (?P<total>\d+) steps \(\d+%\) done")
_LINES_OF_A_FAILURE = 40
_NOISE = re.compile(
    r"Using |Assuming |Building DAG|Conda environments|Select jobs|Execute \d|Complete log|Elapsed time|host: "
    r"|Command '|RuleException:|CalledProcessError in|WorkflowError:$|At least one job"
    r"|Exiting because|Provided |Rules claiming"
)
"""The beginnings of Snakemake's lines that do not explain a failure: the job itself has explained it in one line."""


def watch(command: Sequence[str], log: Path) -> int:
    """Runs ``command`` to its end.

    Args:
        command: the program and its arguments; no shell is involved.
        log: where its output goes when there is a terminal to draw bars on.

    Returns:
        Its exit status. After a failure, it has printed the end of the log.
    """
    if not sys.stderr.isatty():
        return subprocess.call(command)
    console = open_console(stderr=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    console.print(f"log: {log}")
    last_lines: collections.deque[str] = collections.deque(maxlen=_LINES_OF_A_FAILURE)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    )
    assert process.stdout is not None
    with log.open("w", encoding="utf-8") as file, _bars(console) as bars:
        shown = _Shown(bars)
        while True:
            try:
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    last_lines.append(line)
                    shown.update(line)
                status = process.wait()
                break
            except KeyboardInterrupt:
                continue  # the command got the terminal's signal too: wait until it has ended properly
    if status:
        console.print("".join(last_lines), markup=False, highlight=False)
    return status


def quietly(command: Sequence[str]) -> int:
    """Runs ``command`` and shows its standard error only if it fails.

    Args:
        command: the program and its arguments; its standard output is shown as it comes.

    Returns:
        Its exit status.
    """
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line and not _NOISE.match(line)]
        say("\n".join(said[-_LINES_OF_A_FAILURE:]), sys.stderr)
    return done.returncode


def _bars(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)


class _Shown:
    """The bars on the screen: one for all jobs, and one for each job that has reported and is not finished."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.began = time.monotonic()
        self.jobs = bars.add_task("jobs", total=1, note="")
        self.tasks: dict[str, TaskID] = {}

    def update(self, line: str) -> None:
        """Reads one line of the output."""
        if jobs := _JOBS.search(line):
            done, total = int(jobs["done"]), int(jobs["total"])
            left = timedelta(seconds=round((time.monotonic() - self.began) / max(done, 1) * (total - done)))
            self.bars.update(self.jobs, completed=done, total=total, note=f"about {left} left")
        elif report := LINE.fullmatch(line.strip()):
            title, done, total = report["title"], int(report["done"]), int(report["total"])
            if title not in self.tasks:
                self.tasks[title] = self.bars.add_task(title, total=total, note="")
            self.bars.update(self.tasks[title], completed=done, total=total, note=report["rest"])
            if done >= total:
                self.bars.remove_task(self.tasks.pop(title))
