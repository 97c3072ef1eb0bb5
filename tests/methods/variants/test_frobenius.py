"""Facts about Frobenius decay: the step is that of its penalty, and all but the factors decays as ever."""

import nano
import pytest
import torch
from stepping import CASES, LOWRANK, run_of, stepped, take

from lrsms.base.strict import parse
from lrsms.methods.product import factors
from lrsms.methods.variants.frobenius import Frobenius, shrink
from lrsms.study.files_as_values import OPTIMIZERS
from lrsms.study.lowrank import LowRank
from lrsms.study.method import LEFT
from lrsms.training.groups import roles
from lrsms.training.loop import train
from lrsms.training.optimizer import make_optimizer

CPU = torch.device("cpu")


def test_its_step_is_the_gradient_of_the_penalty():
    generator = torch.Generator().manual_seed(1)
    u, vt = (torch.randn(shape, generator=generator).double().requires_grad_() for shape in ((7, 3), (3, 5)))
    (u @ vt).square().sum().div(2).backward()
    assert u.grad is not None and vt.grad is not None
    expected = (u - 0.02 * u.grad).detach(), (vt - 0.03 * vt.grad).detach()
    with torch.no_grad():
        shrink(u, vt, 0.02, 0.03)
    torch.testing.assert_close((u.detach(), vt.detach()), expected)


def test_a_singular_value_of_balanced_factors_shrinks_by_its_cube():
    """Both factors have its root, which falls by ``rate s^(3/2)``; so strong directions fall more than weak ones."""
    s = torch.tensor([2.0, 0.5, 0.01], dtype=torch.float64)
    u, vt = torch.diag(s.sqrt()), torch.diag(s.sqrt())
    shrink(u, vt, 0.1, 0.1)
    torch.testing.assert_close((u @ vt).diag(), (s.sqrt() - 0.1 * s**1.5) ** 2)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("decay", [None, 0.7])
def test_without_gradients_only_decay_moves_the_weights(optimizer, decay):
    run = run_of({"name": "frobenius", "decay": decay}, optimizer=optimizer)
    start, state = stepped(run, 0), stepped(run, 0)
    take(state, scale=0.0)
    rate = 1e-2 * (0.3 if decay is None else decay)
    pairs = factors(start.model, start.plan)
    with torch.no_grad():
        for u, vt in pairs:
            shrink(u, vt, rate, rate)
    own = {id(factor) for pair in pairs for factor in pair}
    after = dict(state.model.named_parameters())
    assert len(own) == 2 * sum(matrix.rank is not None for matrix in start.plan) > 0
    for name, parameter in start.model.named_parameters():
        expected = parameter if id(parameter) in own else (1 - 1e-2 * 0.3) * parameter
        torch.testing.assert_close(after[name], expected, msg=name)


@CASES
def test_without_decay_it_is_plain_low_rank(optimizer, model):
    """To the bit under AdamW; Muon multiplies matrices in other batches."""
    plain, own = (stepped(run_of(m, optimizer, 0.0, **model), 3) for m in (None, {"name": "frobenius"}))
    tolerance = 0.0 if optimizer == "adamw" else 1e-6
    expected, found = (state.model.state_dict() for state in (plain, own))
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_optimizer_leaves_the_decay_of_factors_and_of_nothing_else(optimizer):
    run = run_of({"name": "frobenius"}, optimizer=optimizer)
    state = stepped(run, 0)
    names = {parameter: name for name, parameter in state.model.named_parameters()}
    usual = make_optimizer(run.train, state.model)
    decays = {each: group["weight_decay"] for group in usual.param_groups for each in group["params"]}
    pairs = {factor for pair in factors(state.model, state.plan) for factor in pair}
    seen = [each for group in state.optimizer.param_groups for each in group["params"]]
    assert len(seen) == len(set(seen)) == len(roles(state.model))
    for group in state.optimizer.param_groups:
        for each in group["params"]:
            found = (group["weight_decay"], group.get(LEFT))
            assert found == ((0.0, decays[each]) if each in pairs else (decays[each], None)), names[each]


def test_its_decay_is_a_run_of_its_own_and_has_bounds():
    runs = [run_of(None), run_of({"name": "frobenius"}), run_of({"name": "frobenius", "decay": 0.1})]
    assert len({run.digest for run in runs}) == 3
    assert [str(run.method) for run in runs] == ["plain", "frobenius", "frobenius decay 0.1"]
    with pytest.raises(ValueError, match=r"decay.*greater than or equal to 0"):
        parse(LowRank, LOWRANK | {"method": {"name": "frobenius", "decay": -1}}, "test")
    assert isinstance(runs[1].method, Frobenius)


@pytest.mark.slow
def test_training_with_it_is_another_training(make_run, make_folder, prepared):
    fields = nano.SPECTRAL | {"train__steps": 4, "train__weight_decay": 0.5}
    ends = []
    for method in ({"name": "plain"}, {"name": "frobenius"}, {"name": "frobenius", "decay": 5.0}):
        run = make_run(**fields, lowrank__method=method)
        train(run, prepared, folder := make_folder(run), CPU)
        ends.append((folder / "weights.safetensors").read_bytes())
    assert len(set(ends)) == 3
