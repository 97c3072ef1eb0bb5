"""Facts about optimizers: who is in which group, at what rate, and that each costs what it says."""

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_run
from torch import nn

from lrsms.methods.build import build_model, build_structure
from lrsms.study.files_as_values import OPTIMIZERS
from lrsms.training import optimizer as made
from lrsms.training.groups import Cost, Group, roles
from lrsms.training.optimizer import make_optimizer, set_learning_rate, update_cost

NETWORKS = {"asr": {}, "wave": {"frontend": "wave"}, "vsr": VISUAL, "avsr": AUDIOVISUAL}
LOWRANK = {"targets": ["encoder.*", "decoder.*"], "ratio": 0.5}


def run_with(optimizer: str | None, lowrank=None, **network):
    run = small_run(lowrank, **network)
    return run.model_copy(update={"train": run.train.model_copy(update={"optimizer": optimizer})})


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    """Steps on random gradients, the same for the same shapes, laid out as their parameters are, as PyTorch has it."""
    for step in range(number):
        generator = torch.Generator().manual_seed(step)
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))
        optimizer.step()
        optimizer.zero_grad()


def test_without_a_name_it_is_adamw_as_it_always_was():
    run = run_with(None, LOWRANK)
    ours, theirs = (build_model(run, SIZE)[0] for _ in range(2))
    train = run.train
    plain = torch.optim.AdamW(theirs.parameters(), train.lr, train.betas, weight_decay=train.weight_decay, fused=True)
    optimizer = make_optimizer(train, ours)
    assert type(optimizer) is torch.optim.AdamW
    for lr in (1e-3, 5e-4):
        set_learning_rate(optimizer, lr)
        plain.param_groups[0]["lr"] = lr
        steps(ours, optimizer, 2)
        steps(theirs, plain, 2)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("lowrank", [None, LOWRANK], ids=["dense", "low rank"])
def test_roles_are_what_parameters_are_in_the_network(network, lowrank):
    model, plan = build_structure(run_with(None, lowrank, **network), SIZE)
    found = roles(model)
    assert list(found) == [name for name, _ in model.named_parameters()]
    heads = {"ctc.weight", "decoder.output.weight", "decoder.embedding.weight"}
    assert {name for name, role in found.items() if role == "vocabulary"} == heads
    inner = [matrix for matrix in plan if f"{matrix.name}.weight" not in heads]
    factors = {f"{m.name}.{part}" for m in inner for part in (("weight",) if m.rank is None else ("u", "vt"))}
    assert {name for name, role in found.items() if role == "matrix"} == factors
    for name, parameter in model.named_parameters():
        assert (found[name] == "convolution") == (parameter.ndim > 2), name
        assert (found[name] == "vector") == (parameter.ndim == 1 or name.endswith("bias")), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_keeps_what_it_says(name):
    """A count of steps, which is one number, is left out; the same is told of the network without memory."""
    run = run_with(name, LOWRANK, **AUDIOVISUAL)
    model = build_model(run, SIZE)[0]
    optimizer = make_optimizer(run.train, model)
    steps(model, optimizer, 2)
    kept = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    cost = update_cost(run.train, model)
    assert sum(value.numel() for value in kept if value.ndim) == cost.state
    assert cost.traffic >= 2 * sum(parameter.numel() for parameter in model.parameters())
    assert update_cost(run.train, build_structure(run, SIZE)[0]) == cost


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_moves_every_parameter_and_none_without_a_gradient(name):
    run = run_with(name, LOWRANK, **AUDIOVISUAL)
    model = build_model(run, SIZE)[0]
    before = {key: parameter.clone() for key, parameter in model.named_parameters()}
    optimizer = make_optimizer(run.train, model)
    for key, parameter in model.named_parameters():
        if not key.startswith("audio_"):
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for key, parameter in model.named_parameters():
        assert torch.equal(parameter, before[key]) == key.startswith("audio_"), key
    assert len(optimizer.state) == sum(not key.startswith("audio_") for key in before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_the_same_whatever_the_layout_of_a_parameter(name):
    """Factors of an SVD lie column by column."""
    run = run_with(name, LOWRANK)
    model, rows = (build_model(run, SIZE)[0] for _ in range(2))
    assert any(not parameter.is_contiguous() for parameter in model.parameters())
    for parameter in rows.parameters():
        parameter.data = parameter.data.contiguous()
    for each in (model, rows):
        steps(each, make_optimizer(run.train, each), 3)
    for parameter, like in zip(model.parameters(), rows.parameters(), strict=True):
        torch.testing.assert_close(parameter, like, rtol=1e-5, atol=1e-6)


def test_groups_have_their_own_learning_rate_and_decay(monkeypatch):
    class Two:
        @staticmethod
        def groups(model, options):
            matrices = [model.weight]
            return [Group(matrices, lambda _: Cost(3, 4, 5), lr=0.5), Group([model.bias], lambda _: Cost(1), decay=0.0)]

        @staticmethod
        def build(groups, train, options):
            return torch.optim.SGD(groups, train.lr)

    monkeypatch.setitem(made.OPTIMIZERS, "adamw", Two)
    train = small_run().train
    optimizer = make_optimizer(train, nn.Linear(2, 2))
    assert [group["lr"] for group in optimizer.param_groups] == [train.lr / 2, train.lr]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [train.weight_decay, 0.0]
    set_learning_rate(optimizer, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]
    assert update_cost(train, nn.Linear(2, 2)) == Cost(4, 4, 5)


@pytest.mark.parametrize(("taken", "times"), [([], 0), (["weight", "weight"], 2)])
def test_a_parameter_that_is_forgotten_or_taken_twice_is_refused(monkeypatch, taken, times):
    class Wrong:
        @staticmethod
        def groups(model, options):
            return [Group([getattr(model, name)], lambda _: Cost()) for name in [*taken, "bias"]]

    monkeypatch.setitem(made.OPTIMIZERS, "adamw", Wrong)
    with pytest.raises(ValueError, match=f"adamw.py: 'weight' is in {times} groups; each parameter belongs in exactly"):
        make_optimizer(small_run().train, nn.Linear(2, 2))
