"""Facts about training: every kind of run trains, and every number is what its name says."""

import dataclasses
import itertools
import json
import math

import nano
import pytest
import torch
from endings import Killed, killed_after, lines, outcome, same_result
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lrsms.base.strict import parse
from lrsms.data.batch import collate
from lrsms.decoding.decode import decode
from lrsms.methods.build import build_model
from lrsms.methods.factorize import factorize
from lrsms.methods.plan import make_plan
from lrsms.study.lowrank import LowRank
from lrsms.study.run import Train
from lrsms.training import loop as training
from lrsms.training import state
from lrsms.training.loop import learning_rate, train
from lrsms.training.step import accumulate
from lrsms.training.validation import validate

CPU = torch.device("cpu")


def test_a_run_leaves_what_it_promises(trained, prepared, make_run):
    rows = lines(trained / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert all({"epoch", "loss", "ctc", "attention", "lr", "gradient_norm"} <= set(row) for row in rows)
    assert [row["step"] for row in rows if "valid_wer" in row] == [2, 4, 6, 8]
    assert [row["lr"] for row in rows] == [learning_rate(make_run().train, step, 8) for step in range(8)]
    for row in rows:
        assert row["loss"] == pytest.approx(0.5 * row["ctc"] + 0.5 * row["attention"], rel=1e-5)
    timings = lines(trained / "timings.jsonl")
    assert [set(row) for row in timings] == [{"step", "ms", "waited_ms", "frames"}] * 8
    result = outcome(trained)
    assert (result["status"], result["diverged_at"], result["steps"], result["resumed_at"]) == ("finished", None, 8, 0)
    assert {name: result[name] for name in prepared.identity} == prepared.identity
    assert all(prepared.identity.values())
    assert result["corpus_hash"] == prepared.hash
    assert result["manifest_hash"] == prepared.summary["files"]["manifest.tsv"]
    assert result["left_out"] == prepared.summary["left_out"]
    assert result["macs_per_second"] > 0
    for kind in json.loads((trained / "plan.json").read_text())["matrices"]:
        assert set(kind["ranks"]) == {None}


def test_training_learns(trained):
    losses = [row["loss"] for row in lines(trained / "metrics.jsonl")]
    assert losses[-1] < losses[0]


def test_the_seed_seeds(trained, make_run, make_folder, prepared):
    run = make_run(seed=2)
    folder = make_folder(run)
    train(run, prepared, folder, CPU)
    assert lines(folder / "metrics.jsonl")[0]["loss"] != lines(trained / "metrics.jsonl")[0]["loss"]


def test_the_weights_are_the_mean_over_the_last_snapshots(trained, make_run, make_folder, prepared, monkeypatch):
    seen = []

    def watching(model, *rest):
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return validate(model, *rest)

    monkeypatch.setattr(training, "validate", watching)
    train(make_run(), prepared, make_folder(make_run()), CPU)
    assert len(seen) == 4
    weights = load_file(trained / "weights.safetensors")
    assert set(weights) == set(seen[-1])
    for name, weight in weights.items():
        assert torch.equal(weight, (seen[-2][name] + seen[-1][name]) / 2), name
    assert not torch.equal(weights["ctc.weight"], seen[-1]["ctc.weight"])


def test_a_low_rank_run_trains_the_factors_that_its_plan_says(make_run, make_folder, prepared):
    run = make_run(lowrank__ratio=0.25, lowrank__targets=["encoder.attention"])
    folder = make_folder(run)
    train(run, prepared, folder, CPU)
    plan = json.loads((folder / "plan.json").read_text())
    ranks = {
        kind["name"].replace("*", str(layer)): rank
        for kind in plan["matrices"]
        for layer, rank in zip(kind["layers"], kind["ranks"], strict=True)
        if rank is not None
    }
    weights = load_file(folder / "weights.safetensors")
    assert ranks
    for name, rank in ranks.items():
        assert weights[f"{name}.u"].shape[1] == weights[f"{name}.vt"].shape[0] == rank
        assert f"{name}.weight" not in weights
    num_buffers = sum(tensor.numel() for name, tensor in weights.items() if ".running_" in name)
    assert sum(tensor.numel() for tensor in weights.values()) - num_buffers == plan["parameters"]


def test_a_model_that_changes_in_training_without_its_plan_is_refused(make_run, make_folder, prepared, monkeypatch):
    """As if full rank gave way to low rank half-way: tables would show the size that it began with."""
    run = make_run(train__steps=2, train__snapshots=1, train__average=1)
    folder = make_folder(run)

    def changing(run, size, phase, weights):
        model, _ = build_model(run, size, phase, weights)
        factorised = make_plan(model, LowRank(targets=("encoder.attention",), ratio=0.5))
        factorize(model, factorised, "spectral", "default", 1)
        return model, make_plan(build_model(run, size)[0], None)

    with (
        monkeypatch.context() as patch,
        pytest.raises(
            ValueError,
            match=r"plan\.json has 'encoder\.blocks\.0\.attention\.qkv\.q' at full rank, but it was trained at rank 8",
        ) as caught,
    ):
        patch.setattr(state, "build_model", changing)
        train(run, prepared, folder, CPU)
    assert "\n" not in str(caught.value)
    assert not (folder / "run.json").exists() and not (folder / "weights.safetensors").exists()
    assert list(folder.glob("checkpoints/step-*.json"))
    with pytest.raises(
        ValueError, match=r"do not fit this version of the model \('.*weight' of the model is missing\)"
    ):
        train(run, prepared, folder, CPU)


@pytest.mark.parametrize(
    "fields",
    [
        {"train__precision": "bfloat16"},
        {"train__augment": None, "model__decoder_layers": 0, "train__ctc_weight": 1},
        {"train__ctc_weight": 0},
        {"train__ctc_weight": 1},
        {"train__steps": None, "train__epochs": 1, "train__snapshots": 1, "train__average": 1},
        {"model__frontend": "wave", "model__mels": None, "train__augment__mel_masks": 0, "train__group_frames": 120},
    ],
)
def test_every_kind_of_run_trains_and_goes_on_after_an_interruption(
    make_lowrank, make_folder, prepared, monkeypatch, fields
):
    run = make_lowrank(**({"train__steps": 2, "train__snapshots": 2, "train__average": 1} | fields))
    whole, folder = make_folder(run), make_folder(run)
    train(run, prepared, whole, CPU)
    assert outcome(whole)["status"] == "finished"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 1)
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    train(run, prepared, folder, CPU)
    assert same_result(folder, whole)


