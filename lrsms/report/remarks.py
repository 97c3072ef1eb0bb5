"""Remarks on a study's records for the reader of its table: lines that ``aggregate`` writes beside the tables.

If there is nothing to say, there is no file.
"""

from collections.abc import Sequence
from pathlib import Path

from lrsms.base.files import write_atomically

FILE = "remarks.txt"


def write(remarks: Sequence[str], folder: Path) -> None:
    """Writes ``remarks.txt``, one line each; without remarks, removes an old file."""
    if remarks:
        write_atomically(folder / FILE, "".join(f"{remark}\n" for remark in remarks).encode())
    else:
        (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> tuple[str, ...]:
    """The lines of ``remarks.txt``; none if there is no such file.

    Raises:
        ValueError: one line: it cannot be read.
    """
    path = folder / FILE
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not readable ({error}); delete it to aggregate again") from None
