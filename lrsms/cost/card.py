"""Full training on paper: hours on one large GPU, counted from multiply-adds where there is no such GPU to measure on.

An H100 multiplies matrices of bfloat16 at 989 TFLOP/s by its data sheet (SXM, dense). A well-filled training step keeps
40% of that; small steps, which wait for launches, do not.
"""

from dataclasses import dataclass

from lrsms.cost.memory import device_memory_mb
from lrsms.cost.random_data import FRAMES
from lrsms.cost.rate import FORWARD_AND_BACKWARD, mean_multiply_adds_per_second
from lrsms.study.frames import FRAMES_PER_SECOND
from lrsms.study.run import Run

FLOPS = 989e12
SHARE = 0.4
HEADING = (
    f"One run on one card of {FLOPS / 1e12:.0f} TFLOP/s (an H100 in bfloat16) at {SHARE:.0%} of it, by multiply-adds,"
    " and the memory that it needs at most:"
)


@dataclass(frozen=True)
class OnCard:
    """What one run takes on such a card.

    Attributes:
        hours: of training; validation and decoding are not in them.
        memory_mb: of the card, at most.
    """

    hours: float
    memory_mb: int


def on_card(run: Run, speech_hours: float) -> OnCard:
    """Counts one run.

    Args:
        run: what is trained.
        speech_hours: of its training split. A run of a number of steps takes as many full ones, whatever the split.
    """
    per_second = mean_multiply_adds_per_second(run, FRAMES)
    if run.train.epochs is not None:
        seconds = 3600 * speech_hours * run.train.epochs
    else:
        assert run.train.steps is not None, "a run has epochs or steps"
        seconds = run.train.steps * run.train.groups_per_step * run.train.group_frames / FRAMES_PER_SECOND
    operations = 2 * FORWARD_AND_BACKWARD * per_second * seconds
    return OnCard(operations / (SHARE * FLOPS) / 3600, device_memory_mb(run))