def test_a_diverged_run_is_a_result(make_run, make_folder, prepared, decoding, tmp_path):
    run = make_run(train__warmup=0)
    # No configuration may ask for such a rate: whatever is allowed ends somewhere.
    run = run.model_copy(update={"train": run.train.model_copy(update={"lr": 1e30})})
    folder = make_folder(run)
    for name in ("weights.safetensors", "spectra.json"):
        (folder / name).write_text("of an earlier training")
    train(run, prepared, folder, CPU)
    result = outcome(folder)
    assert result["status"] == "diverged"
    assert 2 <= result["diverged_at"] <= 3
    assert result["steps"] == 8
    assert [row["step"] for row in lines(folder / "metrics.jsonl")] == list(range(1, result["diverged_at"]))
    assert not (folder / "weights.safetensors").exists()
    assert not (folder / "spectra.json").exists()
    (folder / "run.json").unlink()
    train(run, prepared, folder, CPU)
    assert outcome(folder) == result
    decode(run, prepared, folder, tmp_path / "hypotheses.jsonl", decoding, CPU)
    assert (tmp_path / "hypotheses.jsonl").read_bytes() == b""


def test_weights_that_break_at_a_snapshot_diverge_there(make_run, make_folder, prepared, monkeypatch):
    monkeypatch.setattr(training, "validate", lambda *_: {"valid_loss": math.nan, "valid_wer": 1.0})
    folder = make_folder(make_run())
    train(make_run(), prepared, folder, CPU)
    assert outcome(folder)["diverged_at"] == 2
    assert "NaN" not in (folder / "metrics.jsonl").read_text()


