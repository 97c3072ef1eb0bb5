"""Facts about what is printed: nothing that a file holds commands the terminal, and no character ends a verb."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from lrsms.__main__ import main
from lrsms.base.printable import one_line, printable, unseen
from lrsms.base.progress import progress
from lrsms.base.terminal import open_console, say

ROOT = Path(__file__).parents[2]
EVIL = "a\x1b2Jb\x9bd\u202ee\x7f"
SAID = r"a\x1b2Jb\x9bd\u202ee\x7f"


def test_control_characters_are_written_out_and_scripts_are_left_alone():
    assert printable(EVIL) == SAID
    kept = "naïve\tДа\nשלום \u200f نص\u200cها 👩\u200d🔬"
    assert printable(kept) == kept
    assert unseen("a\x1b") == "U+001B" and unseen(kept) is None
    assert one_line("a\n\x1b\r b") == r"a \x1b b"
    assert len(one_line("x" * 10**6)) == 2003


def test_a_table_shows_texts_as_they_are_and_commands_nothing():
    file = io.StringIO()
    table = Table(box=None)
    table.add_column("cell")
    table.add_row(f"{EVIL} [red]encoder.[qkv][/red]")
    open_console(file=file).print(table)
    assert f"{SAID} [red]encoder.[qkv][/red]" in file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_a_terminal_still_has_its_colours():
    file = io.StringIO()
    open_console(file=file, force_terminal=True, color_system="standard").print(EVIL, style="bold")
    assert re.sub("\x1b\\[[0-9;]*m", "", file.getvalue()) == f"{SAID}\n"
    assert file.getvalue().startswith("\x1b[1m")


def test_lines_of_progress_and_errors_command_nothing(capsys, tmp_path):
    with progress(f"decode {EVIL}") as show:
        show(1, 1, EVIL)
    say(EVIL)
    folder = tmp_path / f"run{EVIL}"
    assert main(["score", str(folder), str(folder / "h"), str(folder / "s")]) == 1
    out, err = capsys.readouterr()
    assert out == f"{SAID}\n" and err.count(SAID) >= 3
    assert unseen(err) is None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_a_character_gets_its_number(encoding):
    code = (
        "from lrsms.base.terminal import *; spell_out_what_it_lacks(); say('± 5 — Ж'); open_console().print('± 5 — Ж')"
    )
    environment = {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    said = "± 5 — Ж".encode(encoding, "backslashreplace")
    assert done.stdout.splitlines() == [said, said]
