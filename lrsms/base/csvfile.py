"""Our tables as CSV. Text that a spreadsheet would run as a formula is marked as text; reading removes the mark.

The mark is an apostrophe, as spreadsheets use it (OWASP, "CSV injection"). It is put before text that begins with
``=``, ``+``, ``-``, ``@``, a tab or a carriage return and is not a number. Such text that already has apostrophes
before it gets one more, so that reading is exact.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lrsms.base.files import write_atomically

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def guarded(text: str) -> str:
    """The cell that holds ``text``."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguarded(cell: str) -> str:
    """The text of a cell that ``guarded`` made."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write_csv(path: Path, table: pd.DataFrame, columns: list[str] | None = None) -> None:
    """Writes a table with guarded texts; numbers are unchanged."""
    shown = table if columns is None else table[columns]
    texts = [name for name in shown.columns if not pd.api.types.is_numeric_dtype(shown[name])]
    safe = shown.assign(**{name: shown[name].map(_guarded) for name in texts})
    # Python before 3.13 does not quote a lone carriage return, at which a reader ends the row.
    returns = any(safe[name].map(lambda text: "\r" in str(text)).any() for name in texts)
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    safe = safe.rename(columns=guarded)
    write_atomically(path, safe.to_csv(index=False, lineterminator="\n", quoting=quoting).encode())


def unguard(table: pd.DataFrame, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Removes the marks from a table whose texts were read as text; only from ``columns``, where these are given."""
    texts = [name for name in columns or table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{name: table[name].map(_unguarded) for name in texts}).rename(columns=unguarded)


def _guarded(value: object) -> object:
    return guarded(value) if isinstance(value, str) else value


def _unguarded(value: object) -> object:
    return unguarded(value) if isinstance(value, str) else value
