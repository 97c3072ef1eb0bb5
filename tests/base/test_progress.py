"""Facts about progress: plain lines in a log, with time left; a bar on a terminal."""

import io
import sys

import pytest

from lrsms.base import progress as module
from lrsms.base.progress import progress


def test_a_plain_line_can_be_read_back(capsys):
    with progress("train demo-asr: x") as show:
        show(400, 400, "loss 1.5")
    match = module.LINE.fullmatch(capsys.readouterr().err.rstrip())
    assert match is not None
    assert match.groupdict() == {
        "title": "train demo-asr: x",
        "done": "400",
        "total": "400",
        "rest": "0:00:00 left, loss 1.5",
    }


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves by hand."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 10)
    return Clock


def test_a_log_gets_a_line_now_and_then_and_the_last(clock, capsys):
    with progress("train x") as show:
        for done in range(1, 11):
            clock.now += 4
            show(done, 10, f"loss {done}")
    assert capsys.readouterr().err.splitlines() == [
        "train x: 3/10 (30%), 0:00:28 left, loss 3",
        "train x: 6/10 (60%), 0:00:16 left, loss 6",
        "train x: 9/10 (90%), 0:00:04 left, loss 9",
        "train x: 10/10 (100%), 0:00:00 left, loss 10",
    ]


def test_time_left_is_estimated_from_this_sitting(clock, capsys):
    with progress("train", start=80) as show:
        clock.now += 20
        show(90, 100)
    assert capsys.readouterr().err == "train: 90/100 (90%), 0:00:20 left\n"


def test_nothing_to_do_is_no_division_by_zero(capsys):
    with progress("empty") as show:
        show(0, 0)
    assert "empty: 0/0" in capsys.readouterr().err


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with progress("train") as show:
        show(5, 10, "loss 1.5")
    assert "train" in terminal.getvalue()
    assert "5/10" in terminal.getvalue()
    assert "loss 1.5" in terminal.getvalue()
