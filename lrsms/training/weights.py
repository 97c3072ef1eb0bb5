"""Writes what a training leaves, the final weights and their spectra, and counts the network that is decoded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lrsms.data.prepared import Item, Prepared
from lrsms.methods.build import build_model, build_structure
from lrsms.methods.operations import check_plan, multiply_adds_per_second
from lrsms.methods.spectra import spectra, write_spectra
from lrsms.record.run_files import SPECTRA, WEIGHTS
from lrsms.study.run import Run
from lrsms.training.checkpoint import write_tensors
from lrsms.training.cut import cut_by_outputs


def write_weights(
    folder: Path, run: Run, prepared: Prepared, plan: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> None:
    """Writes the weights that are decoded, and their spectra.

    Args:
        folder: of the run.
        run: the run.
        prepared: its corpus.
        plan: the content of ``plan.json``.
        weights: the mean over the averaged snapshots, of which the method may still make something else.

    Raises:
        ValueError: one line: the weights are not those of ``plan``.
    """
    if run.method.finishes:
        weights = finished(run, prepared, weights)
    structure, matrices = build_structure(run, prepared.tokenizer.size)
    buffers = {name for name, _ in structure.named_buffers()}
    check_plan(plan, matrices, {name: tensor for name, tensor in weights.items() if name not in buffers})
    write_tensors(folder / WEIGHTS, weights)
    write_spectra(folder / SPECTRA, spectra(weights, matrices))


def finished(run: Run, prepared: Prepared, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Makes of the final weights of the last phase what the method makes of them, on the CPU."""
    assert run.lowrank is not None
    trained = {name: tensor.cpu() for name, tensor in weights.items()}
    if run.lowrank.cut_by is not None:
        trained = cut_by_outputs(run, trained, prepared)
    model, plan = build_model(run, prepared.tokenizer.size, run.num_phases - 1)
    model.load_state_dict(trained)
    run.method.finish(model, plan, run)
    return model.state_dict()


def macs_per_second(run: Run, size: int, items: Sequence[Item]) -> float:
    """Multiply-adds per second of speech, at the mean length of the training utterances and their transcripts."""
    frames = round(sum(item.frames for item in items) / len(items))
    tokens = round(sum(len(item.tokens) for item in items) / len(items))
    return multiply_adds_per_second(run, build_structure(run, size)[0], frames, tokens)
