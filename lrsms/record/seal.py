"""A seal: the SHA-256 of each file that belongs to a file.

It is ``<name>.seal.json`` beside a run's hypotheses and beside its score table. Files that were exchanged, edited or
cut do not match it. Old files, from before there were seals, are accepted without one.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from lrsms.base.files import file_hash, read_json, write_json
from lrsms.record.run_files import beside


def seal_path(path: Path) -> Path:
    """The path of the seal of hypotheses or of a score table."""
    return beside(path, "seal.json")


def hash_of(path: Path) -> str | None:
    """SHA-256 of a file; None if the file is absent."""
    return file_hash(path) if path.is_file() else None


def hash_bytes(content: bytes) -> str:
    """SHA-256 of a future file's content."""
    return hashlib.sha256(content).hexdigest()


def write(path: Path, hashes: Mapping[str, str | None]) -> None:
    """Writes the seal of ``path``: hashes by the names of files, None for an absent file."""
    write_json(seal_path(path), {"sha256": dict(hashes)})


def check(path: Path, files: Mapping[str, Path], remedy: str) -> None:
    """Checks that the files match the seal of ``path``, if there is one.

    Args:
        path: the sealed file.
        files: the paths of the sealed files, by name. An absent file is not checked: a record is complete without some
            of them.
        remedy: what to do about it.

    Raises:
        ValueError: one line: the seal is malformed, or a file does not match it.
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
            changed = "was edited or cut" if name == path.name else f"does not belong to this {name}: one was changed"
            raise ValueError(f"{path}: {changed} since {sealed.name} was written, or comes from another run; {remedy}")
