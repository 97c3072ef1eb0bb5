"""Independent random streams: each depends on a seed and on the purpose of the numbers, not on earlier draws.

So weights, data order, dropout, augmentation and factors do not disturb one another, and an interrupted run needs no
saved generator state.
"""

import hashlib

import torch


def stream_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. ``stream_seed(run.seed, "dropout", step, group)``."""
    text = repr((seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))
