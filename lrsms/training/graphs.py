"""Training steps as CUDA graphs: encoders and decoder, recorded once for every shape and replayed with one launch.

A small network's step on a GPU takes as long as the host needs to launch its thousands of kernels. A graph launches
them all at once, but for one shape only. So groups are padded to a few shapes: multiples of 8 utterances, 8 tokens and
16 frames. Padding enters no statistic, loss or gradient of this network (``models.norm``, ``models.recognizer``). So it
changes only rounding, and the numbers that dropout draws. Front ends, fusion, CTC and the losses run without graphs.

Graphs are a way to execute a run and no part of the run itself. What cannot be recorded runs without a graph, and one
line says so.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lrsms.base.devices import end_recording
from lrsms.models.conformer import ConformerEncoder
from lrsms.models.decoder import Decoder
from lrsms.models.norm import group_statistics
from lrsms.training.graph_memory import Shared

UTTERANCES, TOKENS, FRAMES = 8, 8, 16
"""Shapes are padded to multiples of these."""
MOST_GRAPHS = 64
"""At most this many shapes of each module are recorded; others run without a graph. A training has about forty."""
FREE_SHARE = 0.1
"""If less than this share of the device's memory is free, nothing more is recorded."""
_WARMUP = 2


@dataclass(frozen=True)
class Padding:
    """The padding of an input: its first two axes grow to multiples, filled with a value that marks padding.

    Attributes:
        axes: multiples of the first two axes.
        fill: the value.
    """

    axes: tuple[int, int]
    fill: float | bool

    def shape(self, x: Tensor) -> tuple[int, ...]:
        """The shape that ``x`` is padded to."""
        return (*(-(-size // step) * step for size, step in zip(x.shape, self.axes, strict=False)), *x.shape[2:])

    def write(self, into: Tensor, x: Tensor) -> None:
        """Fills ``into``, of the padded shape, with ``x`` and padding."""
        if into.shape != x.shape:
            into.fill_(self.fill)
        into[: x.shape[0], : x.shape[1]].copy_(x)


_INPUTS: dict[type[nn.Module], tuple[Padding, ...]] = {
    ConformerEncoder: (Padding((UTTERANCES, FRAMES), 0.0), Padding((UTTERANCES, FRAMES), True)),
    Decoder: (
        Padding((UTTERANCES, TOKENS), 0),
        Padding((UTTERANCES, FRAMES), 0.0),
        Padding((UTTERANCES, FRAMES), True),
    ),
}
"""For each module with graphs, its inputs in order. The output has the first two axes of the first input."""


def use_graphs(model: nn.Module, device: torch.device) -> bool:
    """Makes the encoders and the decoder of a model on ``device`` run as graphs whenever they train.

    Returns:
        Whether they do; if not, one line on standard error says why.
    """
    if device.type != "cuda":
        warnings.warn("CUDA graphs need a CUDA device; going on without", stacklevel=2)
        return False
    for module in model.modules():
        if type(module) in _INPUTS:
            setattr(module, "forward", Graphed(module, Captured))  # noqa: B010 (for mypy)
    return True


def without_graphs(model: nn.Module) -> None:
    """Removes the graphs and frees their memory."""
    for module in model.modules():
        if isinstance(module.__dict__.get("forward"), Graphed):
            del module.__dict__["forward"]


Step = Callable[[Sequence[Tensor]], Tensor]
"""Computes a module's output from its ``inputs``, all at one padded shape."""


class Graphed:
    """Replaces a module's ``forward``: it pads the inputs to a shape and calls the replay that was made for that shape.

    Args:
        module: an encoder or a decoder.
        make: makes a replay from the module, the padding of its inputs, the inputs and what its graphs share.
    """

    def __init__(self, module: nn.Module, make: Callable[..., Step]) -> None:
        self.forward: Callable[..., Tensor] = module.forward
        self.paddings = _INPUTS[type(module)]
        self.made: dict[Any, Step] = {}
        self._module, self._make = module, make
        self._seen: set[Any] = set()
        self._shared: Shared | None = None
        self._given_up = False

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The output of the module, ``(B, T, D)`` or ``(B, U, V)``."""
        if not (self._module.training and torch.is_grad_enabled()) or self._given_up:
            return self.forward(*inputs)
        key = self._key(inputs)
        step = self.made.get(key)
        if step is None:
            # A shape that occurs only once is not worth a graph.
            if key not in self._seen or len(self.made) == MOST_GRAPHS or not _has_room(inputs[0].device):
                self._seen.add(key)
                return self.forward(*inputs)
            step = self._record(inputs)
            if step is None:
                return self.forward(*inputs)
            self.made[key] = step
        rows, columns = inputs[0].shape[:2]
        return step(inputs)[:rows, :columns]

    def _key(self, inputs: Sequence[Tensor]) -> Any:
        shapes = tuple(padding.shape(x) for padding, x in zip(self.paddings, inputs, strict=True))
        types = tuple((x.dtype, x.requires_grad) for x in inputs)
        return shapes, types, _autocast_type(inputs[0].device)

    def _record(self, inputs: Sequence[Tensor]) -> Step | None:
        if self._shared is None:
            self._shared = Shared.of(self._module)
        try:
            with _plain(self._module):
                return self._make(self._module, self.paddings, inputs, self._shared)
        except RuntimeError as error:
            self._given_up = True
            self.made.clear()  # their memory may be the memory that is missing
            end_recording(inputs[0].device, self._shared.pool)
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            warnings.warn(f"no CUDA graph can be made here ({reason}); going on without", stacklevel=3)
            return None


class Captured:
    """A module at one shape as two graphs, one for its forward and one for its backward pass.

    The backward graph itself adds to the gradients of the parameters. Autograd would keep the graph's own memory as the
    gradient, and the next group would overwrite it.
    """

    def __init__(
        self,
        module: nn.Module,
        paddings: Sequence[Padding],
        inputs: Sequence[Tensor],
        shared: Shared,
    ) -> None:
        self.paddings, self.shared = paddings, shared
        self.inputs = [
            torch.empty(padding.shape(x), dtype=x.dtype, device=x.device).requires_grad_(x.requires_grad)
            for padding, x in zip(paddings, inputs, strict=True)
        ]
        # New leaves in the same memory: autograd remembers the stream on which a leaf was first used, and that may be
        # another stream than the recorded one.
        leaves = {name: each.detach().requires_grad_() for name, each in shared.parameters.items()}
        self.moved, self.leaves = [x for x in self.inputs if x.requires_grad], list(leaves.values())
        forward = partial(functional_call, module, leaves)
        self._write(inputs)
        self._graphs = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        device, stream = self.inputs[0].device, shared.stream
        # PyTorch would stay on the other stream after a recording that fails.
        back = torch.cuda.stream(torch.cuda.current_stream())
        with _leaving_no_trace(module, device), _autocast_without_cache(device), back:
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_WARMUP):
                    output = forward(tuple(self.inputs))
                    self._gradients(output, torch.zeros_like(output))
                    del output
            torch.cuda.current_stream().wait_stream(stream)
            # Only this thread is checked: another thread loads data into pinned memory at the same time.
            record = partial(torch.cuda.graph, pool=shared.pool, stream=stream, capture_error_mode="thread_local")
            with record(self._graphs[0]):
                self.output = forward(tuple(self.inputs))
            self.pull = torch.zeros_like(self.output)
            with record(self._graphs[1]):
                self.of_inputs, found = self._gradients(self.output, self.pull)
                held = [total for total, each in zip(shared.gradients, found, strict=True) if each is not None]
                torch._foreach_add_(held, [each for each in found if each is not None])
        self.output = self.output.detach()

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        """The module's output at its padded shape."""
        return _Replayed.apply(self, inputs, *(x for x in inputs if x.requires_grad))

    def replay_forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """The output at its padded shape, without gradients."""
        self._write(inputs)
        self._graphs[0].replay()
        return self.output.detach()

    def replay_backward(self, pull: Tensor) -> list[Tensor]:
        """Adds to the parameters' gradients, and returns the inputs' gradients at their padded shapes."""
        self.pull.copy_(pull)
        self.shared.attach()
        self._graphs[1].replay()
        return [gradient.detach() for gradient in self.of_inputs]

    @torch.no_grad()
    def _write(self, inputs: Sequence[Tensor]) -> None:
        for padding, static, x in zip(self.paddings, self.inputs, inputs, strict=True):
            padding.write(static, x)

    def _gradients(self, output: Tensor, pull: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
        """Gradients of the inputs and of the parameters; some parameters may have none."""
        wanted = [*self.moved, *self.leaves]
        found = torch.autograd.grad(output, wanted, pull, allow_unused=True)
        return found[: len(self.moved)], found[len(self.moved) :]  # type: ignore[return-value]


class _Replayed(torch.autograd.Function):
    """Gives the two graphs of a ``Captured`` to autograd."""

    @staticmethod
    def forward(ctx: Any, captured: Captured, inputs: Sequence[Tensor], *moved: Tensor) -> Tensor:
        ctx.captured, ctx.shapes = captured, [x.shape for x in moved]
        return captured.replay_forward(inputs)

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, ...]:
        found = ctx.captured.replay_backward(pull)
        cut = [each[: shape[0], : shape[1]] for each, shape in zip(found, ctx.shapes, strict=True)]
        return None, None, *cut


@contextmanager
def _plain(module: nn.Module) -> Iterator[None]:
    """Within the block, the module is called as if it had no graphs."""
    graphed = module.__dict__.pop("forward")
    try:
        yield
    finally:
        module.__dict__["forward"] = graphed


@contextmanager
def _leaving_no_trace(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block, groups are only practice: statistics and the random numbers of dropout do not move on."""
    noted = [(total, total.clone()) for total in group_statistics(module)]
    random = torch.cuda.get_rng_state(device)
    try:
        yield
    finally:
        torch.cuda.set_rng_state(random, device)
        with torch.no_grad():
            for total, before in noted:
                total.copy_(before)


@contextmanager
def _autocast_without_cache(device: torch.device) -> Iterator[None]:
    """Autocast as it is now, but each weight is cast inside the graph: a weight that was cast before would be old."""
    dtype = _autocast_type(device)
    with torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False):
        yield


def _autocast_type(device: torch.device) -> torch.dtype | None:
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


def _has_room(device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, total = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + cached > FREE_SHARE * total
