"""Makes .venv with pip on a bare machine; the Makefile calls it. Standard library only.

Debian and Ubuntu split pip's installer off into python3-venv. Where that is missing, pip comes from the package index,
as a wheel whose hash the index gives.
"""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

OLDEST = (3, 11)
RELEASE = re.compile(r"pip-([0-9.]+)-py3-none-any\.whl")


def main(folder: Path) -> None:
    """Makes the environment ``folder`` unless it is there."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"error: Python {sys.version.split()[0]} is too old; use 3.11 or later: make PYTHON=/path/to/python3.11"
        )
    if (folder / "bin" / "pip").exists():
        return
    if importlib.util.find_spec("ensurepip") is not None:
        venv.create(folder, with_pip=True, clear=True)
        return
    venv.create(folder, with_pip=False, clear=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = download_pip(Path(scratch))
        python = str(folder / "bin" / "python")
        subprocess.run([python, f"{wheel}/pip", "install", "--quiet", "--no-index", str(wheel)], check=True)


def download_pip(folder: Path) -> Path:
    """The newest wheel of pip that the index offers, its hash checked."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    request = urllib.request.Request(f"{index}/pip/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            files = json.load(answer)["files"]
        releases = [(RELEASE.fullmatch(file["filename"]), file) for file in files if not file.get("yanked")]
        wheels = {tuple(map(int, name[1].split("."))): file for name, file in releases if name}
        file = wheels[max(wheels)]
        with urllib.request.urlopen(file["url"], timeout=60) as answer:
            content = answer.read()
    except (OSError, ValueError, LookupError) as error:
        sys.exit(f"error: pip is missing and {index} does not give it ({error}); install python3-venv")
    if hashlib.sha256(content).hexdigest() != file["hashes"]["sha256"]:
        sys.exit(f"error: {file['url']} arrived damaged; try again")
    wheel = folder / file["filename"]
    wheel.write_bytes(content)
    return wheel


if __name__ == "__main__":
    main(Path(sys.argv[1]))
