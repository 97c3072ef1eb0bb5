"""The device that computes: its name, its largest memory use, how long a call takes, and what a failed graph leaves."""

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from lrsms.base.provenance import processor

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt(3): so many free bytes stay at the end of the heap; so large blocks are no part of it."""


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory held so far: allocated on the device, or resident in this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def forget_peak_memory(device: torch.device) -> None:
    """Has ``peak_memory_mb`` begin anew, for the next of several runs in one process.

    On a device, what earlier runs left would count as this run's: networks with graphs, which are garbage in cycles,
    and cuBLAS's workspaces, one for every stream that a graph was ever recorded on.
    """
    if device.type == "cuda":
        gc.collect()  # first: a graph keeps the address of its workspace
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError, AttributeError):  # what is free must not count for the next run
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # not Linux: the largest of all runs so far
        Path("/proc/self/clear_refs").write_text("5")


def keep_freed_memory() -> None:
    """Has this process keep memory that it frees, to use it again; the C library (glibc) gives it back instead.

    A training step on a processor frees and allocates the same hundred megabytes again and again, and the kernel clears
    each page anew: a twelfth of a step of ``tiny-asr``. No result and no peak depends on it. Elsewhere it does nothing.
    """
    with suppress(OSError, AttributeError):  # another C library
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, 2**31 - 1)


def free(device: torch.device) -> None:
    """Frees memory that is no longer used."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def device_name(device: torch.device) -> str:
    """The model of a GPU or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def timed(step: Callable[[], object], device: torch.device) -> float:
    """Milliseconds of one call, the device idle before and after."""
    synchronise(device)
    began = time.perf_counter()
    step()
    synchronise(device)
    return (time.perf_counter() - began) * 1e3


def synchronise(device: torch.device) -> None:
    """Waits until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def end_recording(device: torch.device, pool: Any) -> None:
    """After a CUDA graph that could not be recorded in ``pool``: random numbers and memory are as before it.

    PyTorch's generator may still be in the state of a recording, in which dropout fails. Its allocator may still wait
    for the end of the recording; it would give no memory back any more, also where memory is short.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            current = torch.cuda.current_device()
        generator = torch.cuda.default_generators[current]
        generator.graphsafe_set_state(generator.clone_state())
        with suppress(RuntimeError):  # it does not wait
            torch._C._cuda_endAllocateToPool(current, pool)
            torch._C._cuda_releasePool(current, pool)
