"""Full training on paper: hours on one large GPU, worked out from multiply-adds, for users who cannot measure on one.

By its data sheet, an H100 multiplies bfloat16 matrices at 989 TFLOP/s (SXM, dense). A large training step reaches about
40% of that. A small step reaches less, because the GPU waits for launches.
"""

from dataclasses import dataclass

from lrsms.cost.counts import multiply_adds_per_step
from lrsms.cost.memory import device_memory_mb
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
    """The time and memory that one run needs on such a card.

    Attributes:
        hours: training time, without validation and decoding.
        memory_mb: upper bound of the device memory.
    """

    hours: float
    memory_mb: int


def on_card(run: Run, speech_hours: float) -> OnCard:
    """Works out the time and memory of one run.

    Args:
        run: the run to train.
        speech_hours: hours of speech in its training split. A run whose length is given in steps does not depend on
            it: its steps are counted as full ones.
    """
    steps: float | None = run.train.steps
    if run.train.epochs is not None:
        frames = 3600 * FRAMES_PER_SECOND * speech_hours * run.train.epochs
        steps = frames / (run.train.groups_per_step * run.train.group_frames)
    assert steps is not None, "a run has epochs or steps"
    operations = 2 * multiply_adds_per_step(run) * steps  # the optimizer's among them
    return OnCard(operations / (SHARE * FLOPS) / 3600, device_memory_mb(run))
