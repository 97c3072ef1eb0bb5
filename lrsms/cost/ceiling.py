"""The largest possible speed-up of low rank: the work of a training step is counted for two networks and compared.

Two things are counted: multiply-adds, and bytes read and written. If arithmetic bounds the device, its step shrinks as
the multiply-adds do. If memory traffic bounds it, its step shrinks as the bytes do. If it waits for launches, its step
does not shrink. So a measured speed-up should not exceed the larger of the two ratios. Counts do not see three things
that can exceed it: caches, kernels that suit one shape better than another, and chance.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lrsms.base.strict import canonical_json, parse
from lrsms.cost.counts import multiply_adds_of_phases
from lrsms.cost.random_data import filled, num_tokens, vocabulary
from lrsms.cost.roofline import update_bytes
from lrsms.methods.build import build_structure
from lrsms.methods.operations import inputs_without_memory
from lrsms.models.recognizer import Recognizer
from lrsms.study.run import Run
from lrsms.training.optimizer import update_cost


@dataclass(frozen=True)
class Counted:
    """The work of a training step on full groups of utterances of about 4 s, in the last phase of a training.

    Attributes:
        multiply_adds: multiply-adds of products and convolutions, forward and backward, and of the update.
        bytes: bytes that all operations read and write in float32, if PyTorch runs them one after another: forward,
            backward, clipping and optimizer.
    """

    multiply_adds: float
    bytes: float


def ceiling(run: Run, baseline: Run) -> dict[str, float]:
    """The ratios of ``multiply_adds`` and of ``bytes``, the baseline's over the run's."""
    dense, other = count(baseline), count(run)
    return {"multiply_adds": dense.multiply_adds / other.multiply_adds, "bytes": dense.bytes / other.bytes}


def count(run: Run) -> Counted:
    """Counts on the meta device, which computes nothing. Every number counts as float32, whatever the precision."""
    float32 = run.model_copy(update={"train": run.train.model_copy(update={"precision": "float32"})})
    return _count(canonical_json(float32.model_dump(mode="json", exclude_none=True)))


@lru_cache(16)
def _count(text: str) -> Counted:
    run = parse(Run, json.loads(text), "run")
    network, _ = build_structure(run, vocabulary(run), run.num_phases - 1)
    group = _group(run, network.train(), *filled(run.train.group_frames))
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    updates = update_bytes(num_parameters, update_cost(run.train, network))
    groups = run.train.groups_per_step
    return Counted(multiply_adds_of_phases(run)[-1], groups * group.bytes + updates)


def _group(run: Run, network: Recognizer, num_utterances: int, frames: int) -> "Traffic":
    """The work of the forward and backward pass of one group."""
    audio, video, lengths, tokens = inputs_without_memory(run, num_utterances, frames, num_tokens(run))
    with Traffic() as traffic:
        memory, mask = network.encode(audio, video, lengths)
        total = network.ctc_log_probs(memory).sum()
        if network.decoder is not None:
            total = total + network.decoder(tokens, memory, mask).sum()
        total.backward()
    return traffic


class Traffic(TorchDispatchMode):
    """Counts the bytes that the operations within a block read and write. A view is not an operation.

    Attributes:
        bytes: bytes of the inputs and outputs of all operations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], inputs: Sequence[Any] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the operation and counts it."""
        output = function(*inputs, **(named or {}))
        if not _is_view(function):
            self.bytes += sum(x.nbytes for x in tree_leaves((inputs, named, output)) if isinstance(x, Tensor))
        return output


def _is_view(function: torch._ops.OpOverload) -> bool:
    """Whether an operation only makes a view of the same memory, or only allocates memory."""
    name = function.overloadpacket.__name__
    aliases = any(each.alias_info is not None and not each.alias_info.is_write for each in function._schema.returns)
    return aliases or name in (
        "_unsafe_view",
        "empty",
        "empty_like",
        "empty_strided",
        "new_empty",
        "_local_scalar_dense",
    )
