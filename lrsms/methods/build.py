"""Builds a run's network in each phase of its training from its configuration: the dense model, its plan, the method.

A phase is a part of the training in which the structure of the network stays the same (see ``study.method``). Most runs
have one.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lrsms.methods.plan import Matrix, make_plan
from lrsms.models.recognizer import Recognizer, build
from lrsms.study.run import Run


def build_model(
    run: Run, size: int, phase: int | None = 0, weights: Mapping[str, Tensor] | None = None
) -> tuple[Recognizer, list[Matrix]]:
    """The network of a run in one of its phases, in float32 on the CPU, and the plan of the one that is decoded.

    In phase 0 it has its initial weights. In a later phase it has the weights that these become without any training.
    The dense network is built first. So for one seed, the weights that low rank leaves dense are bit-identical in every
    variant. If the run has ``init_from``, its weights are given: the method begins with them instead of random ones.

    Args:
        run: the run.
        size: vocabulary size V of its tokenizer.
        phase: from 0 to ``run.num_phases - 1``; None: after training, when it is decoded.
        weights: of the dense network, by the names of its state dict; None: the initialiser's.

    Raises:
        ValueError: a low-rank target matches nothing or a rank leaves [1, full].
    """
    model = build(run.model, size, run.seed)
    if weights is not None:
        model.load_state_dict(weights)
    return _in_phase(model, run, phase)


def build_structure(run: Run, size: int, phase: int | None = None) -> tuple[Recognizer, list[Matrix]]:
    """The same network on the meta device: shapes and names without memory. Fast even at paper scale.

    Args:
        run: the run.
        size: vocabulary size V of its tokenizer.
        phase: from 0 to ``run.num_phases - 1``; None: after training, when it is decoded.

    Raises:
        ValueError: as ``build_model``.
    """
    with torch.device("meta"):
        model = Recognizer(run.model, size)
    return _in_phase(model, run, phase)


def change_structure(model: nn.Module, plan: Sequence[Matrix], run: Run, phase: int) -> None:
    """Changes the network of the phase before ``phase`` (1 or more) into that of ``phase``, in place.

    Afterwards, each parameter lies in memory row by row. An optimizer reads a parameter in its memory order, and a
    decomposition may leave another order. A run that continues from a checkpoint decomposes other weights, so without
    this its memory order could differ.
    """
    run.method.change(model, plan, run, phase)
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()


def _in_phase(model: Recognizer, run: Run, phase: int | None) -> tuple[Recognizer, list[Matrix]]:
    last = run.num_phases - 1
    assert phase is None or 0 <= phase <= last
    plan = make_plan(model, run.lowrank)
    if run.lowrank is not None:
        run.method.start(model, plan, run)
        for number in range(1, (last if phase is None else phase) + 1):
            change_structure(model, plan, run, number)
        if phase is None:
            run.method.finish(model, plan, run)
    return model, plan
