"""The origin of a result: day, commit, versions, device and command, but never a host, a user or a path."""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from lrsms.base.portable import is_portable

_OURS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""If git runs this as a hook, these variables point to another repository."""
PACKAGES = ("torch", "torchaudio", "numpy", "pandas", "jiwer", "sentencepiece", "snakemake")


@cache
def provenance() -> dict[str, Any]:
    """The day, the commit of the code and whether the code has changed since, versions, processor, and the verb.

    ``portable`` is there if the kernels did not depend on the processor.

    In a copy without git history, ``LRSMS_COMMIT`` may name the commit. It is then unknown whether the code has changed
    since.

    Raises:
        ValueError: ``LRSMS_COMMIT`` is not the 40 hexadecimal digits of a commit.
    """
    is_tracked = _is_tracked()
    known = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _git("rev-parse", "HEAD") if is_tracked else _named_commit(),
        "dirty": _is_dirty() if is_tracked else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "verb": _verb(sys.argv[1:]),
    }
    return known | ({"portable": True} if is_portable() else {})


@cache
def processor() -> str:
    """The processor's model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def _named_commit() -> str | None:
    commit = os.environ.get("LRSMS_COMMIT")
    if commit is not None and not re.fullmatch("[0-9a-f]{40}", commit):
        raise ValueError(f"LRSMS_COMMIT: '{commit[:50]}' is no commit; give what 'git rev-parse HEAD' prints")
    return commit


def _verb(arguments: list[str]) -> str:
    """The verb, if it comes first: an option before it may contain a path."""
    return arguments[0] if arguments and arguments[0].isidentifier() else ""


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_tracked() -> bool:
    """Whether git tracks this file: a package inside another project's checkout does not belong to that commit."""
    return _git("ls-files", "--error-unmatch", Path(__file__).name) is not None


def _is_dirty() -> bool | None:
    status = _git("status", "--porcelain", "--", ":/lrsms", ":/workflow")
    return None if status is None else bool(status)


def _git(*arguments: str) -> str | None:
    """Git's answer on this checkout. None if there is no checkout, or, with a warning, if git cannot read it.

    The checkout may belong to another user: its code runs here already. This exception holds for no other folder.
    """
    folder = Path(__file__).parent
    root = folder.parents[1]
    trusted = ["-c", f"safe.directory={root.resolve()}"]
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    command = ["git", *trusted, "-C", str(folder), *arguments]
    settings: dict[str, Any] = {"encoding": "utf-8", "errors": "replace", "env": environment | {"LC_ALL": "C"}}
    try:
        done = subprocess.run(command, capture_output=True, check=False, **settings)
    except OSError as error:
        return _unknown(root, str(error))
    if done.returncode == 0:
        return done.stdout.strip()
    reason = done.stderr.strip().splitlines() or ["git failed"]
    return None if "did not match any file(s) known to git" in done.stderr else _unknown(root, reason[0])


@cache
def _unknown(root: Path, reason: str) -> None:
    """Warns, once, that a checkout cannot be read: results that name no commit cannot be traced."""
    if (root / ".git").exists() and "LRSMS_COMMIT" not in os.environ:
        warnings.warn(f"records name no commit: git cannot read {root} ({reason})", stacklevel=2)
