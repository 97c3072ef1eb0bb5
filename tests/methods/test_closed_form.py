"""The closed form has the parameters and the matrices of the network that is built, and bounds its multiply-adds."""

from pathlib import Path

import pytest
from small import AUDIOVISUAL, VISUAL, small_model, small_run

from lrsms.cost.random_data import vocabulary
from lrsms.methods.build import build_structure
from lrsms.methods.closed_form import multiply_adds_bounds, plan_of, vocabulary_of
from lrsms.methods.operations import multiply_adds_per_second, plan_summary
from lrsms.study import expand
from lrsms.study.run import Run

CONFIG = Path(__file__).parents[2] / "workflow/config"
PRESETS = sorted(path.stem for path in (CONFIG / "presets").glob("*.yaml"))
EVERYTHING = ["*encoder.*", "decoder.*"]
LOW_RANK = [
    [],
    ["lowrank.targets=[encoder.attention]", "lowrank.ratio=0.12"],
    [f"lowrank.targets={EVERYTHING}", "lowrank.ratio=0.25", "lowrank.qkv=fused", "lowrank.multiple=2"],
    ["lowrank.targets=[encoder.attention.position, ctc]", "lowrank.ratio=0.5"],
    ["lowrank.targets=[encoder.*]", "lowrank.ratio=0.3", "lowrank.mapping=linear", "lowrank.slope=-0.5"],
]


def counted(run: Run, size: int) -> dict:
    return plan_summary(*build_structure(run, size))


@pytest.mark.parametrize("settings", LOW_RANK, ids=["dense", "attention", "fused", "position", "linear"])
@pytest.mark.parametrize("preset", PRESETS)
def test_of_every_preset(preset: str, settings: list[str]) -> None:
    run = expand.preset_run(preset, settings, CONFIG)
    size = vocabulary(run)
    assert plan_of(run, size) == counted(run, size)
    assert vocabulary_of(run) in (None, size)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"frontend": "wave"},
        {"decoder_layers": 0, "layers": 1, "kernel": 1},
        {"mels": 21, "channels": 5, "dim": 24, "heads": 3, "feedforward": 7},
        VISUAL,
        AUDIOVISUAL,
        AUDIOVISUAL | {"frontend": "wave", "fusion": 5, "video_channels": 3},
    ],
)
def test_of_every_kind_of_network_and_its_multiply_adds_lie_within_their_bounds(changes: dict) -> None:
    for lowrank in (None, {"targets": ["*.attention", "*feedforward*"], "ratio": 0.4}):
        run = small_run(lowrank=lowrank)
        run = run.model_copy(update={"model": small_model(**changes)})
        model, plan = build_structure(run, 31)
        assert plan_of(run, 31) == plan_summary(model, plan)
        low, high = multiply_adds_bounds(run, 31)
        for frames, tokens in ((4, 1), (40, 40)):
            assert low <= multiply_adds_per_second(run, model, frames, tokens) <= high


def test_a_target_that_matches_nothing_is_refused_as_the_plan_refuses_it() -> None:
    with pytest.raises(ValueError, match=r"'encoder\.attension' matches no matrix; did you mean"):
        plan_of(small_run({"targets": ["encoder.attension"], "ratio": 0.5}), 31)
