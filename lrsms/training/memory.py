"""When a device's memory is full, the step is repeated with activations that are computed twice.

A group is never split: batch norm would then see other groups, and the result would change.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lrsms.models.conformer import ConformerBlock
from lrsms.models.decoder import DecoderBlock
from lrsms.models.frontends import ResidualBlock
from lrsms.models.norm import discard_group_statistics, without_statistics
from lrsms.study.run import Run
from lrsms.training.graphs import without_graphs

BLOCKS = (ConformerBlock, DecoderBlock, ResidualBlock)
"""Modules that keep only their input for the backward pass, which computes the rest again."""

_FULL = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "CUDA error: out of memory",
    "CUFFT_ALLOC_FAILED",
)
_NO_ENGINE = "unable to find an engine to execute this computation"
"""PyTorch's words for a convolution if no algorithm of cuDNN gets memory to work in, or if cuDNN has none at all."""

Result = TypeVar("Result")


class Memory:
    """Runs a model's steps. It switches to recomputed activations when a step does not fit into memory.

    Attributes:
        recomputing: whether it has switched. It never switches back: the next long group would only fail again.
    """

    def __init__(self, model: nn.Module, run: Run) -> None:
        self.recomputing = False
        self._model = model
        self._run = run

    def attempt(self, step: Callable[[], Result]) -> Result:
        """Calls ``step``, which adds to the model's gradients. If memory runs out, it calls it again from the start.

        Raises:
            ValueError: one line: it does not fit even with recomputed activations.
        """
        if not self.recomputing:
            try:
                return step()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                # The memory of the failed step is freed only at the end of this block.
            discard_step(self._model)
            without_graphs(self._model)
            recompute(self._model)
            self.recomputing = True
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            warnings.warn(
                "the device's memory is full; continuing with recomputed activations, which is slower", stacklevel=2
            )
        with out_of_memory(self._run):
            return step()


@contextmanager
def out_of_memory(run: Run) -> Iterator[None]:
    """Within the block, a full memory becomes an error that says what a user can do.

    Raises:
        ValueError: the block ran out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ValueError(
            "the device's memory is full, even with recomputed activations: use a larger device, or lower "
            f"'train.group_frames', now {run.train.group_frames}, or 'model.dim', now {run.model.dim} (another run)"
        ) from None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device's memory was full. cuBLAS and cuDNN allocate memory themselves and report this only in words."""
    if _NO_ENGINE in str(error):
        free, total = torch.cuda.mem_get_info()
        return free < total / 2  # what is wrong with cuDNN itself shows at the first convolution, in empty memory
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _FULL)


def discard_step(model: nn.Module) -> None:
    """Discards the gradients and statistics of an unfinished step."""
    for parameter in model.parameters():
        parameter.grad = None
    discard_group_statistics(model)


def recompute(model: nn.Module) -> None:
    """Makes the blocks of a model compute their activations again in the backward pass, with the same dropout."""
    for module in model.modules():
        if isinstance(module, BLOCKS):
            setattr(module, "forward", partial(_recomputed, module, module.forward))  # noqa: B010 (for mypy)


def _recomputed(block: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs)
    # Batch norm would count the group twice.
    contexts = partial(lambda block: (nullcontext(), without_statistics(block)), block)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)
