"""Remarks on a study's records for the reader of its table: lines that ``aggregate`` writes beside the tables.

There is no file where there is nothing to say.
"""

from collections.abc import Sequence
from pathlib import Path

from lrsms.base.files import write_atomically

FILE = "remarks.txt"


def write(remarks: Sequence[str], folder: Path) -> None:
    """Writes ``remarks.txt``, a line each; removes an old one where there are none."""
    if remarks:
        write_atomically(folder / FILE, "".join(f"{remark}\n" for remark in remarks).encode())
    else:
        (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> tuple[str, ...]:
    """The lines of ``remarks.txt``, none where there is no such file.

    Raises:
        ValueError: one line: it cannot be read.
    """
    path = folder / FILE
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not readable ({error}); delete it to aggregate again") from None
