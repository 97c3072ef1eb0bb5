"""Facts about warm-up at full rank: its counts are those of what it ends as, no bit depends on interruptions."""

import json

import nano
import pytest
import torch
from endings import Killed, killed_after, lines, outcome, same_result
from safetensors.torch import load_file
from small import AUDIOVISUAL, SIZE, VISUAL, small_run
from torch import nn

from lrsms.base.strict import parse
from lrsms.cost.memory import device_memory_mb
from lrsms.decoding.decode import decode
from lrsms.methods.build import build_model, build_structure, change_structure
from lrsms.methods.closed_form import plan_of
from lrsms.methods.factorize import dense_weight, merge
from lrsms.methods.linear import LowRankLinear
from lrsms.methods.operations import multiply_adds_per_second, plan_summary
from lrsms.report.validity.outcome import check_outcome, check_plan
from lrsms.study.run import Run
from lrsms.training.interrupt import Interrupted
from lrsms.training.loop import train
from lrsms.training.state import State

CPU = torch.device("cpu")
LOWRANK = {"targets": ["encoder.attention", "decoder.feedforward"], "ratio": 0.5}
METHOD = {"name": "warmup", "share": 0.5}
FIELDS = nano.SPECTRAL | {"lowrank__method__name": "warmup", "lowrank__method__share": 0.5}
CHANGE = 4
"""Of 8 steps."""


@pytest.fixture(scope="module")
def make_warmup(make_run):
    return lambda task="asr", **fields: make_run(task, **FIELDS | fields)


@pytest.fixture(scope="module")
def whole(train_once, make_warmup):
    """The folder of a finished run; not to be changed."""
    return train_once(make_warmup())


def factors(model: nn.Module) -> dict[str, LowRankLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRankLinear)}


def test_it_begins_as_the_dense_run_and_ends_with_the_parameters_of_low_rank(
    whole, trained, make_warmup, make_lowrank, prepared
):
    dense, warm = (lines(folder / "metrics.jsonl") for folder in (trained, whole))
    loss = [[row["loss"] for row in rows] for rows in (dense, warm)]
    assert loss[0][:CHANGE] == loss[1][:CHANGE]
    assert loss[0][CHANGE:] != loss[1][CHANGE:]
    size = prepared.tokenizer.size
    plan = json.loads((whole / "plan.json").read_text())
    low_rank = plan_summary(*build_model(make_lowrank(), size))
    assert plan == low_rank == plan_of(make_warmup(), size)
    weights = load_file(whole / "weights.safetensors")
    model, _ = build_model(make_lowrank(), size)
    assert {name: tensor.shape for name, tensor in weights.items()} == {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }


def test_what_a_run_leaves_is_what_a_record_may_say(whole, make_warmup, prepared, decoding, tmp_path):
    plan, result = (json.loads((whole / name).read_text()) for name in ("plan.json", "run.json"))
    size = check_plan(whole / "plan.json", plan, make_warmup())
    check_outcome(whole / "run.json", result, make_warmup(), size)
    for entry in json.loads((whole / "spectra.json").read_text())["matrices"]:
        for rank, value in zip(entry["ranks"], entry["energy_ranks"], strict=True):
            assert rank is None or value <= rank
    decode(make_warmup(), prepared, whole, tmp_path / "hypotheses.jsonl", decoding, CPU)
    assert (tmp_path / "hypotheses.jsonl").stat().st_size > 0


@pytest.mark.parametrize("steps", [2, CHANGE, pytest.param(CHANGE + 1, marks=pytest.mark.slow), 7])
def test_killed_before_at_and_after_the_switch_it_goes_on_to_the_same_bits(
    whole, make_warmup, make_folder, prepared, monkeypatch, steps
):
    folder = make_folder(make_warmup())
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, steps)
        train(make_warmup(), prepared, folder, CPU, checkpoint_seconds=0)
    train(make_warmup(), prepared, folder, CPU)
    assert same_result(folder, whole)
    assert (folder / "spectra.json").read_bytes() == (whole / "spectra.json").read_bytes()
    assert outcome(folder)["resumed_at"] == steps


@pytest.mark.parametrize(
    "calls", [9, 10, *(pytest.param(calls, marks=pytest.mark.slow) for calls in (7, 8, 11, 12, 13))]
)
def test_asked_to_stop_around_the_switch_it_goes_on_to_the_same_bits(whole, make_warmup, make_folder, prepared, calls):
    """Between the last step at full rank, its validation and the first step of low rank."""
    asked = iter(range(calls))
    folder = make_folder(make_warmup())
    with pytest.raises(Interrupted):
        train(make_warmup(), prepared, folder, CPU, stop=lambda: next(asked, None) is None)
    train(make_warmup(), prepared, folder, CPU)
    assert same_result(folder, whole)


