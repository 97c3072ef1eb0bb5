"""The seam itself, by methods that are made for it: when each function of a method is called, and with what."""

from typing import Any

import pytest
import torch
from small import SIZE, small_run

from lrsms.methods.build import build_structure
from lrsms.methods.product import Product
from lrsms.study import files_as_values
from lrsms.study.run import Run
from lrsms.training.state import State

CPU = torch.device("cpu")
calls: list[tuple[Any, ...]] = []


class Twice(Product):
    """Dense; then the first planned matrix is factorised, then the others."""

    def changes(self) -> tuple[float, ...]:
        return (0.25, 0.75)

    def describe(self) -> str:
        return "cut in two halves"

    def start(self, model, plan, run) -> None:
        pass

    def change(self, model, plan, run, phase) -> None:
        first, *others = [matrix for matrix in plan if matrix.rank is not None]
        super().start(model, [first] if phase == 1 else others, run)


class Noting(Product):
    """Notes what it is called with."""

    def before_step(self, model, plan, step, total) -> None:
        calls.append(("before", step, total, model.ctc.bias.grad is not None, model.ctc.bias[0].item()))

    def after_step(self, model, plan, optimizer, step, total) -> None:
        moments = model.ctc.bias in optimizer.state
        calls.append(("after", step, total, moments, model.ctc.bias[0].item(), torch.is_grad_enabled()))


def of_method(method: Product, steps: int = 8) -> Run:
    run = small_run({"targets": ["encoder.feedforward"], "ratio": 0.5})
    assert run.lowrank is not None
    train = run.train.model_copy(update={"steps": steps})
    return run.model_copy(update={"lowrank": run.lowrank.model_copy(update={"method": method}), "train": train})


def step(state: State) -> None:
    for parameter in state.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.update(1e-3)


def shapes(model: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def test_at_each_step_a_run_has_the_structure_of_its_phase():
    run = of_method(Twice())
    assert run.num_phases == 3 and run.changes_at(8) == [2, 6]
    assert run.method.phase_shares == [0.25, 0.5, 0.25]
    state = State.at(run, SIZE, CPU, 0, 8)
    phases = []
    for number in range(8):
        assert shapes(state.model) == shapes(State.at(run, SIZE, CPU, number, 8).model)
        phases.append(shapes(state.model))
        step(state)
    expected = [shapes(build_structure(run, SIZE, phase)[0]) for phase in (0, 0, 1, 1, 1, 1, 2, 2)]
    assert phases == expected
    assert expected[0] != expected[2] != expected[6] == shapes(build_structure(run, SIZE)[0])


def test_a_method_acts_before_and_after_the_optimizer():
    calls.clear()
    state = State.at(of_method(Noting()), SIZE, CPU, 0, 8)
    before = state.model.ctc.bias[0].item()
    step(state)
    after = state.model.ctc.bias[0].item()
    assert before != after
    assert calls == [("before", 0, 8, True, before), ("after", 0, 8, True, after, False)]
    assert all(parameter.grad is None for parameter in state.model.parameters())


@pytest.mark.parametrize("content", ["", "import lrsms.study.method as m\nclass A(m.Method):\n    name: str = 'a'\n"])
def test_a_file_that_defines_no_method_of_its_name_is_named(tmp_path, monkeypatch, content):
    folder = tmp_path / "lrsms_methods_of_a_test" / "variants"
    folder.mkdir(parents=True)
    (folder / "wrong.py").write_text(content)
    monkeypatch.setattr(files_as_values, "_PACKAGE", folder.parent)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ImportError, match=r'wrong\.py: must define one Method, with the field name: Literal\["wrong"\]'
    ):
        files_as_values.methods_in("variants")


def test_what_a_method_leaves_out_is_that_of_a_product():
    assert (Product().parameters(30, 20, 5), Product().operations(30, 20, 5)) == (250, 250)
    assert Product().changes() == () and Product().describe() == "" and not Product().keeps_moments
