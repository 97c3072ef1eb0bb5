"""Builds a run's network from its configuration: the dense model, its plan, and the factorised model."""

import torch

from lrsms.methods.factorize import factorize
from lrsms.methods.plan import Matrix, make_plan
from lrsms.models.recognizer import Recognizer, build
from lrsms.study.run import Run


def build_model(run: Run, size: int) -> tuple[Recognizer, list[Matrix]]:
    """The model of a run at step 0, float32 on the CPU, and its plan.

    Dense first: one seed gives every low-rank variant bit-identical untouched weights.

    Args:
        run: the run.
        size: vocabulary size V of its tokenizer.

    Raises:
        ValueError: a low-rank target matches nothing or a rank leaves [1, full].
    """
    model = build(run.model, size, run.seed)
    plan = make_plan(model, run.lowrank)
    if run.lowrank is not None:
        factorize(model, plan, run.lowrank.init, run.model.initialiser, run.seed)
    return model, plan


def build_structure(run: Run, size: int) -> tuple[Recognizer, list[Matrix]]:
    """The same network on the meta device: shapes and names without memory, at once even at paper scale."""
    with torch.device("meta"):
        model = Recognizer(run.model, size)
    plan = make_plan(model, run.lowrank)
    if run.lowrank is not None:
        factorize(model, plan, run.lowrank.init, run.model.initialiser, run.seed)
    return model, plan
