"""One case of step times: it times a preset's dense and low-rank networks in turns, and estimates the same times."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch

from lrsms.base.devices import free
from lrsms.base.kernels import arithmetic
from lrsms.cost.ceiling import ceiling
from lrsms.cost.counts import FORWARD_AND_BACKWARD
from lrsms.cost.random_data import FRAMES, filled
from lrsms.cost.roofline import Device, break_even, layers_seconds, run_layers, update_seconds
from lrsms.cost.steptime import TrainingStep, in_turns, parts_of
from lrsms.methods.build import build_structure
from lrsms.methods.operations import multiply_adds_per_second
from lrsms.models.recognizer import Recognizer
from lrsms.statistics.stats import median_iqr, median_ratio
from lrsms.study.frames import FRAMES_PER_SECOND
from lrsms.study.lowrank import LowRank
from lrsms.study.run import Run
from lrsms.training.memory import BLOCKS, is_out_of_memory
from lrsms.training.optimizer import update_cost

TARGETS = (
    "encoder.attention",
    "encoder.feedforward",
    "decoder.self_attention",
    "decoder.cross_attention",
    "decoder.feedforward",
)
"""The targets of LR-SMS, as in the study ``lrsms``. Ranks are uniform: every other mapping has as many parameters."""
_SECONDS = {"cpu": 2.0, "cuda": 4.0}
"""Seconds for which the steps of a case are timed, after warm-up."""


@dataclass(frozen=True)
class Row:
    """A network's training step in one setting.

    Attributes:
        preset: name of the preset.
        frames: video frames in a step; "max" where the largest number was not found.
        precision: precision of matrix products.
        mode: eager, compiled or graphs.
        ratio: share of full rank that is kept; None for the dense network.
        why_not: the reason, in one line, why the row was not measured. None if it was measured; if not, every field
            below is None.
        times_ms: milliseconds of each step; dense and low-rank steps take turns.
        median_ms: their median; the quartiles follow.
        speedup: the dense median over this median, with its interval; None for the dense network.
        ceiling: the dense network's multiply-adds and bytes over this network's, counted; None for the dense network.
        estimated_speedup: estimated from the roofs of the device. Everything except the matrices is taken to last as
            long as was measured for the dense network.
        bounds_ms: estimated time of the matrices, for each roof that bounds them.
        break_even: estimated ratio below which the targets are faster factorised than dense.
        parts_ms: time of data, forward, backward and optimizer; the device is synchronised after each.
        multiply_adds: multiply-adds of a forward pass.
        teraflops: achieved TFLOP/s. A multiply-add is two operations, and a step is three forward passes.
        share: achieved share of the device's measured rate of matrix products in this precision.
        peak_memory_mb: peak device memory; None on a CPU, which does not count it.
        parameters: number of parameters of the network.
    """

    preset: str
    frames: int | str
    precision: str
    mode: str
    ratio: float | None
    why_not: str | None = None
    times_ms: tuple[float, ...] = ()
    median_ms: float | None = None
    quartiles_ms: tuple[float, float] | None = None
    speedup: float | None = None
    speedup_interval: tuple[float, float] | None = None
    ceiling: Mapping[str, float] | None = None
    estimated_speedup: float | None = None
    bounds_ms: Mapping[str, float] | None = None
    break_even: float | None = None
    parts_ms: Mapping[str, float] | None = None
    multiply_adds: float | None = None
    teraflops: float | None = None
    share: float | None = None
    peak_memory_mb: float | None = None
    parameters: int | None = None


def measure_case(cases: Sequence[Row], run: Run, device: torch.device, roof: Device) -> list[Row]:
    """Times the networks of one preset and setting in turns.

    Args:
        cases: rows without measurements; the dense network comes first.
        run: the preset, dense.
        device: the device to measure on.
        roof: the roofs of that device in that precision.

    Returns:
        The rows with their measurements, or why there are none: memory ran out, or graphs or a compiler failed.
    """
    runs = [variant(run, row) for row in cases]
    steps: list[TrainingStep] = []
    try:
        with arithmetic(cases[0].precision), many_graphs() if cases[0].mode == "compiled" else nullcontext():
            held = []
            for each in runs:
                before = _allocated(device)
                steps.append(TrainingStep(each, device, graphs=cases[0].mode == "graphs"))
                if cases[0].mode == "compiled":
                    compile_blocks(steps[-1].model)
                if cases[0].mode == "graphs" and steps[-1].mode != "graphs":
                    raise ValueError("CUDA graphs need a CUDA device")
                steps[-1]()
                held.append(_allocated(device) - before)
            peaks = [_peak_mb(step, size, device) for step, size in zip(steps, held, strict=True)]
            times = in_turns(steps, device, _SECONDS[device.type])
            parts = [parts_of(step, device) for step in steps]
        rows = [
            replace(row, times_ms=tuple(times[i]), parts_ms=parts[i], peak_memory_mb=peaks[i])
            for i, row in enumerate(cases)
        ]
        return _worked_out(rows, steps, roof)
    except Exception as error:  # a compiler can fail in many ways; it can also be absent
        full = isinstance(error, RuntimeError) and is_out_of_memory(error)
        if not full and cases[0].mode == "eager":
            raise
        why_not = "out of memory" if full else next(iter(str(error).strip().splitlines()), type(error).__name__)
    finally:
        steps.clear()
        free(device)
    return [replace(row, why_not=why_not) for row in cases]


def _worked_out(rows: Sequence[Row], steps: Sequence[TrainingStep], roof: Device) -> list[Row]:
    """The rows of a case with what follows from their times and from the roofs of the device."""
    estimates = [_estimate(step, roof) for step in steps]
    # All that is not a matrix is taken to last as long as in the dense network.
    dense = max(median_iqr(rows[0].times_ms).median / 1e3, estimates[0].seconds)
    result = []
    for row, step, estimate in zip(rows, steps, estimates, strict=True):
        median = median_iqr(row.times_ms)
        structure, _ = build_structure(step.run, step.size)
        rate = multiply_adds_per_second(step.run, structure, FRAMES, step.num_tokens)
        multiply_adds = rate * step.run.train.group_frames / FRAMES_PER_SECOND
        teraflops = 2 * FORWARD_AND_BACKWARD * multiply_adds / (median.median / 1e3) / 1e12
        row = replace(
            row,
            median_ms=median.median,
            quartiles_ms=(median.low, median.high),
            bounds_ms={name: 1e3 * value for name, value in estimate.by_roof.items()},
            multiply_adds=multiply_adds,
            teraflops=teraflops,
            share=1e12 * teraflops / roof.flops,
            parameters=sum(parameter.numel() for parameter in step.model.parameters()),
        )
        if row.ratio is not None:
            speedup, interval = median_ratio(rows[0].times_ms, row.times_ms)
            row = replace(
                row,
                speedup=speedup,
                speedup_interval=(interval.low, interval.high),
                ceiling=ceiling(step.run, steps[0].run),
                estimated_speedup=dense / (dense - estimates[0].seconds + estimate.seconds),
                break_even=estimate.break_even,
            )
        result.append(row)
    return result


@dataclass(frozen=True)
class _Estimate:
    """Estimated times of a network's matrices and updates, by the roofs of a device."""

    by_roof: Mapping[str, float]
    seconds: float
    break_even: float


