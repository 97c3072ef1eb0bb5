"""A seal: which files something was made from and with, by the SHA-256 of each.

It is ``<name>.seal.json`` beside a run's hypotheses and beside its score table. Files that were exchanged, edited or
cut do not fit it. What was made before there were seals has none, and is taken without.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from lrsms.base.files import file_hash, read_json, write_json

_SUFFIX = ".seal.json"


def seal_path(path: Path) -> Path:
    """Where the seal of hypotheses or of a score table lies."""
    return path.with_name(f"{path.name.split('.')[0]}{_SUFFIX}")


def hash_of(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none."""
    return file_hash(path) if path.is_file() else None


def hash_bytes(content: bytes) -> str:
    """SHA-256 of what will be a file."""
    return hashlib.sha256(content).hexdigest()


def write(path: Path, hashes: Mapping[str, str | None]) -> None:
    """Writes the seal of ``path``: hashes by the names of files, None for one that is not there."""
    write_json(seal_path(path), {"sha256": dict(hashes)})


def check(path: Path, files: Mapping[str, Path], remedy: str) -> None:
    """Looks whether the files fit the seal of ``path``, where it has one.

    Args:
        path: what was sealed.
        files: where the sealed files lie, by their names. One that is absent is not looked at: a record is complete
            without some.
        remedy: what to do about it.

    Raises:
        ValueError: one line: the seal is malformed, or a file is not as it was sealed.
    """
    sealed = seal_path(path)
    if not sealed.is_file():
        return
    content = read_json(sealed, remedy)
    hashes = content.get("sha256")
    if not isinstance(hashes, dict):
        raise ValueError(f"{sealed}: 'sha256' is missing; {remedy}")
    for name, file in files.items():
        found = hash_of(file)
        if found is not None and found != hashes.get(name):
            changed = "was edited or cut" if name == path.name else f"does not go with this {name}: one was changed"
            raise ValueError(f"{path}: {changed} since {sealed.name} was written, or comes from another run; {remedy}")
