"""Unpacks an archive of records that another machine, or another person, packed with ``reference --pack``.

It accepts only what ``pack`` puts in: files of records, step times and notes of studies, by their names and places.
Every member is checked before anything is written, and an existing file that differs is never overwritten.
"""

import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrsms.base.files import write_atomically, write_json
from lrsms.study.more_seeds import most_seeds
from lrsms.study.tuning import furthest

_RUN, _FILE = r"[A-Za-z0-9][A-Za-z0-9_.+-]*", r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_RECORD = r"(?:config|plan|run|spectra)\.json|curve\.csv|scores-[0-9a-f]{8}\.(?:(?:loss\.)?csv\.gz|[a-z_]+\.json)"
KNOWN = re.compile(rf"results/(?:records/{_RUN}/(?:{_RECORD})|steptime/{_FILE}\.json|{_RUN}/project\.json)")
"""The files that are shared, by their place in a clone."""
_FOLDER = re.compile(rf"results(?:/(?:records(?:/{_RUN})?|steptime|{_RUN}))?/?")
MOST_BYTES = 2**26
"""Largest size of one file."""
MOST_IN_ALL = 2**31
MOST_FILES = 100_000


def unpack(archive: Path, root: Path) -> list[Path]:
    """Unpacks into the root of a clone.

    Args:
        archive: ``.tar.gz``, from ``reference.pack``.
        root: the folder that holds ``results``.

    Returns:
        The files that were not there before.

    Raises:
        ValueError: one line: the archive cannot be read, or has a member that is not one of ours, is not a plain file,
            is too large, or would change an existing file. Nothing is unpacked then. Only a project.json may change:
            it grows by the seeds of the other one, and by what tuning has come to there.
    """
    found: list[Path] = []
    growing: dict[Path, dict[str, Any]] = {}
    for name, content in members(archive):
        path = root / name
        _refuse_links(path, root, archive)
        if not path.is_file():
            found.append(path)
        elif (known := path.read_bytes()) != content:
            more = grown(known, content) if path.name == "project.json" else None
            if more is None:
                raise ValueError(f"{archive}: '{name}' differs from the file that is here; move one of them away")
            growing[path] = more
    for name, content in members(archive):
        if root / name in found:
            write_atomically(root / name, content)
    for path, project in growing.items():
        write_json(path, project)
    return found


def grown(known: bytes, other: bytes) -> dict[str, Any] | None:
    """A project.json with the seeds and the tuning of both; None if they contradict each other, or differ in more."""
    try:
        here, there = json.loads(known), json.loads(other)
        seeds = most_seeds(here.get("seeds"), there.get("seeds"))
        tuned = furthest(here.get("tuned"), there.get("tuned"))
    except (ValueError, AttributeError, LookupError, TypeError):  # such as one that somebody wrote by hand
        return None
    grows = {"seeds": None, "tuned": None}
    if here | grows != there | grows:
        return None
    return here | ({"seeds": seeds} if seeds else {}) | ({"tuned": tuned} if tuned else {})


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yields names and contents of an archive's files, after a check of their headers.

    Raises:
        ValueError: as ``unpack``.
    """
    total, seen = 0, set[str]()
    if not archive.exists():
        raise ValueError(f"{archive}: is not there; give an archive that reference --pack wrote")
    try:
        with tarfile.open(archive, "r|gz") as file:
            for member in file:
                if member.isdir() and _FOLDER.fullmatch(member.name):
                    continue
                if not member.isreg() or not KNOWN.fullmatch(member.name) or member.name in seen:
                    raise ValueError(
                        f"{member.name[:200]!r} is not a file of a record, a step time or a project.json in its place"
                    )
                total += member.size
                if member.size > MOST_BYTES or total > MOST_IN_ALL or len(seen) >= MOST_FILES:
                    raise ValueError(f"{member.name!r} makes it larger than any archive of records")
                seen.add(member.name)
                stream = file.extractfile(member)
                assert stream is not None
                content = stream.read()
                if len(content) != member.size:
                    raise ValueError(f"it ends within {member.name!r}")
                yield member.name, content
    except (
        OSError,
        EOFError,
        tarfile.TarError,
        zlib.error,
        ValueError,
        TypeError,
    ) as error:  # an empty file: TypeError
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{archive}: cannot be unpacked: {reason}; nothing was written, get another copy") from None


def _refuse_links(path: Path, root: Path, archive: Path) -> None:
    """Refuses a folder of the clone that is a link, because it leads elsewhere."""
    for folder in (path, *path.parents):
        if folder == root:
            return
        if folder.is_symlink():
            raise ValueError(f"{archive}: cannot be unpacked: {folder} is a symbolic link; put a folder in its place")
