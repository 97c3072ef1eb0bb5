"""Code that corpora in a user's folder share: it finds and reads files, and yields utterances."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lrsms.data.manifest import read_utf8
from lrsms.data.utterance import Utterance

_OUTSIDE_IDS = re.compile(r"[^A-Za-z0-9_.-]")


class Counted(Iterator[Utterance]):
    """Utterances that are made one by one and whose number is known (``operator.length_hint``), as in a list."""

    def __init__(self, utterances: Iterator[Utterance], number: int) -> None:
        self._utterances = utterances
        self._left = number

    def __next__(self) -> Utterance:
        """The next one."""
        utterance = next(self._utterances)
        self._left -= 1
        return utterance

    def __length_hint__(self) -> int:
        """The number of utterances that are left."""
        return self._left


def corpus_folder(name: str, root: Path | None, *entries: str) -> Path:
    """The absolute path of ``root``, which is to hold at least one of ``entries``.

    Raises:
        ValueError: one line that says how to give the root: it is not set, not a folder, or holds none of them.
    """
    wanted = " or ".join(entries)
    remedy = f"give the folder that holds its {wanted} with --config roots='{{{name}: /path/to/folder}}'"
    if root is None:
        raise ValueError(f"roots.{name}: not set; {remedy}")
    if not root.is_dir():
        tilde = ", since '~' is not expanded" if root.parts[:1] and root.parts[0].startswith("~") else ""
        raise ValueError(f"roots.{name}: {root} is not a folder{tilde}; {remedy}")
    if not any((root / entry).exists() for entry in entries):
        state = f"holds no {wanted}" if any(root.iterdir()) else "is empty"
        raise ValueError(f"roots.{name}: {root} {state}; {remedy}")
    return root.resolve()


def split_of(name: str, by_split: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The split of each folder that a corpus called ``name`` lists.

    Raises:
        ValueError: one line: a folder is listed twice.
    """
    found: dict[str, str] = {}
    for split, folders in by_split.items():
        for folder in folders:
            if folder in found:
                raise ValueError(
                    f"corpus '{name}': '{folder}' is in '{found[folder]}' and again in '{split}'; splits must not share"
                    " a recording"
                )
            found[folder] = split
    return found


def list_files(folder: Path, suffix: str) -> list[Path]:
    """The files in ``folder`` that end in ``suffix``, by name, without hidden ones; empty if there is no folder."""
    if not folder.is_dir():
        return []
    # An archive from a Mac has a hidden companion, '._name', for every file.
    return sorted(path for path in folder.iterdir() if path.suffix == suffix and not path.name.startswith("."))


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text, without their ends; an empty last one is left out.

    Raises:
        ValueError: one line: the file is missing, cannot be read, is not UTF-8, or is empty.
    """
    lines = read_utf8(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise ValueError(f"{path}: is empty")
    return lines


def unique_id(name: str, taken: set[str]) -> str:
    """An id like ``name``: '_' in place of what an id cannot hold, numbered where it is ``taken``, which it joins."""
    base = _OUTSIDE_IDS.sub("_", name)
    chosen, number = base, 1
    while chosen in taken:
        number += 1
        chosen = f"{base}.{number}"
    taken.add(chosen)
    return chosen
