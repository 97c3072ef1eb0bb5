"""``python -m lrsms`` in float64, where what is left of a difference is no rounding; started by torchrun.

FAILS, if it is set, is a rank and a step: there that process ends with an error.
"""

import os
import sys
from typing import Any

from lrsms.__main__ import main
from lrsms.training import state, step

build_model, network_inputs, accumulate = state.build_model, step.network_inputs, step.accumulate
fails = tuple(int(number) for number in os.environ.get("FAILS", "").split(",") if number)


def double_model(*arguments: Any) -> Any:
    model, plan = build_model(*arguments)
    return model.double(), plan


def double_inputs(*arguments: Any) -> Any:
    return tuple(None if x is None else x.double() for x in network_inputs(*arguments))


def failing(*arguments: Any) -> dict[str, float]:
    if (int(os.environ["RANK"]), arguments[3]) == fails:
        raise ValueError("this rank has failed")
    return accumulate(*arguments)


if fails:
    step.accumulate = failing
else:
    state.build_model, step.network_inputs = double_model, double_inputs
sys.exit(main())
