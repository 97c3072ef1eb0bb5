"""Records of another machine, brought into a folder of this one before anything is made of them.

Only files that are shared are taken, by their names and places (see `lrsms.record.archive`): of a folder, all else in
it is left alone; an archive must hold nothing else.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from lrsms.record.archive import KNOWN, MOST_BYTES, MOST_FILES, MOST_IN_ALL, members


def bring(source: Path, root: Path) -> None:
    """Copies what is shared of a folder or an archive into ``root``, as ``results/...``.

    Args:
        source: an archive of ``reference --pack``; or a clone, its folder ``results``, or a folder of records.
        root: an empty folder of this machine.

    Raises:
        ValueError: one line: there is no such source, it holds no records, a part of it is a symbolic link, or it is
            too large.
    """
    if not source.exists():
        raise ValueError(f"{source}: is not there; give a folder or an archive of records")
    empty = True
    for name, content in members(source) if source.is_file() else _files(source):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        empty = False
    if empty:
        raise ValueError(f"{source}: holds no records; give a clone, its folder results, or a folder of records")


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names in a clone, and contents, of the files of a folder that are shared."""
    if (source / "results").is_dir():
        base, prefix = source / "results", "results"
    elif (source / "records").is_dir():
        base, prefix = source, "results"
    else:
        base, prefix = source, "results/records"
    total = number = 0
    for path in _walk(base, 2 if prefix == "results" else 1):
        name = f"{prefix}/{path.relative_to(base).as_posix()}"
        if not KNOWN.fullmatch(name):
            continue
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{path}: is no plain file; put the file itself there, nothing was taken")
        size = path.stat().st_size
        total, number = total + size, number + 1
        if size > MOST_BYTES or total > MOST_IN_ALL or number > MOST_FILES:
            raise ValueError(f"{path}: makes {source} larger than any records; nothing was taken")
        yield name, path.read_bytes()


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Entries down to folders of folders: records lie no deeper. A folder that is a link is not followed."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.is_dir(follow_symlinks=False):
                if entry.is_symlink() and Path(entry).is_dir():
                    continue
                yield Path(entry)
            elif depth:
                yield from _walk(Path(entry), depth - 1)
