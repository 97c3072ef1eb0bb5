"""From a run's configuration to its network, in memory and as a structure without memory."""

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_run

from lrsms.methods.build import build_model, build_structure
from lrsms.methods.init import INITS

LOWRANKS = [None, *({"targets": ["encoder.*"], "ratio": 0.4, "init": init, "qkv": "fused"} for init in INITS)]


@pytest.mark.parametrize("lowrank", LOWRANKS)
@pytest.mark.parametrize("network", [{}, {"frontend": "wave"}, VISUAL, AUDIOVISUAL], ids=str)
def test_the_structure_is_the_model_without_its_numbers(lowrank, network):
    run = small_run(lowrank, **network)
    (model, plan), (structure, structure_plan) = build_model(run, SIZE), build_structure(run, SIZE)
    assert plan == structure_plan
    tensors, shapes = model.state_dict(), structure.state_dict()
    assert {n: (t.shape, t.dtype) for n, t in tensors.items()} == {n: (t.shape, t.dtype) for n, t in shapes.items()}
    assert all(tensor.is_meta for tensor in shapes.values())
    assert all(tensor.dtype == torch.float32 and torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.parametrize("network", [{}, AUDIOVISUAL], ids=str)
@pytest.mark.parametrize("lowrank", LOWRANKS)
def test_the_plan_accounts_for_every_parameter_of_its_matrices(lowrank, network):
    model, plan = build_model(small_run(lowrank, **network), SIZE)
    for matrix in plan:
        module = model.get_submodule(matrix.name)
        assert sum(parameter.numel() for parameter in module.parameters()) == matrix.parameters


def test_the_seed_of_a_run_makes_weights_and_factors():
    lowrank = {"targets": ["ctc"], "ratio": 0.5, "init": "random"}
    one, other = (build_model(small_run(lowrank, seed), SIZE)[0].state_dict() for seed in (1, 2))
    for name in ("ctc.u", "frontend.projection.weight"):
        assert not torch.equal(one[name], other[name])


@pytest.mark.parametrize("make", [build_model, build_structure])
def test_a_target_that_matches_nothing_is_refused(make):
    with pytest.raises(
        ValueError, match=r"'encoder.feedforwards' matches no matrix; did you mean 'encoder.feedforward'"
    ):
        make(small_run({"targets": ["encoder.feedforwards"], "ratio": 0.5}), SIZE)
