"""Why low rank makes a step faster or does not: each matrix product takes as long as the tightest of three roofs.

Williams, Waterman and Patterson (2009, "Roofline: an insightful visual performance model", CACM 52) bound a kernel by
arithmetic and by memory traffic. A small one is bound by a third roof: the time in which the host launches it. Launches
run ahead of the device, so that a kernel costs the larger of its own time and that, not their sum.

A matrix ``W (m, n)`` that N rows pass through is three products of ``N m n`` multiply-adds: forward, the gradient by
its inputs and the gradient by its weights. Of rank r it is six: three of ``N r n`` and three of ``N m r``.
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
"""Numbers of memory traffic for each gradient that is clipped: read for the norm, and scaled in place."""
_PRODUCTS = 3
"""Forward, and the gradients by inputs and by weights."""
_REPETITIONS = 5


@dataclass(frozen=True)
class Device:
    """What a device does at best.

    Attributes:
        flops: operations per second of large matrix products, two to a multiply-add.
        bandwidth: bytes per second from and to its memory.
        launch_seconds: of the host, for each matrix product of a training step.
    """

    flops: float
    bandwidth: float
    launch_seconds: float


@dataclass(frozen=True)
class Layer:
    """A matrix as a step uses it.

    Attributes:
        rows: N, vectors that pass through it in a step.
        outputs: m.
        inputs: n.
        rank: r, also a fraction; None of a dense matrix.
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
    """Seconds under each roof of the product of ``(a, b)`` and ``(b, c)``, numbers of ``num_bytes``.

    Compute: 2abc over the rate; memory: ab + bc + ac numbers over the bandwidth; launch: the time of one.
    """
    return {
        "compute": 2 * a * b * c / device.flops,
        "memory": num_bytes * (a * b + b * c + a * c) / device.bandwidth,
        "launch": device.launch_seconds,
    }


def layers_seconds(layers: Sequence[Layer], device: Device, num_bytes: int) -> dict[str, float]:
    """Seconds of the layers, forward and backward: of each product the tightest roof, summed by which one it is.

    The gradients have the shapes of the forward product with its sides exchanged, hence its roofs.
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
    """The ratio (kept) below which the layers together are faster factorised than dense; 0: at none.

    With no limit but arithmetic a layer's is that of its parameters, r = mn / (m + n); with none but bandwidth
    r = mn / (m + n + 2N); with none but launches there is none.
    """

    def pays(ratio: float) -> bool:
        factorised = [replace(layer, rank=ratio * layer.full) for layer in layers]
        return sum(layers_seconds(factorised, device, num_bytes).values()) < dense

    dense = sum(layers_seconds([replace(layer, rank=None) for layer in layers], device, num_bytes).values())
    low, high = 0.0, 1.0  # time grows with the rank: halving finds where it passes the dense one's
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if pays(middle) else (low, middle)
    return low if pays(low) else 0.0


def run_layers(run: Run, size: int, num_utterances: int, frames: int, tokens: int) -> list[Layer]:
    """Every matrix of a run's network in the order of their use, with the rows that pass through it.

    Args:
        run: whose network.
        size: of the vocabulary.
        num_utterances: of a step.
        frames: of each.
        tokens: of each transcript.
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
        device: which one.
        dtype: of the factors; whether TF32 stands for float32 is as it is set.
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
    """Of a chain of products that are as good as empty, forward and backward: all their time is the launches'."""
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
