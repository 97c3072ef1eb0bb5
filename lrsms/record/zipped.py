"""Tables of a record, as gzipped CSV: equal rows give equal bytes, and no more is unzipped than a table can be."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MOST_BYTES = 2**28
"""Largest size of an unzipped table: some two million rows."""
MOST_RATIO = 200
"""Unzipped over zipped: rows that differ in their id alone shrink to a hundredth, zeros to a thousandth."""


def zipped(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table, as gzipped CSV. The bytes depend on the rows only, not on the time or the path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    content = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=content, mtime=0) as file:
        file.write(text.getvalue().encode())
    return content.getvalue()


@contextmanager
def opened(path: Path, what: str, remedy: str) -> Iterator[IO[str]]:
    """The text of a gzipped table; an error of reading it is said in one line.

    Args:
        path: of the table.
        what: it is, such as "score table".
        remedy: what to do where it is none.

    Raises:
        ValueError: the file is torn or too large, or what is done with it raises one.
    """
    try:
        yield io.StringIO(_unzipped(path).decode(), newline="")
    except (EOFError, OverflowError, LookupError, ValueError, gzip.BadGzipFile, zlib.error, csv.Error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not a complete {what} ({reason}); {remedy}") from None


def _unzipped(path: Path) -> bytes:
    """The content of a gzipped file, read no further than a table can be long."""
    limit = min(MOST_BYTES, MOST_RATIO * path.stat().st_size + 2**20)
    with gzip.open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"more than {limit:,} bytes unzipped, of {path.stat().st_size:,}")
    return content
