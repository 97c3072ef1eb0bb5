"""Counts the multiply-adds of training steps on the meta device: nothing is computed."""

import math
from collections.abc import Sequence

from lrsms.cost.random_data import FRAMES, num_tokens, vocabulary
from lrsms.methods.build import build_structure
from lrsms.methods.operations import multiply_adds_per_second
from lrsms.models.recognizer import Recognizer
from lrsms.study.frames import FRAMES_PER_SECOND
from lrsms.study.run import Run
from lrsms.training.optimizer import update_cost

FORWARD_AND_BACKWARD = 3
"""Multiply-adds of a training step over those of its forward pass; each of the two gradients costs as much again."""


def multiply_adds_per_step(run: Run) -> float:
    """Multiply-adds of a whole training step on full groups of utterances of ``FRAMES`` frames, its update included.

    Where the network changes during training, this is the mean over its steps.
    """
    return mean_over_phases(run, multiply_adds_of_phases(run))


def multiply_adds_of_phases(run: Run) -> list[float]:
    """The same of a step in each phase of the training."""
    frames, tokens = min(FRAMES, run.train.group_frames), num_tokens(run)
    seconds = run.train.group_frames * run.train.groups_per_step / FRAMES_PER_SECOND
    return [
        FORWARD_AND_BACKWARD * multiply_adds_per_second(run, structure, frames, tokens) * seconds
        + update_cost(run.train, structure).multiply_adds
        for structure in _structures(run)
    ]


def mean_over_phases(run: Run, values: Sequence[float]) -> float:
    """The mean over all steps of a training of a quantity that has one value in each phase."""
    if len(values) == 1:
        return values[0]
    return math.fsum(share * value for share, value in zip(run.method.phase_shares, values, strict=True))


def _structures(run: Run) -> list[Recognizer]:
    """The network of each phase of the training, on the meta device."""
    return [build_structure(run, vocabulary(run), phase)[0] for phase in range(run.num_phases)]
