"""The device memory that a training job needs, known before it runs, so that Snakemake can decide how many jobs fit.

It is the sum of

- weights, gradients, what the optimizer keeps and the running sum of the average, in float32;
- what a forward pass over one full group keeps for the backward pass, counted tensor by tensor on the meta device;
- a quarter of that for what comes and goes within a step, and for the gaps between tensors; an optimizer's own comes
  when what was kept has gone;
- what CUDA and its libraries take in every process.

Three things make it an upper bound rather than an estimate. Under bfloat16 everything is counted as float32. Attention
weights are counted, which PyTorch's fused kernels do not keep. And a run which needs more all the same goes on with
activations that are computed twice (``training.memory``).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lrsms.cost.random_data import FRAMES, num_tokens, vocabulary
from lrsms.methods.build import build_structure
from lrsms.methods.operations import inputs_without_memory
from lrsms.models.recognizer import Recognizer
from lrsms.study.run import Run
from lrsms.training.optimizer import update_cost

LONGEST = 400
"""Frames of every utterance of the group: 16 s. Longer ones hardly change the sum, there being fewer in a group."""
BYTES_PER_PARAMETER = 4 * 3
"""Of weights, gradients and the running sum."""
MARGIN = 1.25
PROCESS_MB = 600
"""Of the CUDA context and the workspaces of its libraries."""


def device_memory_mb(run: Run) -> int:
    """Megabytes (2^20 bytes) of device memory that training ``run`` takes at most; decoding takes less.

    Where the network changes during training, this is the phase that takes most.
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
        network: its network, in the mode in which it is used.
        num_utterances: of the group.
        frames: of each utterance.
    """
    audio, video, lengths, tokens = inputs_without_memory(
        run, num_utterances, frames, num_tokens(run) * frames // FRAMES
    )

    def forward() -> tuple[Tensor, ...]:
        memory, mask = network.encode(audio, video, lengths)
        heads = (network.ctc_log_probs(memory),)
        return heads if network.decoder is None else (*heads, network.decoder(tokens, memory, mask))

    return saved_bytes(forward, network)


def saved_bytes(forward: Callable[[], object], network: nn.Module) -> int:
    """Bytes of all tensors that ``forward`` saves for the backward pass, each memory once, parameters left out."""
    saved: list[Tensor] = []  # all held to the end: the place of one that is gone could be given to another

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    sizes = {_place(tensor): tensor.untyped_storage().nbytes() for tensor in saved}
    return sum(sizes.values()) - sum(sizes.get(_place(parameter), 0) for parameter in network.parameters())


def _place(tensor: Tensor) -> int:
    """What tensors that share their memory have in common, on the meta device too, where no memory has an address."""
    return tensor.untyped_storage()._cdata
