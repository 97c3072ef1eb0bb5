"""A command's output drawn as bars: on a pseudo-terminal as a user sees it, and passed through without one."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lrsms.__main__ import main
from lrsms.base.progress import LINE
from lrsms.watch.bars import quietly

SPEAKER = "print('train dense: 3/10 (30%), 0:00:07 left, loss 2.5'); print('4 of 8 steps (50%) done'); print('plain')"


def on_a_terminal(code: str, log: Path) -> tuple[int, str]:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "lrsms", "watch", "--log", str(log), sys.executable, "-c", code]
    process = subprocess.Popen(
        command, stderr=slave, stdout=slave, env={**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    return process.wait(), shown.decode()


def test_progress_becomes_bars_and_all_output_is_kept(tmp_path: Path) -> None:
    status, shown = on_a_terminal(SPEAKER, tmp_path / "log")
    assert status == 0
    assert (
        "train dense" in shown
        and "3/10" in shown
        and "4/8" in shown
        and re.search(r"about 0:\d\d:\d\d left", shown)
        and "0:00:07 left, loss 2.5" in shown
    )
    assert "plain" not in shown
    assert (tmp_path / "log").read_text().splitlines()[-1] == "plain"


def test_a_failure_shows_the_end_of_the_log_and_keeps_its_status(tmp_path: Path) -> None:
    status, shown = on_a_terminal("import sys; print('what went wrong'); sys.exit(3)", tmp_path / "log")
    assert status == 3
    assert "what went wrong" in shown


def test_without_a_command_there_is_nothing_to_watch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch"]) == 1
    assert capsys.readouterr().err == (
        "error: watch: there is no command to run; give one, such as snakemake --cores all\n"
    )


def test_without_a_terminal_the_output_passes_through(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lrsms", "watch", "--log", str(tmp_path / "log"), sys.executable, "-c", SPEAKER]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "plain"
    assert not (tmp_path / "log").exists()


def test_the_line_of_progress_is_read_as_it_is_written() -> None:
    line = LINE.fullmatch("demo-asr-commands-encoder.attention-0.25-s1: 40/400 (10%), 0:01:34 left, valid WER 96.7%")
    assert line is not None and (line["done"], line["total"]) == ("40", "400")


def test_a_quiet_command_says_why_it_failed_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('table'); print('Building DAG...\\nwhy', file=sys.stderr); sys.exit({})"
    assert quietly([sys.executable, "-c", code.format(0)]) == 0
    assert capfd.readouterr() == ("table\n", "")
    assert quietly([sys.executable, "-c", code.format(3)]) == 3
    assert capfd.readouterr() == ("table\n", "why\n")
