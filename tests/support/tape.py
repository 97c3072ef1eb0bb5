"""A stand-in for CUDA graphs on a processor: records the operations of a block, and does them again in the same memory.

As with a graph, nothing of a block is done while it is recorded; tensors that it makes stay, and are overwritten.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape:
    """In place of ``torch.cuda.CUDAGraph``."""

    def __init__(self) -> None:
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.replays = 0

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for function, inputs, named, output in self.operations:
            again = function(*inputs, **named)
            if not function._schema.is_mutable:
                for old, new in zip(tree_leaves(output), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class _Recorder(TorchDispatchMode):
    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape
        self.undo: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, function: Any, types: Any, inputs: Any = (), named: Any = None) -> Any:
        named = named or {}
        if function._schema.is_mutable:
            for argument, value in zip(function._schema.arguments, inputs, strict=False):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    self.undo += [(x, x.clone()) for x in tree_leaves(value)]
        output = function(*inputs, **named)
        self.tape.operations.append((function, inputs, named, output))
        return output


@contextmanager
def record(tape: Tape, **_: Any) -> Iterator[None]:
    """In place of ``torch.cuda.graph``."""
    recorder = _Recorder(tape)
    with recorder:
        yield
    for x, before in reversed(recorder.undo):
        x.data.copy_(before.data)  # autograd is not to know


class _Stream:
    def wait_stream(self, other: "_Stream") -> None:
        """There is but one."""


def use_tapes(patch: pytest.MonkeyPatch) -> None:
    """Has graphs be tapes, until the test ends."""
    for name, stand_in in {
        "CUDAGraph": Tape,
        "graph": record,
        "Stream": _Stream,
        "current_stream": _Stream,
        "stream": lambda stream: nullcontext(),
        "get_rng_state": lambda device: torch.get_rng_state(),
        "set_rng_state": lambda state, device: torch.set_rng_state(state),
    }.items():
        patch.setattr(torch.cuda, name, stand_in)
