"""Facts about loading ahead: it is map, in order, and leaves nothing behind."""

import subprocess
import sys
import threading
import time

import pytest

from lrsms.data.ahead import load_ahead


def test_loading_ahead_is_map_in_order():
    def load(number):
        time.sleep(0.001 * (number % 3))
        return number * number or None

    assert list(load_ahead(range(30), load)) == [number * number or None for number in range(30)]
    assert list(load_ahead([], load)) == []


@pytest.mark.parametrize("error", [ValueError("torn"), KeyError("x"), StopIteration(), OSError(28, "full")])
def test_an_error_of_loading_is_raised_after_what_came_before(error):
    def load(number):
        if number == 3:
            raise error
        return number

    loaded = []
    # A generator turns a StopIteration that passes through it into a RuntimeError: it is no quiet end.
    with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
        for number in load_ahead(range(9), load):
            loaded.append(number)
    assert loaded == [0, 1, 2]


def test_an_error_while_loading_is_raised_by_who_waits():
    def load(number):
        if number == 2:
            raise ValueError("a.wav: cannot be read")
        return number

    results = load_ahead(range(5), load)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match=r"^a.wav: cannot be read$"):
        next(results)


def test_an_error_of_what_is_wanted_is_raised_too():
    def wanted():
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(load_ahead(wanted(), lambda number: number))


def test_no_more_is_loaded_than_is_kept_ready():
    loaded = []
    loader = load_ahead(range(100), lambda number: loaded.append(number) or number, ahead=2)
    next(loader)
    time.sleep(0.3)
    assert len(loaded) <= 5
    loader.close()


def test_closing_ends_the_thread():
    loader = load_ahead(range(10**9), lambda number: number)
    before = set(threading.enumerate())
    assert next(loader) == 0
    (thread,) = [thread for thread in set(threading.enumerate()) - before if thread.name == "load_ahead"]
    loader.close()
    assert not thread.is_alive()


def test_a_process_that_leaves_while_pytorch_loads_leaves_in_good_order():
    """Python unwinds what is left of a daemon thread as it ends, which C++ answers by aborting the process."""
    code = """if True:
        import contextlib, sys, torch
        from lrsms.data.ahead import load_ahead

        def load(number):
            for _ in range(300):
                torch.ones(300, 300).cumsum(0)
            return number

        with contextlib.closing(load_ahead(range(1000), load)) as loaded:
            next(loaded)
        sys.exit(75)
    """
    ended = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=600)
    assert ended.returncode == 75, ended.stderr


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loader_that_dies_without_a_word_is_noticed(monkeypatch):
    monkeypatch.setattr(threading.Thread, "run", lambda self: None)
    with pytest.raises(OSError, match="the thread that loads the data has died; run again to continue"):
        next(load_ahead([1], lambda x: x))
