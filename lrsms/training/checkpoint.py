"""Checkpoints: written atomically and checked by hash. Two are kept: a damaged one is named and the earlier one is
used.

A checkpoint is one safetensors file (nothing is ever unpickled) and a small JSON beside it with its step and SHA-256,
written last: a checkpoint without a matching JSON does not exist.
"""

import json
import os
import re
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lrsms.base.files import file_hash, naming, settle, write_json

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after ``step`` steps: named tensors, and plain data in ``extra``."""

    step: int
    tensors: dict[str, Tensor]
    extra: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Adds a checkpoint to ``folder``; removes all but the newest two, and incomplete files of a killed process.

    Raises:
        OSError: the disk is full or not writable; the checkpoints already there are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_stem(checkpoint.step)}.safetensors"
    write_tensors(path, checkpoint.tensors)
    note = {"step": checkpoint.step, "sha256": file_hash(path), "extra": checkpoint.extra}
    write_json(path.with_suffix(".json"), note)
    # Later ones are damaged, or this run would have continued from them.
    notes = [note for note in sorted(folder.glob("step-*.json")) if note.stem <= path.stem]
    for old in notes[:-KEPT]:  # delete the note first: tensors without a note are no checkpoint
        old.unlink()
    kept = {path.stem for path in notes[-KEPT:]}
    for file in folder.glob("step-*"):
        if file.stem not in kept or file.suffix == ".tmp":
            file.unlink()


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest complete checkpoint, or None; a warning names each damaged one."""
    for path in sorted(folder.glob("step-*.json"), reverse=True):
        weights = path.with_suffix(".safetensors")
        try:
            note = json.loads(path.read_bytes())
            if file_hash(weights) != note["sha256"]:
                raise ValueError("its content does not match its hash")
            if path.stem != _stem(note["step"]):
                raise ValueError("its note is of another step")
            return Checkpoint(note["step"], load_file(weights), dict(note["extra"]))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            warnings.warn(f"{weights}: damaged checkpoint ({reason}); continuing from the one before it", stacklevel=2)
    return None


def remove_checkpoints(folder: Path) -> None:
    """Removes all checkpoints, and incomplete files of a killed process."""
    for file in sorted(folder.glob("step-*"), key=lambda file: file.suffix != ".json"):  # notes first
        file.unlink()


def _stem(step: int) -> str:
    return f"step-{step:08d}"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors to a safetensors file that is complete or absent.

    Raises:
        OSError: the file cannot be written, for example to a full disk.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with naming(path):
            temporary.touch()
            mode = stat.S_IMODE(temporary.stat().st_mode)  # 0666 less the umask, or as an ACL says
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
            temporary.chmod(mode)  # the library makes its own file, which only its owner can read
            settle(temporary, path)
    except SafetensorError as error:  # how the library reports a full disk
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise OSError(f"{path}: cannot be written ({error})") from None
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)