def test_a_switch_that_failed_is_taken_again(whole, make_warmup, make_folder, prepared, monkeypatch):
    """Killed in the decomposition: the checkpoint is of the step before."""
    folder = make_folder(make_warmup())
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("lrsms.training.state.change_structure", lambda *_: (_ for _ in ()).throw(Killed))
        train(make_warmup(), prepared, folder, CPU, checkpoint_seconds=0)
    train(make_warmup(), prepared, folder, CPU)
    assert same_result(folder, whole)
    assert outcome(folder)["resumed_at"] == CHANGE - 1


def test_at_full_rank_nothing_but_the_optimizer_s_memory_is_lost():
    """The product of the factors is the matrix: the network computes what it did before."""
    run = small_run(LOWRANK | {"ratio": 1.0, "method": METHOD})
    model, plan = build_model(run, SIZE)
    before = {m.name: dense_weight(model.get_submodule(m.name)).clone() for m in plan}
    change_structure(model, plan, run, 1)
    assert factors(model)
    merge(model)
    for name, weight in before.items():
        torch.testing.assert_close(dense_weight(model.get_submodule(name)), weight, rtol=0, atol=1e-6)


def test_the_factors_are_the_nearest_product_of_their_rank():
    """The distance is the root of the sum of squares of the singular values that are left out (Eckart and Young)."""
    run = small_run(LOWRANK | {"method": METHOD})
    model, plan = build_model(run, SIZE)
    before = {m.name: dense_weight(model.get_submodule(m.name)).clone() for m in plan if m.rank is not None}
    change_structure(model, plan, run, 1)
    ranks = {matrix.name: matrix.rank for matrix in plan}
    for name, module in factors(model).items():
        left_out = torch.linalg.svdvals(before[name].double())[ranks[name] :]
        distance = (before[name] - module.product().detach()).norm()
        assert float(distance) == pytest.approx(float(left_out.norm()), rel=1e-5)


@pytest.mark.parametrize("model", [{}, VISUAL, AUDIOVISUAL], ids=["asr", "vsr", "avsr"])
@pytest.mark.parametrize("qkv", ["separate", "fused"])
def test_every_count_is_that_of_the_network_it_ends_as_but_memory(model, qkv):
    lowrank = {"targets": ["encoder.attention", "encoder.feedforward"], "ratio": 0.25, "qkv": qkv}
    plain, warm, dense = (small_run(each, **model) for each in (lowrank, lowrank | {"method": METHOD}, None))
    assert plan_of(plain, SIZE) == plan_of(warm, SIZE) == plan_summary(*build_structure(warm, SIZE))
    macs = [multiply_adds_per_second(run, build_structure(run, SIZE)[0], 50, 8) for run in (plain, warm, dense)]
    assert macs[0] == macs[1] < macs[2]
    assert device_memory_mb(warm) == max(map(device_memory_mb, (plain, dense)))
    first = build_structure(warm, SIZE, phase=0)[0].state_dict()
    assert {name: x.shape for name, x in first.items()} == {
        name: x.shape for name, x in build_structure(dense, SIZE)[0].state_dict().items()
    }


def test_the_optimizer_begins_anew_and_the_sum_of_snapshots_is_of_the_new_weights():
    run = small_run(LOWRANK | {"method": METHOD})
    state = State.at(run, SIZE, CPU, 0, 2)
    for parameter in state.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.update(1e-3)
    assert state.step == 1 and not state.optimizer.state
    assert set(state.total_weights) == set(state.model.state_dict())
    held = {parameter for group in state.optimizer.param_groups for parameter in group["params"]}
    assert held == set(state.model.parameters())
    assert all(parameter.is_contiguous() for parameter in state.model.parameters())
    again = State.at(run, SIZE, CPU, 1, 2)
    assert {n: (p.shape, p.stride()) for n, p in again.model.named_parameters()} == {
        n: (p.shape, p.stride()) for n, p in state.model.named_parameters()
    }


def test_a_method_may_keep_the_moments_of_what_stays(monkeypatch):
    run = small_run(LOWRANK | {"method": METHOD})
    assert run.lowrank is not None
    monkeypatch.setattr(type(run.lowrank.method), "keeps_moments", True)
    state = State.at(run, SIZE, CPU, 0, 2)
    for parameter in state.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.update(1e-3)
    kept = {name for name, parameter in state.model.named_parameters() if parameter in state.optimizer.state}
    gone = {f"{name}.{leaf}" for name in factors(state.model) for leaf in ("u", "vt")}
    assert kept == {name for name, _ in state.model.named_parameters()} - gone
    assert all(float(each["step"]) == 1 for each in state.optimizer.state.values())


