"""A page opened in headless Chromium, without a network: what it became, and what it said to the console."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("LRSMS_SYSTEM_TESTS") != "1", reason="starts a browser: set LRSMS_SYSTEM_TESTS=1"
    ),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here"),
]


def chromium(page: Path, *options: str) -> tuple[str, list[str]]:
    """A page as it is after its scripts, and what it said to the console."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += [f"--user-data-dir={page.parent / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND", *options]
    command += ["--virtual-time-budget=60000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
