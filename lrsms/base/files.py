"""Files that are either complete or absent."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

from lrsms.base.printable import printable

MOST_BYTES = 2**26
"""Largest size of a JSON file: far more than any file of a record has."""
_PATIENCE_SECONDS = 0.5
"""``held`` probes a lock only for a moment; a process that works on the folder holds it for longer."""
_RETRY_SECONDS = 0.05
_CANNOT = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOLCK, errno.ENOTTY, errno.EBADF}
"""Errors of network file systems and FUSE for operations that they do not offer."""


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file under its name only when it is complete, also if the power fails; makes its folder.

    One process at a time may write a file. What it leaves when it is killed is overwritten by the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with naming(path):
            temporary.write_bytes(content)
            settle(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON that a person can read."""
    write_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        ValueError: one line: it cannot be read, or is no object. The line ends with ``remedy``: what to do about it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
        content = json.loads(text, object_pairs_hook=_once)
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except FileNotFoundError:
        raise ValueError(f"{path}: is not there; {remedy}") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = printable(str(error).splitlines()[0])
        raise ValueError(f"{path}: not readable as JSON ({reason}); {remedy}") from None
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key '{next(key for key in keys if keys.count(key) > 1)}' is given twice")
    return content


def settle(temporary: Path, path: Path) -> None:
    """Gives a complete file its name, once it is on the disk."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        _warn_once("this file system cannot flush a folder to the disk: a power cut may undo the last files")
    finally:
        os.close(folder)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the file's name to an ``OSError``: the system names a file that cannot be opened, but not on a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def refuse_existing(folder: Path) -> None:
    """Refuses, by a ValueError of one line, the name of a folder to be made where something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: is there already; give the name of a new folder, or delete it")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``folder`` when all is in it.

    What a killed process left half-way is removed. An earlier folder is there until the new one is whole; a process
    that is killed between its two renames leaves neither, and the next one brings the earlier folder back first.
    """
    folder = folder.resolve()
    part, earlier = (folder.with_name(f".{folder.name}.{ending}") for ending in ("part", "earlier"))
    if earlier.exists() and not folder.exists():
        os.replace(earlier, folder)
    for left in (part, earlier):
        shutil.rmtree(left, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if folder.exists():
            os.replace(folder, earlier)
        os.replace(part, folder)
    finally:
        if earlier.exists() and not folder.exists():
            os.replace(earlier, folder)
        for left in (part, earlier):
            shutil.rmtree(left, ignore_errors=True)


class Held(ValueError):
    """Another process is at work in a folder."""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Locks ``folder``, which is made, for this process until the block or the process ends, in whatever way.

    Raises:
        Held: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        last = time.monotonic() + _PATIENCE_SECONDS
        while not _locked(file):
            if time.monotonic() > last:
                raise Held(f"{folder}: another process is at work on this run; wait until it ends")
            time.sleep(_RETRY_SECONDS)
        yield


def held(folder: Path) -> bool:
    """Whether a process holds ``folder`` now, by ``only_one``; on another node, only if the file system shows it.

    Nothing is written, and one who asks is not taken for work by another.
    """
    try:
        with (folder / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        _warn_once("this file system has no locks: make sure that no two processes work on the same run")
        return True


@cache
def _warn_once(text: str) -> None:
    """Warns once in a process: the next file is probably on the same file system."""
    warnings.warn(text, stacklevel=3)