def _estimate(step: TrainingStep, roof: Device) -> _Estimate:
    run = step.run
    num_bytes = 2 if run.train.precision == "bfloat16" else 4
    layers = run_layers(run, step.size, *filled(run.train.group_frames), step.num_tokens)
    by_roof = layers_seconds(layers, roof, num_bytes)
    num_parameters = sum(parameter.numel() for parameter in step.model.parameters())
    updates = update_seconds(num_parameters, update_cost(run.train, step.model), roof)
    factorised = [layer for layer in layers if layer.rank is not None]
    return _Estimate(by_roof, sum(by_roof.values()) + updates, break_even(factorised, roof, num_bytes))


def variant(run: Run, row: Row) -> Run:
    """The run of a row: one group of its frames, in its precision, with its ratio."""
    assert isinstance(row.frames, int), "found out before"
    precision = "bfloat16" if row.precision == "bfloat16" else "float32"
    train = {"group_frames": row.frames, "groups_per_step": 1, "precision": precision}
    lowrank = None
    if row.ratio is not None:
        reached = tuple(name for name in TARGETS if run.model.decoder_layers or not name.startswith("decoder."))
        lowrank = LowRank(targets=reached, ratio=row.ratio)
    return run.model_copy(update={"train": run.train.model_copy(update=train), "lowrank": lowrank})


def compile_blocks(model: Recognizer) -> None:
    """Compiles the blocks of the front ends, the encoders and the decoder; equal blocks share a graph."""
    for module in model.modules():
        if isinstance(module, BLOCKS):
            setattr(module, "forward", torch.compile(module.forward, dynamic=False))  # noqa: B010 (for mypy)


@contextmanager
def many_graphs() -> Iterator[None]:
    """Within the block, one graph may be compiled for each kind of block; one more is an error."""
    import torch._dynamo  # slow, and needed by nothing else

    torch.compiler.reset()
    with torch._dynamo.config.patch(recompile_limit=64, fail_on_recompile_limit_hit=True):
        try:
            yield
        finally:
            torch.compiler.reset()


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def _peak_mb(step: TrainingStep, held: int, device: torch.device) -> float | None:
    """Peak memory of a step and its network, without the memory that the other networks hold."""
    if device.type != "cuda":
        return None
    others = _allocated(device) - held
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return (torch.cuda.max_memory_allocated(device) - others) / 2**20
