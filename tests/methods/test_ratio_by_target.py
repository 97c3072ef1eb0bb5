"""A ratio for each target: the ranks, parameters and multiply-adds are those of each target alone."""

import pytest
import torch
from small import SIZE, small_model, small_run

from lrsms.base.strict import parse
from lrsms.methods.build import build_structure
from lrsms.methods.closed_form import plan_of
from lrsms.methods.operations import multiply_adds_per_second, plan_summary
from lrsms.methods.plan import make_plan
from lrsms.models.recognizer import Recognizer
from lrsms.study.files_as_values import METHODS
from lrsms.study.lowrank import LowRank

ATTENTION, FEEDFORWARD = "encoder.attention", "encoder.feedforward"
BOTH = {ATTENTION: 0.125, FEEDFORWARD: 0.5}
BY_TARGET = {"targets": list(BOTH), "ratio": BOTH}


def refusal(lowrank: dict) -> str:
    with pytest.raises(ValueError, match="test: ") as error:
        parse(LowRank, {"targets": [ATTENTION, FEEDFORWARD]} | lowrank, "test")
    assert "\n" not in str(error.value)
    return str(error.value)


def ranks(**lowrank) -> dict[str, int | None]:
    with torch.device("meta"):
        model = Recognizer(small_model(), SIZE)
    return {matrix.name: matrix.rank for matrix in make_plan(model, parse(LowRank, lowrank, "test"))}


@pytest.mark.parametrize("more", [{}, {"mapping": "linear", "slope": 0.5}, {"qkv": "fused"}, {"multiple": 2}])
def test_each_target_has_the_ranks_that_it_has_alone(more):
    together = ranks(**BY_TARGET, **more)
    of_feedforward = {} if "qkv" in more else more
    alone = [
        ranks(targets=[ATTENTION], ratio=BOTH[ATTENTION], **more),
        ranks(targets=[FEEDFORWARD], ratio=BOTH[FEEDFORWARD], **of_feedforward),
    ]
    for name, rank in together.items():
        assert rank == next((found[name] for found in alone if found.get(name) is not None), None), name
    assert len({rank for rank in together.values() if rank}) > 1


def test_parameters_and_multiply_adds_are_those_of_the_network_that_is_built():
    runs = {"both": small_run(BY_TARGET), "dense": small_run(None)}
    runs |= {target: small_run({"targets": [target], "ratio": ratio}) for target, ratio in BOTH.items()}
    sizes, macs = {}, {}
    for name, run in runs.items():
        model, plan = build_structure(run, SIZE)
        assert plan_of(run, SIZE) == plan_summary(model, plan)
        sizes[name] = sum(parameter.numel() for parameter in model.parameters())
        assert plan_summary(model, plan)["parameters"] == sizes[name]
        macs[name] = multiply_adds_per_second(run, model, 20, 5)
    for counts in (sizes, macs):
        saved = {name: counts["dense"] - count for name, count in counts.items()}
        assert saved["both"] == pytest.approx(saved[ATTENTION] + saved[FEEDFORWARD]) and saved["both"] > 0


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_the_ranks_of_each_target(name):
    """What it counts is what it builds, and lies between what it counts of either ratio for all."""
    method = {"name": name} | {"warmup": {"share": 0.5}}.get(name, {})
    ratios = {ATTENTION: 0.5, FEEDFORWARD: 0.75}
    counts = []
    for ratio in (0.5, ratios, 0.75):
        run = small_run({"targets": list(ratios), "ratio": ratio, "method": method})
        model, plan = build_structure(run, SIZE)
        counts.append(plan_summary(model, plan)["parameters"])
        assert plan_of(run, SIZE) == plan_summary(model, plan)
    assert counts[0] < counts[1] < counts[2]


def test_one_ratio_for_all_targets_is_the_run_of_that_number_in_any_order():
    equal = small_run(BY_TARGET | {"ratio": dict.fromkeys(BOTH, 0.25)})
    number = small_run(BY_TARGET | {"ratio": 0.25})
    assert equal == number and equal.digest == number.digest
    turned = small_run(BY_TARGET | {"ratio": {FEEDFORWARD: 0.5, ATTENTION: 0.125}})
    assert turned.digest == small_run(BY_TARGET).digest != number.digest
    assert list(turned.lowrank.ratio) == list(turned.lowrank.targets)
    assert hash(turned.lowrank) == hash(small_run(BY_TARGET).lowrank)


def test_a_run_is_read_back_from_its_configuration():
    run = small_run(BY_TARGET)
    again = parse(type(run), run.model_dump(mode="json"), "config.json")
    assert again == run and again.digest == run.digest


@pytest.mark.parametrize(
    ("lowrank", "said"),
    [
        ({"ratio": {ATTENTION: 0.1}}, "'ratio': has no value for target 'encoder.feedforward'; give one for each"),
        ({"ratio": BOTH | {"encoder.atention": 0.1}}, "is not one of 'targets'; did you mean 'encoder.attention'?"),
        ({"ratio": {}}, "'ratio' is {}"),
        ({"ratio": {ATTENTION: 0.1, FEEDFORWARD: 1.5}}, "'ratio.encoder.feedforward' is 1.5: input should be less"),
        (
            {"ratio": {ATTENTION: 0.1, FEEDFORWARD: None}},
            "'ratio.encoder.feedforward' is null: input should be a valid",
        ),
        ({"ratio": "0.5"}, "'ratio' is \"0.5\": input should be a valid number"),
        ({"ratio": [0.1, 0.5]}, "'ratio' is [0.1, 0.5]: input should be a valid number"),
        ({"ratio": BOTH, "mapping": "explicit", "ratios": [0.2, 0.3]}, "so 'ratio' must be their average"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_in_one_line(lowrank, said):
    assert said in refusal(lowrank)


def test_a_matrix_has_one_ratio():
    with pytest.raises(
        ValueError, match=r"attention.position' would have 0.5 of target 'encoder.attention' and 0.25 of"
    ):
        ranks(
            targets=[ATTENTION, "encoder.attention.position"],
            ratio={ATTENTION: 0.5, "encoder.attention.position": 0.25},
        )
    layers = {"encoder.blocks.0.feedforward_*": 0.5, "encoder.blocks.[12].feedforward_*": 0.25}
    found = ranks(targets=list(layers), ratio=layers)
    widths = [found[f"encoder.blocks.{layer}.feedforward_in.expand"] for layer in range(3)]
    assert widths[0] == 2 * widths[1] == 2 * widths[2]
    with pytest.raises(ValueError, match="layers of different ratios share no budget of ranks"):
        ranks(targets=list(layers), ratio=layers, mapping="linear", slope=0.5)
