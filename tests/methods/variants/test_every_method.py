"""What every method owes the harness: its counts are those of its network, and its bits do not depend on interruptions.

A new file in ``lrsms/methods/variants`` is tested here without a further line, unless a parameter has no default.
"""

import json
import subprocess
import sys

import nano
import pytest
import torch
from endings import Killed, killed_after, outcome, same_result
from safetensors.torch import load_file
from small import AUDIOVISUAL, SIZE, VISUAL, lived_in, small_inputs, small_run
from stepping import TOTAL, run_of, stepped, take

from lrsms.base.strict import parse
from lrsms.cost.memory import device_memory_mb
from lrsms.cost.random_data import FRAMES
from lrsms.cost.steptime import TrainingStep
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.decoding.decode import decode, load_trained
from lrsms.methods.build import build_model, build_structure
from lrsms.methods.closed_form import multiply_adds_bounds, plan_of
from lrsms.methods.factorize import dense_weight, merge
from lrsms.methods.linear import LowRankLinear
from lrsms.methods.operations import check_plan, multiply_adds_per_second, plan_summary
from lrsms.methods.spectra import spectra
from lrsms.report.validity.course import check_spectra
from lrsms.report.validity.outcome import check_outcome
from lrsms.report.validity.outcome import check_plan as check_plan_of_record
from lrsms.study.files_as_values import ADAMW, METHODS, OPTIMIZERS
from lrsms.study.lowrank import LowRank
from lrsms.training.loop import train
from lrsms.training.state import State, capture, restore

CPU = torch.device("cpu")
PARAMETERS = {"warmup": {"share": 0.5}, "refactor": {"every": 4}}
"""Of methods that have parameters without a default, or whose default is too long for a training of 8 steps."""
NOT_LINEAR = ("cola",)
"""Those that no matrix stands for."""
EVERY = pytest.mark.parametrize("method", [{"name": name} | PARAMETERS.get(name, {}) for name in METHODS], ids=METHODS)
QUICK = ("self_guided",)
"""Those of which an interrupted training is among the quick tests."""
MOSTLY_SLOW = pytest.mark.parametrize(
    "method",
    [
        pytest.param({"name": name} | PARAMETERS.get(name, {}), marks=[] if name in QUICK else [pytest.mark.slow])
        for name in METHODS
    ],
    ids=METHODS,
)


@pytest.fixture(scope="module")
def prepared_with_video(tmp_path_factory):
    """Makes the prepared corpus of a task, once."""
    folder = tmp_path_factory.mktemp("with_video")

    def of(run):
        if not (folder / run.prepared).exists():
            prepare(run.corpus, run.tokenizer, run.model.modalities, None, folder / run.prepared)
        return Prepared(folder / run.prepared)

    return of


@EVERY
@pytest.mark.parametrize("model", [{}, VISUAL, AUDIOVISUAL], ids=["asr", "vsr", "avsr"])
def test_its_counts_are_those_of_the_network_that_is_built(method, model):
    lowrank = {"targets": ["encoder.attention", "encoder.feedforward"], "ratio": 0.25, "method": method}
    run = small_run(lowrank, **model)
    structure, plan = build_structure(run, SIZE)
    assert plan_summary(structure, plan) == plan_of(run, SIZE)
    check_plan(plan_of(run, SIZE), plan, dict(structure.named_parameters()))
    low, high = multiply_adds_bounds(run, SIZE)
    assert low <= multiply_adds_per_second(run, structure, 40, 8) <= high


@EVERY
def test_its_multiply_adds_are_those_of_each_vector_that_passes(method):
    lowrank = {"targets": ["encoder.feedforward"], "ratio": 0.25, "method": method}
    run, frames = small_run(lowrank), 50
    plan = build_structure(run, SIZE)[1]
    saved = sum(m.rows * m.columns - m.operations for m in plan if m.rank is not None)
    counts = [multiply_adds_per_second(each, build_structure(each, SIZE)[0], frames, 8) for each in (small_run(), run)]
    assert counts[0] - counts[1] == pytest.approx(25 * saved)


@EVERY
def test_its_network_on_the_meta_device_is_the_one_that_is_trained(method):
    run = small_run({"targets": ["encoder.*"], "ratio": 0.5, "qkv": "fused", "method": method})
    for phase in (*range(run.num_phases), None):
        real, structure = (build(run, SIZE, phase)[0].state_dict() for build in (build_model, build_structure))
        assert {name: x.shape for name, x in real.items()} == {name: x.shape for name, x in structure.items()}


@EVERY
def test_its_spectra_have_as_many_values_as_it_says(method, tmp_path):
    run = small_run({"targets": ["encoder.attention"], "ratio": 0.5, "method": method})
    model, plan = build_model(run, SIZE, None)
    content = spectra(model.state_dict(), plan)
    for entry in content["matrices"]:
        sizes = entry.get("sizes") or [rank or min(entry["rows"], entry["columns"]) for rank in entry["ranks"]]
        for size, values in zip(sizes, entry["values"], strict=True):
            assert len(values) == len(content["indices"][str(size)])
    check_spectra(tmp_path / "spectra.json", json.loads(json.dumps(content)), plan_of(run, SIZE), run.method)


