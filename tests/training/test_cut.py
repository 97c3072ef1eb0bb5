"""Facts about matrices that are cut by their outputs: no matrix of their rank is nearer in what it says."""

import pytest
import torch
from safetensors.torch import load_file

from lrsms.data.prepared import Prepared
from lrsms.methods.factorize import dense_weight
from lrsms.methods.factors import truncated_svd
from lrsms.methods.plan import make_plan
from lrsms.models.recognizer import Recognizer
from lrsms.training.cut import cut_by_outputs, input_moments, nearest_by_outputs, some_of
from lrsms.training.loop import train

CPU = torch.device("cpu")
AS_IT_IS = {"train__steps": 0, "train__snapshots": 1, "train__average": 1}


def error(weight, other, moment):
    """Mean of ``||W x - W' x||^2``."""
    change = weight.double() - other.double()
    return torch.trace(change @ moment @ change.mT).item()


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_it_is_the_svd_in_the_space_of_whitened_inputs(shape):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    inputs = torch.randn(50, shape[1], generator=generator, dtype=torch.float64)
    inputs *= torch.logspace(0, -2, shape[1], dtype=torch.float64)
    moment = inputs.mT @ inputs / len(inputs)
    found = nearest_by_outputs(weight, moment, 3)
    white = torch.linalg.cholesky(moment)
    u, s, vt = torch.linalg.svd(weight @ white, full_matrices=False)
    torch.testing.assert_close(found, (u[:, :3] * s[:3]) @ vt[:3] @ torch.linalg.inv(white))
    assert error(weight, found, moment) == pytest.approx((s[3:] ** 2).sum().item())
    u, s, vt = truncated_svd(weight, 3)
    assert error(weight, found, moment) < error(weight, (u * s) @ vt, moment)


def test_inputs_that_are_alike_in_all_directions_make_it_the_truncated_svd():
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    u, s, vt = truncated_svd(weight, 2)
    torch.testing.assert_close(nearest_by_outputs(weight, torch.eye(8, dtype=torch.float64), 2), (u * s) @ vt)


@pytest.mark.parametrize("qkv", ["separate", "fused"])
def test_each_matrix_of_a_trained_network_is_cut_and_nothing_else(make_lowrank, prepared, start, qkv):
    run = make_lowrank(init_from=start.digits, lowrank__cut_by="outputs", lowrank__qkv=qkv, **AS_IT_IS)
    before = load_file(start.weights)
    after = cut_by_outputs(run, before, prepared)
    assert list(after) == list(before)
    networks = []
    for weights in (before, after):
        networks.append(Recognizer(run.model, prepared.tokenizer.size))
        networks[-1].load_state_dict(weights)
    plan = [matrix for matrix in make_plan(networks[0], run.lowrank) if matrix.rank is not None]
    names = [matrix.name for matrix in plan]
    moments = input_moments(networks[0].eval(), names, run, prepared, some_of(prepared.items("train")))
    for matrix in plan:
        weight, cut = (dense_weight(network.get_submodule(matrix.name)) for network in networks)
        assert torch.linalg.matrix_rank(cut.double(), rtol=1e-5) == matrix.rank
        u, s, vt = truncated_svd(weight, matrix.rank)
        assert error(weight, cut, moments[matrix.name]) < error(weight, (u * s) @ vt, moments[matrix.name])
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    of_parts = [("q.", "k.", "v.") if name.endswith(".qkv") else ("",) for name in names]
    assert changed == {f"{n}.{part}weight" for n, parts in zip(names, of_parts, strict=True) for part in parts}


def test_a_run_begins_as_the_factors_of_what_was_cut(make_lowrank, make_folder, prepared, starts, start):
    run = make_lowrank(init_from=start.digits, lowrank__cut_by="outputs", **AS_IT_IS)
    folder = make_folder(run)
    train(run, prepared, folder, CPU, starts=starts)
    cut, ended = cut_by_outputs(run, load_file(start.weights), prepared), load_file(folder / "weights.safetensors")
    factors = [name.removesuffix(".u") for name in ended if name.endswith(".u")]
    assert factors
    for name in factors:
        product = ended[f"{name}.u"].double() @ ended[f"{name}.vt"].double()
        torch.testing.assert_close(product, cut[f"{name}.weight"].double(), atol=1e-5, rtol=0)
    plain = make_lowrank(init_from=start.digits, **AS_IT_IS)
    assert plain.digest != run.digest and "cut_by" not in plain.model_dump_json(exclude_none=True)


@pytest.mark.parametrize(
    ("lowrank", "message"),
    [
        (
            {"lowrank__cut_by": "outputs"},
            "is for trained matrices, those of 'init_from' or of method 'truncated'; remove it",
        ),
        ({"lowrank__cut_by": "inputs"}, "cut_by"),
        (
            {"lowrank__cut_by": "outputs", "init_from": "0" * 16, "lowrank__method": {"name": "warmup", "share": 0.5}},
            "takes over with init 'spectral'; use these, without a method",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_line(make_lowrank, lowrank, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_lowrank(**lowrank)
    assert "\n" not in str(caught.value)


def test_few_utterances_are_all_heard_and_many_are_spread(prepared: Prepared):
    items = prepared.items("train")
    assert list(some_of(items)) == items[:: -(-len(items) // 128)] and len(some_of(items * 200)) <= 128
    assert list(some_of(items[:5])) == items[:5]