@pytest.fixture
def network(make_run, prepared):
    """A tiny network in float64, three utterances of double precision, and the run."""
    run = make_run(train__augment=None)
    model, _ = build_model(run, prepared.tokenizer.size)

    def group(items):
        batch = collate(prepared, items)
        return dataclasses.replace(batch, waves=batch.waves.double())

    return run, model.double(), prepared.items("train")[:3], group


def gradients(model) -> dict[str, torch.Tensor]:
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    return found


def test_a_step_is_the_mean_over_its_utterances_however_they_are_grouped(network):
    run, model, items, group = network
    model.eval()  # without dropout and the statistics of groups
    together = accumulate(model, run, [group(items)], 0, CPU)
    expected = gradients(model)
    for split in ([items[:1], items[1:]], [[item] for item in items]):
        losses = accumulate(model, run, [group(members) for members in split], 0, CPU)
        torch.testing.assert_close(losses, together, rtol=1e-9, atol=0)
        for name, gradient in gradients(model).items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-7, atol=1e-10)


def test_dropout_is_a_function_of_seed_step_and_group(network):
    run, model, items, group = network
    model.train()
    batches = [group(items[:1]), group(items[1:])]
    first = accumulate(model, run, batches, 3, CPU)
    torch.manual_seed(99)
    assert accumulate(model, run, batches, 3, CPU) == first
    assert accumulate(model, run, batches, 4, CPU) != first
    assert accumulate(model, run.model_copy(update={"seed": 2}), batches, 3, CPU) != first
    assert accumulate(model, run, batches[::-1], 3, CPU) != first


def test_validation_leaves_the_model_as_it_was(prepared, make_run):
    run = make_run()
    model, _ = build_model(run, prepared.tokenizer.size)
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(0)
    result = validate(model, run, prepared, prepared.items("valid"), CPU)
    assert set(result) == {"valid_loss", "valid_wer"}
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert validate(model, run, prepared, prepared.items("valid")[::-1], CPU) == pytest.approx(result)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25, 1.0])
def test_the_learning_rate_rises_linearly_and_falls_along_a_cosine(make_run, warmup):
    settings = make_run(train__steps=40, train__warmup=warmup, train__lr=0.5).train
    rates = [learning_rate(settings, step, 40) for step in range(40)]
    rising = round(warmup * 40)
    assert rates[:rising] == pytest.approx([0.5 * (step + 1) / rising for step in range(rising)])
    falling = [0.25 * (1 + math.cos(math.pi * (step + 1 - rising) / (40 - rising))) for step in range(rising, 40)]
    assert rates[rising:] == pytest.approx(falling)
    assert max(rates) <= 0.5
    if warmup < 1:
        assert rates[-1] == pytest.approx(0, abs=1e-12)
        halfway = rising + (40 - rising) / 2 - 1
        assert rates[int(halfway)] == pytest.approx(0.25, abs=0.02)


SETTINGS = parse(Train, nano.PRESET["train"], "nano")


@given(st.integers(1, 50), st.integers(0, 5000))
def test_snapshots_are_evenly_spaced_distinct_steps_up_to_the_last(snapshots, more):
    total = snapshots + more
    points = SETTINGS.model_copy(update={"snapshots": snapshots}).snapshot_steps(total)
    assert len(set(points)) == snapshots
    assert points == sorted(points)
    assert points[0] >= 1
    assert points[-1] == total
    gaps = [later - earlier for earlier, later in itertools.pairwise([0, *points])]
    assert max(gaps) - min(gaps) <= 1


def test_more_snapshots_than_steps_are_refused(make_run, make_folder, prepared):
    run = make_run(train__steps=None, train__epochs=1, train__snapshots=30, train__average=5)
    with pytest.raises(ValueError, match=r"^'train.snapshots' is 30, but training takes (\d+) steps; use at most \1$"):
        train(run, prepared, make_folder(run), CPU)


def test_a_group_that_is_too_small_for_an_utterance_is_refused(make_run, make_folder, prepared):
    run = make_run(train__group_frames=20)
    with pytest.raises(ValueError, match=r"^'train.group_frames' is 20, but the longest training utterance has"):
        train(run, prepared, make_folder(run), CPU)
