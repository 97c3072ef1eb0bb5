"""Where a result comes from: day, commit, versions, device and command. Never a host, a user or a path."""

import datetime
import importlib.metadata
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchaudio", "numpy", "pandas", "jiwer", "sentencepiece", "snakemake")


@cache
def provenance() -> dict[str, Any]:
    """The day, commit of the code and whether it changed since, versions, processor and the verb that was called."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _git("rev-parse", "HEAD") if _is_tracked() else None,
        "dirty": _is_dirty() if _is_tracked() else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "verb": _verb(sys.argv[1:]),
    }


@cache
def processor() -> str:
    """The processor's model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def _verb(arguments: list[str]) -> str:
    """The verb, if it comes first: an option before it may hold a path."""
    return arguments[0] if arguments and arguments[0].isidentifier() else ""


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_tracked() -> bool:
    """Whether git knows this file: a package installed inside another project's checkout is not of its commit."""
    return _git("ls-files", "--error-unmatch", Path(__file__).name) is not None


def _is_dirty() -> bool | None:
    status = _git("status", "--porcelain", "--", ":/lrsms", ":/workflow")
    return None if status is None else bool(status)


def _git(*arguments: str) -> str | None:
    """What git says of this checkout; None where there is no git or no checkout."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
