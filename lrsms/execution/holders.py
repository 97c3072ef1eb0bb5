"""Finds the process that holds the folder of a workflow, and whether it still runs: Snakemake's lock outlives it.

Snakemake's own lock says neither which process made it nor on which machine. So each Snakemake that starts leaves a
note with its process beside the lock.
"""

import datetime
import json
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lrsms.base.files import write_json

FOLDER = Path(".snakemake")
UNLOCK = f"{shlex.quote(sys.executable)} -m snakemake --unlock"
_SECONDS = 30.0
_CLOCK = 2.0
"""Seconds by which two readings of a process's start time may differ."""


@dataclass(frozen=True)
class Holder:
    """A Snakemake that holds a folder.

    Attributes:
        host: the machine that it runs on.
        pid: the number of its process there.
        began: when that process began, in seconds since 1970, because numbers of processes are used again.
        cluster: whether its jobs are sent to a cluster, where they continue after its end.
    """

    host: str
    pid: int
    began: float
    cluster: bool

    @property
    def lives(self) -> bool:
        """Whether the process is still there, if it was on this machine."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.began) < _CLOCK
        except psutil.Error:
            return False

    def __str__(self) -> str:
        """The process, in words for the user."""
        since = datetime.datetime.fromtimestamp(self.began).strftime("%Y-%m-%d %H:%M")
        return f"Snakemake, process {self.pid} since {since}"


def hold(cluster: bool, folder: Path = FOLDER) -> None:
    """Writes a note that this process holds the folder; ``cluster``: whether its jobs are sent to a cluster."""
    mine = psutil.Process()
    write_json(_note(folder, mine.pid), asdict(Holder(socket.gethostname(), mine.pid, mine.create_time(), cluster)))


def release(folder: Path = FOLDER) -> None:
    """Removes this process's note."""
    _note(folder, psutil.Process().pid).unlink(missing_ok=True)


def look(folder: Path = FOLDER) -> str | None:
    """Unlocks a folder whose lock was left by a dead process, where this is known to be safe.

    Returns:
        One line: what was done, or what holds the folder and what to do about it. None if nothing holds it.
    """
    notes = sorted((folder / "holders").glob("*.json"))
    locks = [path for path in (folder / "locks").glob("*") if path.is_file()]
    if not locks:
        _remove(notes)
        return None
    holders = [holder for holder in map(_read, notes) if holder is not None]
    here = [holder for holder in holders if holder.host == socket.gethostname()]
    if at_work := next((holder for holder in here if holder.lives), None):
        return f"note: {at_work}, is at work in this folder; wait until it has ended"
    if elsewhere := next((holder for holder in holders if holder not in here), None):
        return f"note: {elsewhere} on {elsewhere.host}, holds this folder; if it has ended, unlock the folder: {UNLOCK}"
    if alive := _at_work(folder.absolute().parent):
        numbers = " ".join(str(pid) for pid in alive)
        return (
            "note: this folder is locked, and jobs of a Snakemake that was killed are still at work in it; wait for"
            f" them, or end them with: kill {numbers}"
        )
    if not here:
        return (
            "note: this folder is locked by a Snakemake that was killed, or that runs on another machine; if none runs,"
            f" unlock it: {UNLOCK}"
        )
    if any(holder.cluster for holder in here):
        queued = _queued(folder.absolute().parent)
        if queued is None:
            return (
                f"note: {here[0]}, was killed, and its jobs may still be in the cluster's queue; cancel them (scancel),"
                f" then unlock the folder: {UNLOCK}"
            )
        if queued:
            return (
                f"note: {here[0]}, was killed, and its jobs are still in the cluster's queue; cancel them:"
                f" scancel {' '.join(queued)}; then start again"
            )
    _remove([*locks, *notes])
    return f"note: {here[0]}, was ended before it had finished; the folder is unlocked, and unfinished files are made"


def _note(folder: Path, pid: int) -> Path:
    return folder / "holders" / f"{socket.gethostname()}-{pid}.json"


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # half a file, after a power cut
        return None


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _at_work(folder: Path) -> list[int]:
    """Processes of Snakemake and of its jobs in a folder, except this process and those that started it."""
    mine = psutil.Process()
    family = {mine.pid, *(parent.pid for parent in mine.parents())}
    found = []
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        words = process.info["cmdline"] or []
        ours = any(word == "lrsms" or Path(word).name == "snakemake" for word in words[:4])
        if ours and process.info["cwd"] == str(folder) and process.info["pid"] not in family:
            found.append(process.info["pid"])
    return found


def _queued(folder: Path) -> list[str] | None:
    """Numbers of the Slurm jobs that work in a folder; None if Slurm does not say."""
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--format=%i %Z"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    lines = [line.strip().partition(" ") for line in done.stdout.splitlines()]
    return [number for number, _, where in lines if where.strip() == str(folder)]
