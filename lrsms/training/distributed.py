"""Training on several devices: one process for each, its *rank*, as ``torchrun`` starts them.

Each device takes whole groups of a step (see ``training.schedule``), and all sums are over all devices. So the number
of devices changes nothing but the order in which floating-point numbers are added.

Gradients are summed here, once per step, and not by ``DistributedDataParallel``, which sums within the backward pass.
There, a rank would leave the others waiting if it repeats a step because memory is short, has fewer groups or none, or
lacks a modality and therefore some gradients. It also takes a mean over ranks, but we need a sum.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor, nn

TIMEOUT = timedelta(minutes=10)
"""A rank ends if it gets no answer from the others for this long; they may be busy with a checkpoint."""
BUCKET = 2**24
"""A message has at least this many values: 64 MiB of float32."""

Thing = TypeVar("Thing")


class LostRankError(ConnectionError):
    """Another rank has ended, and has said why."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train a run together, seen from one of them. With a single process, no method does anything.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
        device: the device of this process.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (it is immutable)

    @property
    def first(self) -> bool:
        """Whether this rank writes files and reports."""
        return self.rank == 0

    def share(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """The items of this rank: every ``size``-th item, beginning at its own number; there may be none."""
        return things[self.rank :: self.size]

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each tensor by its sum over all ranks, which all have tensors of the same shapes and type.

        Raises:
            LostRankError: another rank has ended.
        """
        if self.size > 1:
            for bucket in _buckets(tensors):
                flat = torch.cat([tensor.detach().flatten() for tensor in bucket])
                with _lost():
                    torch.distributed.all_reduce(flat)
                with torch.no_grad():
                    for tensor, total in zip(bucket, flat.split([x.numel() for x in bucket]), strict=True):
                        tensor.copy_(total.view_as(tensor))

    def totals(self, values: Sequence[float]) -> list[float]:
        """The sum of each number over all ranks."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        self.sum([tensor])
        return tensor.tolist()

    def any(self, here: bool) -> bool:
        """Whether the value is true at any rank."""
        return self.totals([float(here)])[0] > 0

    def wait(self) -> None:
        """Waits until all ranks have arrived."""
        self.any(False)

    def sum_gradients(self, model: nn.Module) -> None:
        """Sums gradients over all ranks.

        A rank without a gradient (of a modality that is absent from its groups) counts as zero. A parameter without a
        gradient at any rank gets none: to the optimizer, this differs from a gradient of zero.
        """
        if self.size == 1:
            return
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        counts = self.totals([float(parameter.grad is not None) for parameter in parameters])
        gradients = []
        for parameter, count in zip(parameters, counts, strict=True):
            if count:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        self.sum(gradients)


ALONE = Ranks()


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Joins the other ranks, if this process was started by ``torchrun``, until the block ends.

    Raises:
        LostRankError: another rank has ended.
    """
    if not torch.distributed.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Ranks(device=device)
        return
    with _lost():
        backend = "nccl" if device.type == "cuda" else "gloo"
        torch.distributed.init_process_group(backend, timeout=TIMEOUT)
    yield Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)
    # After an error, no other rank is left to finish with.
    torch.distributed.destroy_process_group()


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors in lists of at least ``BUCKET`` numbers, except the last list."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        bucket.append(tensor)
        if sum(x.numel() for x in bucket) >= BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


@contextmanager
def _lost() -> Iterator[None]:
    """Turns the various errors of the libraries, when another process has ended, into one error."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LostRankError(f"another process of this run has ended, or does not answer ({reason})") from None
