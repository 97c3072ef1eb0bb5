"""Manifests: tab-separated tables with a header, one utterance a line, no quoting.

The same reader reads a user's own manifest and the manifest of a prepared corpus. From a user's manifest it removes the
quotes that spreadsheets put around cells (RFC 4180).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "valid", "test")

_ID = re.compile(r"[A-Za-z0-9_.-]+")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class Row:
    """One utterance's cells, and their place for messages about them."""

    where: str
    """E.g. ``corpus/manifest.tsv line 7``."""
    cells: dict[str, str]


def read_tsv(path: Path, columns: Sequence[str], spreadsheet: bool = False) -> list[Row]:
    """Reads the ``columns`` (``id`` and ``split`` among them) of a manifest, in the order of its lines.

    Columns may stand in any order and others beside them; ids are unique, splits are train, valid or test.

    Args:
        path: the path of the manifest.
        columns: the columns to read.
        spreadsheet: whether a spreadsheet may have written it: then quotes around a cell are removed, and doubled
            quotes within it become single.

    Raises:
        ValueError: one line that names file and line: the table, an id or a split is not as above.
    """
    assert {"id", "split"} <= set(columns)
    lines = read_utf8(path).split("\n")
    cut = _spreadsheet_cells if spreadsheet else _cells
    header = cut(lines[0])
    if header == [""]:
        raise ValueError(f"{path}: is empty; its first line must name the columns {', '.join(columns)}")
    missing = [column for column in columns if column not in header]
    if missing:
        raise ValueError(
            f"{path}: has no column '{missing[0]}'; its first line must name {', '.join(columns)}, tab-separated"
        )
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: names a column twice in its first line ({', '.join(header)})")
    rows: list[Row] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        where = f"{path} line {number}"
        values = cut(line)
        if len(values) != len(header):
            torn = "; a quote is open: no cell may hold a tab or a line break" if line.count('"') % 2 else ""
            raise ValueError(f"{where}: has {len(values)} cells where the header has {len(header)}{torn}")
        cells = dict(zip(header, values, strict=True))
        name, split = cells["id"], cells["split"]
        if not _ID.fullmatch(name):
            raise ValueError(f"{where}: id '{name}' must be made of letters a-z, digits, '_', '.' and '-'")
        if name in line_of:
            raise ValueError(f"{where}: id '{name}' is already on line {line_of[name]}; ids must be unique")
        if split not in SPLITS:
            raise ValueError(f"{where}: split is '{split}'; it must be one of {', '.join(SPLITS)}")
        line_of[name] = number
        rows.append(Row(where, {column: cells[column] for column in columns}))
    if not rows:
        raise ValueError(f"{path}: has a header but no utterance below it")
    return rows


def _cells(line: str) -> list[str]:
    return line.split("\t")


def _spreadsheet_cells(line: str) -> list[str]:
    """The cells of a line, without quotes around them."""
    return [cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell for cell in _cells(line)]


def read_utf8(path: Path) -> str:
    """Reads a text file, without a byte order mark; its lines end in a single newline.

    Raises:
        ValueError: one line: the file is missing, cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a manifest that ``read_tsv`` reads back.

    Raises:
        ValueError: a cell holds a tab or a line break.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(columns) + "\n")
        for row in rows:
            cells = [str(cell) for cell in row]
            assert len(cells) == len(columns)
            if any(mark in cell for cell in cells for mark in "\t\r\n"):
                raise ValueError(f"{path}: a cell of '{cells[0]}' holds a tab or a line break")
            file.write("\t".join(cells) + "\n")


def resolve_inside(root: Path, name: str, where: str) -> Path:
    """The absolute path of the file called ``name``, relative to ``root``; it need not exist.

    Raises:
        ValueError: one line beginning with ``where``: the path leaves ``root``, by ``..``, as an absolute path or
            through a symbolic link.
    """
    try:
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a null byte
        raise ValueError(f"{where}: '{name}' is not a path ({error})") from None
    inside = root.resolve()
    if path.is_relative_to(inside):
        return path
    outside = f"{where}: '{name}' lies outside the corpus folder {root}"
    if (link := _link(inside, name)) is None:
        raise ValueError(f"{outside}; give paths inside it")
    manifest = where.split(" line ")[0]
    raise ValueError(
        f"{outside}: '{link.relative_to(inside)}' is a symbolic link to {link.readlink()}; copy what it points to in "
        f"its place (cp -rL copies a folder so), or put {manifest} into a folder that holds both and give that one in "
        "'roots'"
    )


def _link(inside: Path, name: str) -> Path | None:
    """The first symbolic link on the path that leads out of ``inside``; None if there is none."""
    path = inside
    for part in Path(name).parts:
        path = path / part
        if not path.parent.resolve().is_relative_to(inside):
            return None
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            return path if path.is_relative_to(inside) else None
    return None
