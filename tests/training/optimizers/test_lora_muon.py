"""LoRA-Muon: where the product goes, which no basis between its factors changes."""

import pytest
import torch
from endings import same_result, whole_and_killed
from small import small_run
from torch import nn

from lrsms.methods.linear import LowRankLinear
from lrsms.training import orthogonal
from lrsms.training.optimizer import make_optimizer
from lrsms.training.optimizers.lora_muon import inverse_roots


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(basis: torch.Tensor | None = None) -> LowRankLinear:
    """Factors of a product of rank 3, (8, 5), in another basis between them."""
    basis = torch.eye(3, dtype=torch.float64) if basis is None else basis
    return LowRankLinear(random(8, 3) @ basis, torch.linalg.solve(basis, random(3, 5, seed=2)), None)


def take_step(model: LowRankLinear, optimizer: torch.optim.Optimizer, seed: int) -> torch.Tensor:
    """A step on the gradient of a loss that is linear in the product; returns by what the product moved."""
    before = (model.u @ model.vt).detach()
    (random(8, 5, seed=seed) * (model.u @ model.vt)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return (model.u @ model.vt).detach() - before


def made(model: nn.Module, decay: float = 0.0, **options: float) -> torch.optim.Optimizer:
    settings = {"optimizer": "lora_muon", "weight_decay": decay, "optimizer_options": options or None}
    return make_optimizer(small_run().train.model_copy(update=settings), model)


@pytest.mark.parametrize("shape", [(9, 4), (4, 4), (6, 1)])
def test_inverse_roots_are_those(shape):
    x = random(*shape)
    (root,) = inverse_roots([x])
    torch.testing.assert_close(root @ root @ (x.mT @ x), torch.eye(shape[1], dtype=x.dtype), rtol=0, atol=1e-9)
    torch.testing.assert_close(root, root.mT)
    assert torch.equal(inverse_roots([torch.zeros(5, 2)])[0], torch.zeros(2, 2))


@pytest.mark.parametrize(
    "basis",
    [torch.eye(3).double() * 50, torch.linalg.qr(random(3, 3))[0], random(3, 3, seed=5)],
    ids=["scale", "rotation", "any"],
)
def test_no_basis_between_the_factors_changes_where_the_product_goes(basis):
    """Without momentum: a momentum remembers the basis of earlier steps."""
    plain, changed = pair(), pair(basis)
    optimizers = [made(model, decay=0.1, momentum=0.0) for model in (plain, changed)]
    for seed in (3, 4):
        moves = [take_step(model, each, seed) for model, each in zip((plain, changed), optimizers, strict=True)]
        torch.testing.assert_close(moves[0], moves[1], rtol=1e-6, atol=1e-10)


def test_each_factor_moves_the_product_by_half_of_muons_reach(monkeypatch):
    """In the spectral norm, with directions that are orthogonal exactly."""

    def exactly(matrices, *_):
        return [u @ vt for u, _, vt in (torch.linalg.svd(each, full_matrices=False) for each in matrices)]

    monkeypatch.setattr(orthogonal, "orthogonalise", exactly)
    model = pair()
    u, vt = model.u.detach().clone(), model.vt.detach().clone()
    take_step(model, made(model), 3)
    half = small_run().train.lr * 0.2 * 8**0.5 / 2
    for moved in ((model.u - u) @ vt, u @ (model.vt - vt)):
        assert float(torch.linalg.matrix_norm(moved.detach(), 2)) == pytest.approx(half, rel=1e-9)


def test_decay_is_that_of_the_product():
    lr, decay = small_run().train.lr, 5.0
    model = pair()
    before = (model.u @ model.vt).detach()
    for factor in (model.u, model.vt):
        factor.grad = torch.zeros_like(factor)
    made(model, decay).step()
    torch.testing.assert_close((model.u @ model.vt).detach(), before * (1 - lr * decay), rtol=1e-12, atol=0)


def test_a_killed_run_goes_on_to_the_same_bits(make_lowrank, make_folder, prepared, monkeypatch):
    run = make_lowrank(train__optimizer="lora_muon", train__steps=4, train__snapshots=2, train__average=1)
    whole, folder = whole_and_killed(run, prepared, make_folder, monkeypatch, 1, 3)
    assert same_result(folder, whole)
