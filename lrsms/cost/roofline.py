"""Explains why low rank makes a step faster or not: of three roofs, the tightest gives the time of a matrix product.

Williams, Waterman and Patterson (2009, "Roofline: an insightful visual performance model", CACM 52) bound a kernel by
arithmetic and by memory traffic. A small kernel is bound by a third roof: the time in which the host launches it. The
host launches ahead of the device. So a kernel costs the larger of its own time and its launch time, not their sum.

For a matrix ``W (m, n)`` and N rows of input, a step computes three products of ``N m n`` multiply-adds each: the
forward pass, the gradient of the inputs and the gradient of the weights. At rank r there are six products: three of
``N r n`` and three of ``N m r``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms.base.devices import timed
from lrsms.methods.build import build_structure
from lrsms.methods.linear import LowRankLinear
from lrsms.methods.operations import inputs_without_memory
from lrsms.study.run import Run
from lrsms.training.groups import Cost

ROOFS = ("compute", "memory", "launch")
CLIPPING = 3
"""Numbers read or written to clip one gradient: one read for the norm, one read and one write to scale it."""
_PRODUCTS = 3
"""Products of a step: forward, the gradient of the inputs, the gradient of the weights."""
_REPETITIONS = 5


@dataclass(frozen=True)
class Device:
    """The best rates of a device.

    Attributes:
        flops: operations per second of large matrix products; a multiply-add is two operations.
        bandwidth: bytes per second that its memory reads or writes.
        launch_seconds: time that the host needs to launch each matrix product of a training step.
    """

    flops: float
    bandwidth: float
    launch_seconds: float


@dataclass(frozen=True)
class Layer:
    """A matrix as a step uses it.

    Attributes:
        rows: N, the number of input vectors in a step.
        outputs: m.
        inputs: n.
        rank: r, which may be a fraction; None for a dense matrix.
    """

    rows: int
    outputs: int
    inputs: int
    rank: float | None = None

    @property
    def full(self) -> int:
        """The largest rank, min(m, n)."""
        return min(self.outputs, self.inputs)


def product_seconds(a: float, b: float, c: float, device: Device, num_bytes: int) -> dict[str, float]:
    """Seconds under each roof for the product of ``(a, b)`` and ``(b, c)``, whose numbers have ``num_bytes``.

    Compute: 2abc over the rate. Memory: ab + bc + ac numbers over the bandwidth. Launch: the time of one launch.
    """
    return {
        "compute": 2 * a * b * c / device.flops,
        "memory": num_bytes * (a * b + b * c + a * c) / device.bandwidth,
        "launch": device.launch_seconds,
    }


def layers_seconds(layers: Sequence[Layer], device: Device, num_bytes: int) -> dict[str, float]:
    """Seconds of the layers, forward and backward, by roof: each product counts under its tightest roof.

    The gradients have the shapes of the forward product with exchanged sides, so they have the same roofs.
    """
    total = dict.fromkeys(ROOFS, 0.0)
    for layer in layers:
        thin = layer.rank
        sides = [(layer.inputs, layer.outputs)] if thin is None else [(layer.inputs, thin), (thin, layer.outputs)]
        for inner, outer in sides:
            roofs = product_seconds(layer.rows, inner, outer, device, num_bytes)
            tightest = max(ROOFS, key=lambda roof: roofs[roof])
            total[tightest] += _PRODUCTS * roofs[tightest]
    return total


def update_seconds(num_parameters: int, update: Cost, device: Device) -> float:
    """Seconds to clip and to update parameters in float32: the memory traffic of both, and the update's products.

    AdamW, which has no products, is bound by traffic alone: 40 bytes for each parameter, clipping included.
    """
    return update_bytes(num_parameters, update) / device.bandwidth + 2 * update.multiply_adds / device.flops


def update_bytes(num_parameters: int, update: Cost) -> int:
    """Bytes that clipping and the update of parameters in float32 read and write."""
    return 4 * (CLIPPING * num_parameters + update.traffic)


def break_even(layers: Sequence[Layer], device: Device, num_bytes: int) -> float:
    """The ratio (kept) below which the layers together are faster factorised than dense; 0 if there is none.

    If only arithmetic limits a layer, its break-even rank is that of its parameters, r = mn / (m + n). If only
    bandwidth limits it, r = mn / (m + n + 2N). If only launches limit it, there is none.
    """

    def pays(ratio: float) -> bool:
        factorised = [replace(layer, rank=ratio * layer.full) for layer in layers]
        return sum(layers_seconds(factorised, device, num_bytes).values()) < dense

    dense = sum(layers_seconds([replace(layer, rank=None) for layer in layers], device, num_bytes).values())
    low, high = 0.0, 1.0  # time grows with the rank: bisection finds where it passes the dense time
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if pays(middle) else (low, middle)
    return low if pays(low) else 0.0


def run_layers(run: Run, size: int, num_utterances: int, frames: int, tokens: int) -> list[Layer]:
    """Every matrix of a run's network in the order of their use, with the rows that pass through it.

    Args:
        run: the run.
        size: vocabulary size.
        num_utterances: utterances in a step.
        frames: frames of each utterance.
        tokens: tokens of each transcript.
    """
    structure, _ = build_structure(run, size)
    layers: list[Layer] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].shape[:-1].numel()
        if isinstance(module, LowRankLinear):
            layers.append(Layer(rows, module.u.shape[0], module.vt.shape[1], module.vt.shape[0]))
        elif isinstance(module, nn.Linear):
            layers.append(Layer(rows, module.out_features, module.in_features))

    for module in structure.modules():
        module.register_forward_pre_hook(note)
    audio, video, lengths, transcript = inputs_without_memory(run, num_utterances, frames, tokens)
    with torch.no_grad():
        memory, mask = structure.eval().encode(audio, video, lengths)
        structure.ctc_log_probs(memory)
        if structure.decoder is not None:
            structure.decoder(transcript, memory, mask)
    return layers


def measure_device(device: torch.device, dtype: torch.dtype) -> Device:
    """The roofs of a device: its best over a few sizes and repetitions, in about a second.

    Args:
        device: the device.
        dtype: type of the operands. PyTorch's settings decide whether float32 products use TF32.
    """
    on_gpu = device.type == "cuda"
    rates = []
    for size in (2048, 4096, 8192) if on_gpu else (256, 512):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        rates.append(2 * size**3 / _best_seconds(partial(torch.matmul, a, b), device))
    numbers = torch.zeros(2**28 if on_gpu else 2**23, device=device)
    other = torch.zeros_like(numbers)
    bandwidth = 2 * numbers.nbytes / _best_seconds(lambda: numbers.copy_(other), device)
    return Device(max(rates), bandwidth, _launch_seconds(device))


def _launch_seconds(device: torch.device, length: int = 100) -> float:
    """Launch time per product, measured on a chain of tiny products, whose time is nearly all launches."""
    weight = torch.eye(8, device=device, requires_grad=True)
    vector = torch.ones(1, 8, device=device, requires_grad=True)

    def chain() -> None:
        x = vector
        for _ in range(length):
            x = F.linear(x, weight)
        x.sum().backward()

    return _best_seconds(chain, device) / (_PRODUCTS * length)


def _best_seconds(work: Callable[[], object], device: torch.device) -> float:
    work()
    return min(timed(work, device) for _ in range(_REPETITIONS)) / 1e3
