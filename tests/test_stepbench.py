"""Step time: pairs of whole steps, taking turns, on random data that fills the groups."""

import statistics
import time

import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_run

from lrsms import stepbench
from lrsms.stepbench import MIN_PAIRS, WARMUP_STEPS, random_batch, step_time, timed, training_step

CPU = torch.device("cpu")
LOWRANK = {"targets": ["encoder.feedforward"], "ratio": 0.25}


def test_a_run_and_its_baseline_are_timed_in_pairs():
    result = step_time(small_run(LOWRANK), small_run(), CPU, seconds=0)
    assert len(result["run_ms"]) == len(result["baseline_ms"]) == MIN_PAIRS
    assert result["run_ms"] != result["baseline_ms"] and not result["baseline"]
    assert result["median_ms"] == statistics.median(result["run_ms"]) > 0
    assert (result["frames"], result["precision"]) == (80, "float32")
    assert result["shape"]["lowrank"]["ratio"] == 0.25


def test_a_run_of_the_shape_of_its_baseline_is_timed_once():
    """Another seed or initialisation takes the same time."""
    result = step_time(small_run(seed=2), small_run(), CPU, seconds=0)
    assert result["baseline"] and result["run_ms"] == []


def test_they_take_turns_at_going_first(monkeypatch):
    order = []

    def fake_step(run, device):
        return lambda: order.append("baseline" if run.lowrank is None else "run")

    monkeypatch.setattr(stepbench, "training_step", fake_step)
    step_time(small_run(LOWRANK), small_run(), CPU, seconds=0)
    measured = order[2 * WARMUP_STEPS :]
    assert measured == ["baseline", "run", "run", "baseline"] * (MIN_PAIRS // 2)


def test_a_step_is_a_whole_training_step(monkeypatch):
    """It changes the weights and the running statistics, and leaves no gradient behind."""
    models = []

    def remember(run, size):
        models.append(build_model(run, size))
        return models[-1]

    build_model = stepbench.build_model
    monkeypatch.setattr(stepbench, "build_model", remember)
    step = training_step(small_run(LOWRANK), CPU)
    model, _ = models[0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step()
    after = model.state_dict()  # the bias of keys adds the same to all scores of a query: it may stay
    assert all(not torch.equal(before[name], after[name]) for name in before if not name.endswith(".k.bias"))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_random_groups_are_full():
    run = small_run()
    run = run.model_copy(update={"train": run.train.model_copy(update={"group_frames": 450})})
    batch = random_batch(run, SIZE)
    assert batch.waves.shape == (4, 64_000) and batch.lengths.tolist() == [100] * 4
    assert batch.tokens.min() >= 1 and batch.tokens.max() <= SIZE - 2
    short = random_batch(small_run(), SIZE)
    assert short.lengths.tolist() == [40]


def test_random_groups_hold_what_the_model_hears_and_sees():
    heard, seen, both = (random_batch(small_run(**network), SIZE) for network in ({}, VISUAL, AUDIOVISUAL))
    assert heard.video is None and seen.waves is None
    assert seen.video.shape == (1, 40, 88, 88) and seen.video.dtype == torch.uint8
    assert seen.video.min() == 0 and seen.video.max() == 255
    assert torch.equal(both.waves, heard.waves) and both.video.shape == seen.video.shape


def test_a_step_of_a_model_of_audio_and_video_is_timed_too():
    assert timed(training_step(small_run(LOWRANK, **AUDIOVISUAL), CPU), CPU) > 0


def test_times_are_milliseconds():
    assert 20 <= timed(lambda: time.sleep(0.02), CPU) < 200