@EVERY
@pytest.mark.parametrize("qkv", ["separate", "fused"])
def test_merged_it_computes_the_same_or_says_in_a_line_why_it_cannot(method, qkv):
    lowrank = {"targets": ["encoder.*", "decoder.*"], "ratio": 0.5, "qkv": qkv, "method": method}
    run = small_run(lowrank)
    model, plan = build_model(run, SIZE, None)
    lived_in(model).eval()
    audio, lengths = small_inputs("logmel", 2, 6), torch.tensor([6, 6])
    before = model.encode(audio, None, lengths)[0]
    values = {m.name: run.method.singular_values(model.state_dict(), m) for m in plan if m.rank is not None}
    if method["name"] in NOT_LINEAR:
        with pytest.raises(ValueError, match=f"method '{method['name']}' is not linear.*export it without --merged"):
            merge(model)
        return
    merge(model)
    assert not any(isinstance(module, LowRankLinear) for module in model.modules())
    torch.testing.assert_close(model.encode(audio, None, lengths)[0], before, rtol=0, atol=1e-10)
    for name, found in values.items():
        exact = torch.linalg.svdvals(dense_weight(model.get_submodule(name)))
        torch.testing.assert_close(found, exact[: len(found)], rtol=0, atol=1e-10)
        assert exact[len(found) :].sum() < 1e-10


@EVERY
def test_what_it_leaves_is_what_a_record_may_say_and_can_be_loaded(method, make_run, train_once):
    run = make_run(**nano.SPECTRAL, lowrank__method=method)
    folder = train_once(run)
    plan, result, content = (json.loads((folder / f"{name}.json").read_text()) for name in ("plan", "run", "spectra"))
    size = check_plan_of_record(folder / "plan.json", plan, run)
    check_outcome(folder / "run.json", result, run, size)
    check_spectra(folder / "spectra.json", content, plan, run.method)
    weights = load_trained(run, folder, size, CPU).state_dict()
    assert all(torch.equal(weights[name], x) for name, x in load_file(folder / "weights.safetensors").items())


@MOSTLY_SLOW
def test_interrupted_it_goes_on_to_the_same_bits_and_is_decoded(
    method, make_run, make_folder, prepared, decoding, monkeypatch
):
    run = make_run(**nano.SPECTRAL, lowrank__method=method)
    whole, folder = make_folder(run), make_folder(run)
    train(run, prepared, whole, CPU)
    for steps in (3, 4, 5):  # one before, at and after the change of a method that has one at half of the steps
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_after(patch, steps)
            train(run, prepared, folder, CPU, checkpoint_seconds=0)
    train(run, prepared, folder, CPU)
    assert same_result(folder, whole)
    decode(run, prepared, folder, folder / "hypotheses.jsonl", decoding, CPU)
    assert (folder / "hypotheses.jsonl").stat().st_size > 0


@pytest.mark.slow
@EVERY
def test_with_sound_and_video_it_is_trained_and_resumed(
    method, make_run, make_folder, prepared_with_video, monkeypatch
):
    run = make_run("avsr", **nano.SPECTRAL, lowrank__method=method)
    folder, prepared = make_folder(run), prepared_with_video(run)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 5)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    train(run, prepared, folder, CPU)
    assert outcome(folder)["status"] == "finished" and outcome(folder)["resumed_at"] == 5


@EVERY
def test_a_step_of_each_phase_can_be_timed_and_its_memory_is_that_of_the_largest(method):
    lowrank = {"targets": ["encoder.attention", "encoder.feedforward"], "ratio": 0.5, "method": method}
    run = small_run(lowrank)
    run = run.model_copy(update={"train": run.train.model_copy(update={"group_frames": FRAMES})})
    for phase in range(run.num_phases):
        step = TrainingStep(run, CPU, phase)
        step()
        assert all(parameter.isfinite().all() for parameter in step.model.parameters())
    plain = run.model_copy(update={"lowrank": run.lowrank.model_copy(update={"method": None})})
    assert device_memory_mb(run) >= device_memory_mb(plain)


@EVERY
@pytest.mark.parametrize(
    "optimizer", [pytest.param(name, marks=[] if name == ADAMW else [pytest.mark.slow]) for name in OPTIMIZERS]
)
@pytest.mark.parametrize("step", [4, *(pytest.param(step, marks=pytest.mark.slow) for step in (3, 5))])
def test_restored_under_any_optimizer_it_goes_on_to_the_same_bits(method, optimizer, step):
    """From a checkpoint before, at and after the step at which methods act that do so once or every 4 steps."""
    run = run_of(method, optimizer)
    whole = stepped(run, TOTAL)
    state, again = stepped(run, step), State.at(run, SIZE, CPU, step, TOTAL)
    checkpoint = capture(step, state.model, state.optimizer, state.total_weights, {})
    restore(checkpoint, again.model, again.optimizer, again.total_weights)
    for _ in range(TOTAL - step):
        take(again)
    torch.testing.assert_close(again.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)


@EVERY
def test_its_name_is_its_file_and_it_says_what_it_is(method):
    lowrank = parse(LowRank, {"targets": ["ctc"], "ratio": 0.5, "method": method}, "test")
    assert str(lowrank.acting_method).split()[0] == method["name"]
    acting = lowrank.acting_method
    assert bool(acting.describe()) == (bool(acting.changes()) or acting.cuts_trained)


def test_none_loads_pytorch_before_it_acts():
    code = "import sys, lrsms.study.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