def test_a_method_may_change_the_final_weights(whole, make_warmup, make_folder, prepared, monkeypatch):
    """Those of its last phase, whatever that is; nothing of a dense run is taken over."""

    def doubled(self, model, plan, run):
        for module in factors(model).values():
            module.u.data.mul_(2)

    run = make_warmup()
    monkeypatch.setattr(type(run.method), "finish", doubled)
    assert run.method.finishes and run.trains_as is run
    folder = make_folder(run)
    train(run, prepared, folder, CPU)
    before, after = (load_file(each / "weights.safetensors") for each in (whole, folder))
    assert set(before) == set(after)
    for name, weight in before.items():
        torch.testing.assert_close(after[name], 2 * weight if name.endswith(".u") else weight, rtol=0, atol=0)


REFUSED = {
    "lowrank__init": ("random", r"'lowrank\.init' is 'random', but method 'warmup' takes its factors from the trained"),
    "lowrank__method__share": (0.9, r"'train\.average' begins at the snapshot of step 6.* average fewer"),
    "train__average": (4, r"changes after step 4 of 8, but 'train\.average' begins at the snapshot of step 2"),
    "lowrank__method__name": ("wamup", r"'lowrank\.method': there is no 'wamup'; did you mean 'warmup'\?"),
    "lowrank__method__shares": (0.5, r"unknown key 'lowrank\.method\.shares'; did you mean 'lowrank\.method\.share'"),
    "lowrank__method": ("warmup", r"'lowrank\.method': must be a mapping with a name, such as \{name: warmup\}"),
}


@pytest.mark.parametrize(("field", "value", "reason"), [(k, *v) for k, v in REFUSED.items()], ids=REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(make_run, field, value, reason):
    fields = FIELDS | {field: value}
    if field == "lowrank__method":
        fields = nano.SPECTRAL | {field: value}
    with pytest.raises(ValueError, match=reason) as caught:
        make_run(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_phase_without_a_step_is_refused(make_warmup, share):
    with pytest.raises(ValueError, match="each of its phases needs a step; train longer, or change the share"):
        make_warmup(lowrank__method__share=share, train__average=1, train__snapshots=1)


def test_with_a_length_in_epochs_it_is_refused_when_the_length_is_known(make_warmup, make_folder, prepared):
    epochs = {"train__steps": None, "train__epochs": 2, "train__snapshots": 2, "train__average": 2}
    run = make_warmup(lowrank__method__share=0.7, **epochs)
    with pytest.raises(ValueError, match=r"changes after step 4 of 6, but 'train\.average' begins at the snapshot of"):
        train(run, prepared, make_folder(run), CPU)


def test_its_configuration_comes_back_as_it_was_and_is_no_run_of_plain_low_rank(make_warmup, make_lowrank):
    run = make_warmup()
    again = parse(Run, json.loads(json.dumps(run.model_dump(mode="json", exclude_none=True))), "config.json")
    assert again == run and again.digest == run.digest
    assert len({each.digest for each in (run, make_lowrank(), make_warmup(lowrank__method__share=0.25))}) == 3


def test_plain_low_rank_by_its_name_is_the_run_without_a_method(make_lowrank, make_run):
    named = make_run(**nano.SPECTRAL, lowrank__method={"name": "plain"})
    assert named == make_lowrank() and named.digest == make_lowrank().digest
    assert make_lowrank().num_phases == 1 and make_lowrank().changes_at(8) == []


@pytest.mark.slow
@pytest.mark.parametrize("task", ["vsr", "avsr"])
def test_with_video_it_goes_on_to_the_same_bits(task, make_warmup, make_folder, tmp_path, monkeypatch):
    from lrsms.data.prepare import prepare
    from lrsms.data.prepared import Prepared

    run = make_warmup(task)
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, tmp_path / run.prepared)
    prepared = Prepared(tmp_path / run.prepared)
    folder, whole = make_folder(run), make_folder(run)
    train(run, prepared, whole, CPU)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, CHANGE)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    train(run, prepared, folder, CPU)
    assert same_result(folder, whole)
    assert outcome(whole)["status"] == "finished"


def test_a_plan_of_another_structure_than_was_trained_is_refused(make_warmup, make_folder, prepared, monkeypatch):
    """As if the change were never made."""
    run = make_warmup()
    monkeypatch.setattr("lrsms.training.state.change_structure", lambda *_: None)
    with pytest.raises(ValueError, match=r"plan\.json has '.*' at rank 8, but it was trained at full rank"):
        train(run, prepared, make_folder(run), CPU)
