"""Cuts trained matrices by their outputs: a cut matrix is near in what it says of speech, not in its numbers.

The truncated SVD of W is the rank-r matrix nearest to W. A trained matrix hears few of the inputs that it could hear,
so for its outputs ``y = W x`` another one is nearer. Of all matrices of rank r, ``U U^T W`` has the smallest mean of
``||W x - W' x||^2``, where U holds the first r principal directions of the outputs (Eckart and Young 1936; Kamahori et
al. 2025, "LiteASR", arXiv 2502.20583). They are found on a few utterances of the training split.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lrsms.data.batch import collate
from lrsms.data.prepared import Item, Prepared
from lrsms.methods.factorize import dense_weight, linears
from lrsms.methods.plan import make_plan
from lrsms.models.recognizer import Recognizer
from lrsms.study.run import Run
from lrsms.training.step import group_losses

CPU = torch.device("cpu")
MOST_UTTERANCES = 128
"""So many are heard, evenly spread over the training split, since neighbours are often of one speaker."""


@torch.no_grad()
def cut_by_outputs(run: Run, weights: Mapping[str, Tensor], prepared: Prepared) -> dict[str, Tensor]:
    """The weights of a dense network, where every matrix that ``run`` factorises is cut to its rank by its outputs.

    The network hears clean utterances, one at a time, so that there is no padding. It is computed on the CPU in every
    case: all processes of a run, on whatever devices, begin with the same bits.

    Args:
        run: a run that factorises trained matrices.
        weights: of the dense network, by the names of its state dict.
        prepared: its corpus.

    Returns:
        The same, with the cut matrices in place of the trained ones. They have the rank that their factors will have.
    """
    model = Recognizer(run.model, prepared.tokenizer.size)
    model.load_state_dict(dict(weights))
    chosen = {matrix.name: matrix.rank for matrix in make_plan(model, run.lowrank) if matrix.rank is not None}
    moments = input_moments(model.eval(), list(chosen), run, prepared, some_of(prepared.items("train")))
    for name, rank in chosen.items():
        module = model.get_submodule(name)
        parts = linears(module)
        nearest = nearest_by_outputs(dense_weight(module), moments[name], rank)
        for part, rows in zip(parts, nearest.split([part.out_features for part in parts]), strict=True):
            part.weight.copy_(rows)
    cut = model.state_dict()
    return {name: cut[name] for name in weights}


def nearest_by_outputs(weight: Tensor, moment: Tensor, rank: int) -> Tensor:
    """``U U^T W`` of rank r, in float64: the matrix of this rank whose outputs are nearest to those of ``W``.

    Args:
        weight: ``W (m, n)``.
        moment: ``(n, n)`` mean of ``x x^T`` over its inputs.
        rank: r.
    """
    wide = weight.double()
    _, directions = torch.linalg.eigh(wide @ moment @ wide.mT)  # in ascending order of their eigenvalues
    kept = directions[:, -rank:]
    return kept @ (kept.mT @ wide)


@torch.no_grad()
def input_moments(
    model: Recognizer, names: Sequence[str], run: Run, prepared: Prepared, items: Sequence[Item]
) -> dict[str, Tensor]:
    """Mean of ``x x^T (n, n)`` over the inputs of each named module, in float64, while a network hears utterances."""
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(names, 0)

    def note(name: str, x: Tensor) -> None:
        rows = x.detach().double().flatten(0, -2)
        sums[name] = rows.mT @ rows + sums.get(name, 0)
        counts[name] += len(rows)

    handles = [
        model.get_submodule(name).register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
        for name in names
    ]
    exact = run.model_copy(update={"train": run.train.model_copy(update={"precision": "float32"})})
    for item in items:
        group_losses(model, exact, collate(prepared, [item]), CPU)
    for handle in handles:
        handle.remove()
    return {name: sums[name] / counts[name] for name in names}


def some_of(items: Sequence[Item]) -> Sequence[Item]:
    """At most ``MOST_UTTERANCES``, evenly spread."""
    return items[:: -(-len(items) // MOST_UTTERANCES)]
