"""``SHA256SUMS``: checksums of a study's aggregates, as ``sha256sum`` writes and checks them.

Tables, figures and claims are made from these files. A file that was cut or changed is refused.
"""

from collections.abc import Iterable
from pathlib import Path

from lrsms.base.files import file_hash, write_atomically

FILE = "SHA256SUMS"
_REMEDY = "delete it to aggregate again"


def write(folder: Path, names: Iterable[str]) -> None:
    """Writes the checksums of those of these files that exist."""
    lines = [f"{file_hash(folder / name)}  {name}\n" for name in names if (folder / name).is_file()]
    write_atomically(folder / FILE, "".join(lines).encode())


def check(folder: Path) -> None:
    """Checks that a study's aggregates are as they were written. Old studies have no checksums.

    Raises:
        ValueError: one line: a file was changed, or the checksums are malformed.
    """
    sums = folder / FILE
    if not sums.is_file():
        return
    try:
        known = [line.split("  ", 1) for line in sums.read_text(encoding="utf-8").splitlines()]
        files = {folder / name: expected for expected, name in known}
        changed = [path for path, expected in files.items() if path.is_file() and file_hash(path) != expected]
    except (OSError, ValueError):
        raise ValueError(f"{sums}: is not a list of checksums; {_REMEDY}") from None
    if changed:
        raise ValueError(
            f"{changed[0]}: is not as it was aggregated: it was edited or cut since, as its checksum in {FILE} says; "
            f"{_REMEDY}"
        )
