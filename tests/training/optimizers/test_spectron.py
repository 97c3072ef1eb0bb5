"""Spectron: the product of two factors moves by a known size, whatever the scale of either."""

import pytest
import torch
from endings import same_result, whole_and_killed
from small import SIZE, small_run

from lrsms.methods.build import build_model
from lrsms.methods.linear import LowRankLinear
from lrsms.training.optimizer import make_optimizer
from lrsms.training.optimizers import spectron
from lrsms.training.orthogonal import COEFFICIENTS

LOWRANK = {"targets": ["encoder.attention", "decoder.feedforward"], "ratio": 0.5}


def run_with(optimizer, lowrank=None):
    run = small_run(lowrank)
    return run.model_copy(update={"train": run.train.model_copy(update={"optimizer": optimizer, "weight_decay": 0.0})})


def take_step(model, optimizer, step):
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        gradient = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    optimizer.step()
    optimizer.zero_grad()


def products(model) -> list[torch.Tensor]:
    return [module.u.detach() @ module.vt.detach() for module in model.modules() if isinstance(module, LowRankLinear)]


@pytest.mark.parametrize("scale", [1.0, 30.0, 0.03])
def test_a_product_moves_by_no_more_than_its_reach_however_its_factors_are_scaled(scale, monkeypatch):
    """Which is what Muon moves a dense matrix by, times 1.21 for directions that are orthogonal nearly."""
    monkeypatch.setattr(spectron, "POWERS", 50)
    run = run_with("spectron", LOWRANK)
    model = build_model(run, SIZE)[0].double()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LowRankLinear):
                module.u.mul_(scale)
                module.vt.div_(scale)
    optimizer = make_optimizer(run.train, model)
    for step in range(3):
        before = products(model)
        take_step(model, optimizer, step)
        moved = [after - first for after, first in zip(products(model), before, strict=True)]
        sizes = [float(torch.linalg.matrix_norm(each, 2)) for each in moved]
        reach = [run.train.lr * 0.2 * max(each.shape) ** 0.5 for each in moved]
        assert all(0 < size <= 1.21 * bound for size, bound in zip(sizes, reach, strict=True))


def test_factors_move_by_the_formula(monkeypatch):
    monkeypatch.setattr(spectron, "POWERS", 300)
    run = run_with("spectron", LOWRANK)
    model, start = (build_model(run, SIZE)[0].double() for _ in range(2))
    take_step(model, make_optimizer(run.train, model), 0)
    generator = torch.Generator().manual_seed(0)
    gradients = {name: torch.randn(p.shape, generator=generator, dtype=p.dtype) for name, p in start.named_parameters()}
    a, b, c = COEFFICIENTS
    for name, module in start.named_modules():
        if not isinstance(module, LowRankLinear):
            continue
        u, vt = module.u.detach(), module.vt.detach()
        norms = [torch.linalg.matrix_norm(each, 2) for each in (u, vt)]
        size = run.train.lr * 0.2 * max(u.shape[0], vt.shape[1]) ** 0.5 / (sum(norms) + 1)
        for part, factor in (("u", u), ("vt", vt)):
            left, s, right = torch.linalg.svd(gradients[f"{name}.{part}"], full_matrices=False)
            s = s / s.norm()
            for _ in range(5):
                s = a * s + b * s**3 + c * s**5
            expected = factor - size * (left * s @ right)
            torch.testing.assert_close(model.get_parameter(f"{name}.{part}"), expected, rtol=1e-6, atol=1e-9)


def test_dense_models_move_as_by_muon():
    models = []
    for name in ("muon", "spectron"):
        run = run_with(name)
        models.append(build_model(run, SIZE)[0])
        optimizer = make_optimizer(run.train, models[-1])
        for step in range(3):
            take_step(models[-1], optimizer, step)
    assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in models), strict=True))


def test_a_killed_run_goes_on_to_the_same_bits(make_lowrank, make_folder, prepared, monkeypatch):
    """The vectors of the power method come back too."""
    run = make_lowrank(train__optimizer="spectron", train__steps=4, train__snapshots=2, train__average=1)
    whole, folder = whole_and_killed(run, prepared, make_folder, monkeypatch, 1, 3)
    assert same_result(folder, whole)
