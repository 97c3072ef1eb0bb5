"""Muon: beside its formula written out, PyTorch's own, and what no optimizer of its kind can depend on."""

import itertools

import pytest
import torch
from endings import Killed, killed_after, same_result, whole_and_killed
from small import SIZE, small_run
from torch import nn

from lrsms.methods.build import build_model
from lrsms.training.groups import roles
from lrsms.training.loop import train
from lrsms.training.optimizer import make_optimizer
from lrsms.training.orthogonal import COEFFICIENTS

CPU = torch.device("cpu")
LOWRANK = {"targets": ["encoder.*", "decoder.*"], "ratio": 0.5}


def muon(lowrank=None, **train_fields):
    run = small_run(lowrank)
    return run.model_copy(update={"train": run.train.model_copy(update={"optimizer": "muon"} | train_fields)})


def gradients(model: nn.Module, step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {
        name: torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.dtype)
        for name, parameter in model.named_parameters()
    }


def take_step(model: nn.Module, optimizer: torch.optim.Optimizer, step: int, scale: float = 1.0) -> None:
    for name, gradient in gradients(model, step).items():
        parameter = model.get_parameter(name)
        parameter.grad = torch.empty_like(parameter).copy_(gradient * scale)  # laid out as PyTorch has it
    optimizer.step()
    optimizer.zero_grad()


def written_out(weight, step_gradients, lr, decay, momentum, iterations, rms):
    """Muon of one matrix, by its singular values."""
    a, b, c = COEFFICIENTS
    mean = torch.zeros_like(weight)
    for gradient in step_gradients:
        mean = momentum * mean + (1 - momentum) * gradient
        u, s, vt = torch.linalg.svd((1 - momentum) * gradient + momentum * mean, full_matrices=False)
        s = s / s.norm()
        for _ in range(iterations):
            s = a * s + b * s**3 + c * s**5
        weight = (1 - lr * decay) * weight - lr * rms * max(weight.shape) ** 0.5 * (u * s @ vt)
    return weight


@pytest.mark.parametrize("options", [{}, {"momentum": 0.5, "iterations": 3, "rms": 1.0}], ids=["usual", "others"])
@pytest.mark.parametrize("lowrank", [None, LOWRANK], ids=["dense", "low rank"])
def test_over_several_steps_it_is_its_formula_for_matrices_and_adamw_for_all_else(lowrank, options):
    run = muon(lowrank, optimizer_options=options or None)
    model, start = (build_model(run, SIZE)[0].double() for _ in range(2))
    optimizer = make_optimizer(run.train, model)
    others = [start.get_parameter(name) for name, role in roles(start).items() if role != "matrix"]
    adamw = torch.optim.AdamW(others, run.train.lr, run.train.betas, weight_decay=run.train.weight_decay)
    for step in range(4):
        take_step(model, optimizer, step)
        take_step(start, adamw, step)
    settings = {"momentum": 0.95, "iterations": 5, "rms": 0.2} | options
    taken = [gradients(model, step) for step in range(4)]
    for name, role in roles(model).items():
        expected = start.get_parameter(name)
        if role == "matrix":
            of_matrix = [each[name] for each in taken]
            expected = written_out(expected, of_matrix, run.train.lr, run.train.weight_decay, **settings)
        torch.testing.assert_close(model.get_parameter(name), expected, rtol=1e-9, atol=1e-11, msg=name)


def test_in_bfloat16_it_is_pytorchs_own():
    """Which takes one matrix at a time, and always in bfloat16."""
    run = muon(LOWRANK, precision="bfloat16")
    model, other = (build_model(run, SIZE)[0] for _ in range(2))
    matrices = [name for name, role in roles(other).items() if role == "matrix"]
    theirs = torch.optim.Muon(
        [other.get_parameter(name) for name in matrices],
        run.train.lr,
        run.train.weight_decay,
        momentum=0.95,
        adjust_lr_fn="match_rms_adamw",
    )
    optimizer = make_optimizer(run.train, model)
    before = {name: model.get_parameter(name).clone() for name in matrices}
    for step in range(3):
        take_step(model, optimizer, step)
        take_step(other, theirs, step)
    for name in matrices:
        moved, like = (each.get_parameter(name) - before[name] for each in (model, other))
        assert (moved - like).norm() < 0.02 * like.norm(), name


def test_the_scale_of_the_gradient_does_not_matter_to_matrices():
    run = muon(LOWRANK)
    models = [build_model(run, SIZE)[0] for _ in range(2)]
    for model, scale in zip(models, (1.0, 2.0**-12), strict=True):
        optimizer = make_optimizer(run.train, model)
        for step in range(3):
            take_step(model, optimizer, step, scale)
    for name, role in roles(models[0]).items():
        if role == "matrix":
            assert torch.equal(*(model.get_parameter(name) for model in models)), name


def test_an_update_has_the_root_mean_square_that_is_asked_for():
    """Of a matrix whose singular values are all alike, so that they are known: 5 iterations bring 1/4 to 0.70."""
    run = muon(weight_decay=0.0)
    optimizer = make_optimizer(run.train, build_model(run, SIZE)[0])
    q = torch.linalg.qr(torch.randn(64, 16, generator=torch.Generator().manual_seed(0)))[0]
    matrix = nn.Parameter(torch.zeros(64, 16))
    matrix.grad = 3 * q
    with torch.no_grad():
        optimizer.move([matrix], {"lr": 0.01, "weight_decay": 0.0})
    a, b, c = COEFFICIENTS
    s = 0.25
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    assert float(matrix.detach().square().mean().sqrt()) == pytest.approx(0.01 * 0.2 * s, rel=1e-4)
    assert 0.68 < s < 1.21


TASKS = list(itertools.product(["asr", "vsr", "avsr"], [False, True]))


@pytest.mark.parametrize(
    ("task", "is_dense"), [*TASKS[:1], *(pytest.param(*each, marks=pytest.mark.slow) for each in TASKS[1:])]
)
def test_a_killed_run_of_any_task_goes_on_to_the_same_bits(
    task, is_dense, make_run, make_lowrank, make_folder, prepared, tmp_path, monkeypatch
):
    fields = {"train__optimizer": "muon", "train__steps": 4, "train__snapshots": 2, "train__average": 1}
    fields |= {"train__modality_dropout": 0.9} if task == "avsr" else {}
    run = (make_run if is_dense else make_lowrank)(task, **fields)
    corpus = prepared if task == "asr" else prepared_of(run, tmp_path)
    whole, folder = whole_and_killed(run, corpus, make_folder, monkeypatch, 1, 3)
    assert same_result(folder, whole)


def prepared_of(run, folder):
    from lrsms.data.prepare import prepare
    from lrsms.data.prepared import Prepared

    prepare(run.corpus, run.tokenizer, run.model.modalities, None, folder / run.prepared)
    return Prepared(folder / run.prepared)


def test_a_checkpoint_of_adamw_is_refused(make_lowrank, prepared, make_folder, monkeypatch):
    run = make_lowrank(train__steps=2, train__snapshots=1, train__average=1)
    folder = make_folder(run)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 1)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    other = run.model_copy(update={"train": run.train.model_copy(update={"optimizer": "muon"})})
    with pytest.raises(ValueError, match=r"\(the optimizer is Muon, but was AdamW\); delete it to start anew"):
        train(other, prepared, folder, CPU)
