"""The device memory that a training job needs, known before it runs, so that Snakemake can decide how many jobs fit.

It is the sum of

- weights, gradients, the optimizer's state and the running sum of the average, in float32;
- the tensors that a forward pass over one full group keeps for the backward pass, counted on the meta device;
- a quarter of those tensors, for temporary memory within a step and for the gaps between tensors. The optimizer's own
  temporary memory is needed only after those tensors are freed;
- the memory that CUDA and its libraries take in every process.

Tensors are counted as a GPU keeps them. Under bfloat16, operands of matrix products are kept in that type, and weights
too. Attention keeps its operands and its result, but no attention weights. Dropout keeps one byte for each number. The
quarter makes the sum an upper bound rather than an estimate. A run that still needs more goes on with activations that
are computed twice (``training.memory``). CUDA graphs (``training.graphs``) take more for each shape.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from lrsms.cost.random_data import FRAMES, num_tokens, vocabulary
from lrsms.methods.build import build_structure
from lrsms.methods.operations import inputs_without_memory
from lrsms.models.recognizer import Recognizer
from lrsms.study.run import Run
from lrsms.training.optimizer import update_cost

LONGEST = 400
"""Frames of every utterance of the group: 16 s. Longer ones hardly change the sum: a group holds fewer of them."""
BYTES_PER_PARAMETER = 4 * 3
"""Bytes per parameter of weights, gradients and the running sum."""
MARGIN = 1.25
PROCESS_MB = 600
"""Megabytes of the CUDA context and the workspaces of its libraries."""


def device_memory_mb(run: Run) -> int:
    """Megabytes (2^20 bytes) of device memory that training ``run`` takes at most; decoding takes less.

    Where the network changes during training, this is the memory of the phase that needs most.
    """
    return PROCESS_MB + max(round(_phase_bytes(run, phase) / 2**20) for phase in range(run.num_phases))


def _phase_bytes(run: Run, phase: int) -> float:
    network, _ = build_structure(run, vocabulary(run), phase)
    frames = min(LONGEST, run.train.group_frames)
    num_utterances = -(-run.train.group_frames // frames)
    states = BYTES_PER_PARAMETER * sum(parameter.numel() for parameter in network.parameters())
    states += 4 * update_cost(run.train, network).state
    kept = MARGIN * activation_bytes(run, network.train(), num_utterances, frames)
    return states + kept


def activation_bytes(run: Run, network: Recognizer, num_utterances: int, frames: int) -> int:
    """Bytes that a forward pass of ``network``, which is on the meta device, keeps for its backward pass.

    Args:
        run: the run.
        network: its network, in training or evaluation mode as it will be used.
        num_utterances: number of utterances in the group.
        frames: frames of each utterance.
    """
    audio, video, lengths, tokens = inputs_without_memory(
        run, num_utterances, frames, num_tokens(run) * frames // FRAMES
    )

    def forward() -> tuple[Tensor, ...]:
        with AsOnGPU(run.train.precision):
            memory, mask = network.encode(audio, video, lengths)
            heads = (network.ctc_log_probs(memory),)
            return heads if network.decoder is None else (*heads, network.decoder(tokens, memory, mask))

    return saved_bytes(forward, network)


def saved_bytes(forward: Callable[[], object], network: nn.Module) -> int:
    """Bytes of all tensors that ``forward`` saves for the backward pass; shared memory counts once, parameters not."""
    saved: list[Tensor] = []  # hold all to the end: freed memory could be given to another tensor

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    sizes = {_place(tensor): tensor.untyped_storage().nbytes() for tensor in saved}
    return sum(sizes.values()) - sum(sizes.get(_place(parameter), 0) for parameter in network.parameters())


class AsOnGPU(TorchFunctionMode):
    """Within the block, tensors of any device are kept for a backward pass as a GPU keeps them.

    Autocast has no rules for the meta device, and fused kernels run on a GPU only.

    Args:
        precision: precision of the run; under bfloat16, autocast's rules for a GPU hold.
    """

    def __init__(self, precision: str) -> None:
        super().__init__()
        self._narrow = precision == "bfloat16"
        self._cast: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self, function: Any, types: Any, inputs: Sequence[Any] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls the function, or the one that replaces it here."""
        named = dict(named or {})
        if function in _DROPOUT:
            return torch.native_dropout(inputs[0], 0.5, True)[0]
        if self._narrow and function in _NARROW:
            inputs, named = tree_map(self._narrowed, (tuple(inputs), named))
        if self._narrow and function in _WIDE:
            inputs = tree_map(_widened, tuple(inputs))
        if function is F.scaled_dot_product_attention:
            mask = named.get("attn_mask")
            return _FusedAttention.apply(*inputs, mask)
        return function(*inputs, **named)

    def _narrowed(self, x: Any) -> Any:
        """The tensor in bfloat16; a weight is converted once for all its uses."""
        if not isinstance(x, Tensor) or x.dtype != torch.float32:
            return x
        if not x.is_leaf:
            return x.to(torch.bfloat16)
        if id(x) not in self._cast:
            self._cast[id(x)] = x, x.to(torch.bfloat16)
        return self._cast[id(x)][1]


_NARROW = {
    *(F.linear, F.conv1d, F.conv2d, F.conv3d, F.scaled_dot_product_attention),
    *(torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.conv1d, torch.conv2d, torch.conv3d),
}
_WIDE = {F.layer_norm, torch.layer_norm}
"""The functions that autocast computes in float32. Softmax is part of attention, or its type is given."""
_DROPOUT = {F.dropout, torch.dropout}


def _widened(x: Any) -> Any:
    return x.float() if isinstance(x, Tensor) and x.dtype == torch.bfloat16 else x


class _FusedAttention(torch.autograd.Function):
    """Keeps what the fused kernels of attention keep; it has no backward pass, since none is counted."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """``(B, H, T, d)``: a result with that shape and without values."""
        result = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, mask, result, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return result


def _place(tensor: Tensor) -> int:
    """A key that is equal for tensors that share memory, also on the meta device, where memory has no address."""
    return tensor.untyped_storage()._cdata
