"""Loads data in a thread, ahead of the step that needs them."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Loaded = TypeVar("Loaded")
Wanted = TypeVar("Wanted")


def load_ahead(
    wanted: Iterable[Wanted], load: Callable[[Wanted], Loaded], ahead: int = 2
) -> Generator[Loaded, None, None]:
    """``map(load, wanted)`` in a thread that keeps ``ahead`` results ready; its errors are raised here.

    Close it if you do not take all results: then the thread ends after its current one.

    Raises:
        OSError: the thread has ended without an error.
    """
    # A list of one result, of none at the end, or the error that ended the work.
    ready: queue.Queue[list[Loaded] | BaseException] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(content: list[Loaded] | BaseException) -> None:
        while not stopped.is_set():
            try:
                return ready.put(content, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for want in wanted:
                put([load(want)])
                if stopped.is_set():
                    return
            put([])
        except BaseException as error:  # handed to the thread that waits for the data
            put(error)

    thread = threading.Thread(target=work, name="load_ahead", daemon=True)
    thread.start()
    try:
        while True:
            alive = thread.is_alive()  # checked before the queue is read: results that it left there come first
            try:
                content = ready.get(timeout=1.0)
            except queue.Empty:
                if alive:
                    continue
                raise OSError("the thread that loads the data has died; run again to continue") from None
            if isinstance(content, BaseException):
                raise content
            if not content:
                return
            yield content[0]
    finally:
        stopped.set()
        thread.join()  # a thread that is still in PyTorch when Python ends has the whole process aborted
