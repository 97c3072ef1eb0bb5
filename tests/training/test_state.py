"""Facts about the state of a run: whatever an optimizer holds comes back, laid out as its parameter is."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lrsms.base.random_streams import stream
from lrsms.methods.init import INITS
from lrsms.methods.linear import LowRankLinear
from lrsms.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lrsms.training.state import capture, restore

MakeOptimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "AdamW, fused": lambda p: torch.optim.AdamW(p, 1e-2, fused=True),
    "AdamW, plain": lambda p: torch.optim.AdamW(p, 1e-2, foreach=False),
    "AdamW, amsgrad": lambda p: torch.optim.AdamW(p, 1e-2, amsgrad=True, fused=True),
    "SGD": lambda p: torch.optim.SGD(p, 1e-2),
    "SGD, momentum": lambda p: torch.optim.SGD(p, 1e-2, momentum=0.9, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 1e-3, momentum=0.9, centered=True),
    "NAdam": lambda p: torch.optim.NAdam(p, 1e-3),
    "Adafactor, whose moments are of rows and columns": lambda p: torch.optim.Adafactor(p, 1e-2),
    "one that counts for itself": lambda p: Counting(p, 1e-2),
    "two groups": lambda p: torch.optim.AdamW([{"params": p[:2], "lr": 1e-3}, {"params": p[2:], "weight_decay": 0.1}]),
}


class Counting(torch.optim.SGD):
    """Keeps numbers and text beside its tensors, in its state and in its options."""

    def __init__(self, params: list[nn.Parameter], lr: float) -> None:
        super().__init__(params, lr, momentum=0.9)
        self.param_groups[0]["taken"] = 0

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        group = self.param_groups[0]
        group["taken"] += 1
        for parameter in group["params"]:
            state = self.state[parameter]
            state["scale"] = state.get("scale", 1.0) * 0.9
            state["phase"] = "even" if group["taken"] % 2 == 0 else "odd"
            parameter.grad *= state["scale"] * (2.0 if state["phase"] == "even" else 1.0)
        super().step()


def make_model(init: str = "spectral") -> nn.Module:
    """A factorised matrix and a dense one."""
    torch.manual_seed(1)
    weight = torch.randn(12, 9)
    factors = INITS[init](weight, 4, "default", stream(1, "test"))
    return nn.Sequential(LowRankLinear(*factors, torch.zeros(12)), nn.Tanh(), nn.Linear(12, 3))


def take_steps(model: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        x = torch.randn(7, 9, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


def sums_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: 2 * tensor for name, tensor in model.state_dict().items()}


def after(steps: int, make: MakeOptimizer, folder) -> tuple[nn.Module, torch.optim.Optimizer, Checkpoint]:
    """A model and its optimizer after some steps, and their checkpoint, read from the disk."""
    model = make_model()
    optimizer = make(list(model.parameters()))
    take_steps(model, optimizer, 0, steps)
    save_checkpoint(folder, capture(steps, model, optimizer, sums_of(model), {"sessions": []}))
    return model, optimizer, load_checkpoint(folder)


def assert_laid_out_alike(optimizer: torch.optim.Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        for value in state.values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                assert value.stride() == parameter.stride()


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_interrupted_optimizer_goes_on_to_the_same_bits(make, tmp_path):
    model, optimizer, checkpoint = after(3, make, tmp_path)
    assert not model[0].u.is_contiguous()  # what a row-by-row copy would not show
    again = make_model()
    resumed = make(list(again.parameters()))
    sums = {name: torch.zeros_like(tensor) for name, tensor in again.state_dict().items()}
    restore(checkpoint, again, resumed, sums)
    assert_laid_out_alike(resumed)
    assert all(torch.equal(sums[name], tensor) for name, tensor in sums_of(model).items())
    for one, other in zip(again.parameters(), model.parameters(), strict=True):
        state, expected = resumed.state[one], optimizer.state[other]
        assert {key: type(value) for key, value in state.items()} == {key: type(v) for key, v in expected.items()}
    take_steps(model, optimizer, 3, 8)
    take_steps(again, resumed, 3, 8)
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("init", INITS)
def test_moments_are_laid_out_as_factors_of_every_initialisation(init, tmp_path):
    model = make_model(init)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    take_steps(model, optimizer, 0, 2)
    save_checkpoint(tmp_path, capture(2, model, optimizer, {}, {}))
    restore(load_checkpoint(tmp_path), model, optimizer, {})
    assert_laid_out_alike(optimizer)
    assert [state["step"].item() for state in optimizer.state.values()] == [2] * 5


def test_what_is_put_back_is_a_copy(tmp_path):
    model, optimizer, checkpoint = after(2, OPTIMIZERS["AdamW, fused"], tmp_path)
    before = {name: tensor.clone() for name, tensor in checkpoint.tensors.items()}
    restore(checkpoint, model, optimizer, sums_of(model))
    take_steps(model, optimizer, 2, 4)
    assert all(torch.equal(checkpoint.tensors[name], tensor) for name, tensor in before.items())


def test_a_parameter_without_a_gradient_so_far_has_no_state(tmp_path):
    model = make_model()
    model[2].requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    take_steps(model, optimizer, 0, 2)
    save_checkpoint(tmp_path, capture(2, model, optimizer, {}, {}))
    restore(load_checkpoint(tmp_path), model, optimizer, {})
    assert len(optimizer.state) == 3


def test_how_an_optimizer_computes_may_change(tmp_path):
    """Fused kernels on one device, none on the next."""
    model, _, checkpoint = after(2, OPTIMIZERS["AdamW, fused"], tmp_path)
    optimizer = OPTIMIZERS["AdamW, plain"](list(model.parameters()))
    restore(checkpoint, model, optimizer, sums_of(model))
    assert not optimizer.param_groups[0]["fused"]
    take_steps(model, optimizer, 2, 3)


def test_an_option_that_a_later_release_adds_keeps_its_default_and_none_may_go(tmp_path):
    model, optimizer, checkpoint = after(2, OPTIMIZERS["AdamW, fused"], tmp_path)
    del checkpoint.extra["optimizer"]["groups"][0]["maximize"]
    restore(checkpoint, model, optimizer, sums_of(model))
    assert optimizer.param_groups[0]["maximize"] is False
    checkpoint.extra["optimizer"]["groups"][0]["other"] = 3
    with pytest.raises(ValueError, match="the optimizer has no option 'other', which was 3"):
        restore(checkpoint, model, optimizer, sums_of(model))


def test_a_checkpoint_from_before_there_were_notes_goes_on(tmp_path):
    model, optimizer, checkpoint = after(3, OPTIMIZERS["AdamW, fused"], tmp_path)
    again = make_model()
    resumed = OPTIMIZERS["AdamW, fused"](list(again.parameters()))
    restore(dataclasses.replace(checkpoint, extra={}), again, resumed, sums_of(again))
    take_steps(model, optimizer, 3, 5)
    take_steps(again, resumed, 3, 5)
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def without(name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


def adding(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: tensors | {name: tensor}


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("model/0.u"), "'0.u' of the model is missing"),
        (without("sum/0.u"), "'0.u' of the sum of snapshots is missing"),
        (without("optimizer/exp_avg_sq/0.u"), "4 parameters have 'exp_avg_sq', but 5 had it"),
        (without("optimizer/step/2.bias"), "4 parameters have 'step', but 5 had it"),
        (adding("model/3.weight", torch.ones(2)), "the model has no '3.weight'"),
        (adding("sum/3.weight", torch.ones(2)), "the sum of snapshots has no '3.weight'"),
        (
            adding("optimizer/exp_avg/3.weight", torch.ones(2)),
            "'exp_avg' is of '3.weight', which is no parameter of the",
        ),
        (adding("optimizer/other/0.u", torch.ones(12, 4)), "1 parameters have 'other', but 0 had it"),
        (adding("optimizer/exp_avg/0.u", torch.ones(4, 12)), r"'exp_avg' of '0.u' must be \(12, 4\), but is \(4, 12\)"),
        (adding("model/0.u", torch.ones(12, 5)), r"'0.u' of the model is \(12, 4\), .*, but was \(12, 5\)"),
        (adding("model/0.u", torch.ones(12, 4).double()), "torch.float32, but was .* torch.float64"),
        (adding("rest/0.u", torch.ones(1)), "'rest/0.u' is unknown"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(change, reason, noted, tmp_path):
    _, _, checkpoint = after(2, OPTIMIZERS["AdamW, fused"], tmp_path)
    changed = Checkpoint(2, change(dict(checkpoint.tensors)), checkpoint.extra if noted else {})
    model = make_model()
    optimizer = OPTIMIZERS["AdamW, fused"](list(model.parameters()))
    with pytest.raises(ValueError, match=reason) as caught:
        restore(changed, model, optimizer, sums_of(model))
    assert "\n" not in str(caught.value)
    assert not optimizer.state
    assert all(torch.equal(tensor, make_model().state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("AdamW, fused", "SGD, momentum", "the optimizer is SGD, but was AdamW"),
        ("AdamW, fused", "AdamW, amsgrad", "the optimizer's 'amsgrad' is True, but was False"),
        ("AdamW, fused", "two groups", "the optimizer has 2 groups, but had 1"),
    ],
)
def test_another_optimizer_is_refused(first, second, reason, tmp_path):
    _, _, checkpoint = after(2, OPTIMIZERS[first], tmp_path)
    model = make_model()
    with pytest.raises(ValueError, match=reason):
        restore(checkpoint, model, OPTIMIZERS[second](list(model.parameters())), sums_of(model))


@pytest.mark.parametrize("held", [[torch.ones(2)], (1, 2), {1: 2}, object()])
def test_what_a_checkpoint_cannot_hold_is_refused_when_it_is_written(held):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    optimizer.state[model[0].u]["held"] = held
    with pytest.raises(ValueError, match=r"the optimizer's 'held' is .*, which a checkpoint cannot hold"):
        capture(1, model, optimizer, {}, {})


def test_state_of_no_parameter_is_refused_when_it_is_written():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(2))], 1e-2)
    optimizer.state[optimizer.param_groups[0]["params"][0]]["held"] = 1
    with pytest.raises(ValueError, match="not a parameter of the model"):
        capture(1, make_model(), optimizer, {}, {})
