"""Runs ``train`` in children of a process that has loaded PyTorch, and kills them: hundreds of starts in a minute.

Reads the corpora, the folders and a seed from its command line. Each folder's run is killed twice with SIGKILL, at
random moments up to the time that a whole run takes, and then trained to its end. Prints where it was killed.
"""

import os
import random
import signal
import sys
import time

import lrsms.training.loop  # noqa: F401 (loaded before the first fork)
from lrsms.__main__ import main


def forked(corpora: str, folder: str, seconds: float | None) -> float:
    """Trains in a child for so long, or to the end; returns how long that took."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(main(["train", "--device", "cpu", "--corpora", corpora, "--checkpoint-seconds", "0", folder]))
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert os.waitstatus_to_exitcode(status) == 0 or (killed and seconds is not None), folder
    return time.monotonic() - began


if __name__ == "__main__":
    corpora, seed, whole, *folders = sys.argv[1:]
    moments = random.Random(int(seed))
    duration = forked(corpora, whole, None)
    for folder in folders:
        for _ in range(2):
            forked(corpora, folder, moments.uniform(0, duration))
            steps = (
                sorted(path.name for path in os.scandir(f"{folder}/checkpoints"))
                if os.path.isdir(f"{folder}/checkpoints")
                else []
            )
            print(os.path.basename(os.path.dirname(folder)), *steps, flush=True)
        forked(corpora, folder, None)
