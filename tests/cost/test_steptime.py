"""Step time: pairs of whole steps, taking turns, on random data that fills the groups."""

import random
import statistics
import time

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_run

from lrsms.base.devices import timed
from lrsms.cost import steptime
from lrsms.cost.random_data import filled, random_batch
from lrsms.cost.steptime import MIN_PAIRS, PARTS, WARMUP_STEPS, TrainingStep, parts_of, step_time

TOKENS = 9
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


def test_the_peak_memory_of_a_run_is_not_that_of_the_run_measured_before_it_in_the_same_process(monkeypatch):
    """The device remembers its peak until it is told to forget it: here, the largest network that took a step."""
    seen: list[int] = []

    class Remembered(TrainingStep):
        def __call__(self):
            seen.append(sum(weight.numel() for weight in self.model.parameters()))

    def forgotten(_device: torch.device) -> None:
        seen.clear()

    peaks: list[int] = []

    def timed_in_turns(steps, *_):
        peaks.append(max(seen))
        return [[1.0] * MIN_PAIRS for _ in steps]

    monkeypatch.setattr(steptime, "TrainingStep", Remembered)
    monkeypatch.setattr(steptime, "forget_peak_memory", forgotten, raising=False)
    monkeypatch.setattr(steptime, "in_turns", timed_in_turns)
    monkeypatch.setattr(steptime, "parts_of", lambda *_: {})
    for run in (small_run(), small_run(LOWRANK)):
        step_time(run, small_run(), CPU, seconds=0)
    assert peaks[1] < peaks[0]


def test_they_take_turns_at_going_first(monkeypatch):
    order = []

    class Noted(TrainingStep):
        def __call__(self):
            order.append("baseline" if self.run.lowrank is None else "run")

    monkeypatch.setattr(steptime, "TrainingStep", Noted)
    step_time(small_run(LOWRANK), small_run(), CPU, seconds=0)
    measured = order[1 + 2 * WARMUP_STEPS :]
    assert measured == ["baseline", "run", "run", "baseline"] * (MIN_PAIRS // 2)


@pytest.mark.parametrize(("noise", "pairs"), [(0.0, MIN_PAIRS), (0.5, 40)], ids=["quiet", "restless"])
def test_a_restless_machine_is_measured_longer_until_patience_is_over(monkeypatch, noise, pairs):
    """A clock that steps move on: 1 s each, give or take the noise."""
    now, draws = [0.0], random.Random(0)
    monkeypatch.setattr(steptime.time, "monotonic", lambda: now[0])

    def timed_by_that_clock(_step, _device):
        taken = 1.0 + noise * draws.uniform(-1, 1)
        now[0] += taken
        return 1e3 * taken

    monkeypatch.setattr(steptime, "timed", timed_by_that_clock)
    first, second = steptime.in_turns([int, int], CPU, seconds=4.0, patience=80.0)
    assert len(first) == len(second) == pytest.approx(pairs, abs=2)
    alone, other = steptime.in_turns([int, int], CPU, seconds=4.0)
    assert len(alone) == len(other) == MIN_PAIRS
    assert len(steptime.in_turns([int], CPU, 4.0, 80.0)[0]) == MIN_PAIRS, "one step has no ratio to wait for"


def test_a_ratio_is_narrow_by_its_interval():
    assert steptime._is_narrow([[2.0] * 8, [1.0] * 8])
    assert not steptime._is_narrow([[1.0, 2.0] * 4, [1.0] * 8])


def test_the_parts_make_the_whole():
    step = TrainingStep(small_run(LOWRANK, **AUDIOVISUAL), CPU)
    parts = parts_of(step, CPU)
    assert tuple(parts) == PARTS and all(value > 0 for value in parts.values())
    assert all(parameter.grad is None for parameter in step.model.parameters()), "every pass ends with an update"


def test_what_is_measured_of_a_run_is_its_own():
    run, baseline = small_run(LOWRANK), small_run()
    result = step_time(run, baseline, CPU, seconds=0)
    sizes = [sum(p.numel() for p in TrainingStep(one, CPU).model.parameters()) for one in (run, baseline)]
    assert sizes[0] < sizes[1] and result["parameters"] == sizes[0]
    assert result["macs_per_second"] < step_time(baseline, baseline, CPU, seconds=0)["macs_per_second"]
    assert result["peak_memory_mb"] is None, "a CPU does not count it"
    assert set(result["baseline_parts"]) == set(result["run_parts"]) == set(PARTS)


def test_a_step_is_a_whole_training_step():
    """It changes the weights and the running statistics, and leaves no gradient behind."""
    step = TrainingStep(small_run(LOWRANK), CPU)
    model = step.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step()
    after = model.state_dict()  # the bias of keys adds the same to all scores of a query: it may stay
    assert all(not torch.equal(before[name], after[name]) for name in before if not name.endswith(".k.bias"))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_random_groups_are_full():
    run = small_run()
    run = run.model_copy(update={"train": run.train.model_copy(update={"group_frames": 450})})
    batch = random_batch(run, SIZE, TOKENS)
    assert batch.waves.shape == (5, 57_600) and batch.lengths.tolist() == [90] * 5
    assert batch.tokens.min() >= 1 and batch.tokens.max() <= SIZE - 2
    short = random_batch(small_run(), SIZE, TOKENS)
    assert short.lengths.tolist() == [40]
    assert [filled(frames) for frames in (1, 100, 1600, 1000)] == [(1, 1), (1, 100), (16, 100), (10, 100)]


def test_random_groups_hold_what_the_model_hears_and_sees():
    heard, seen, both = (random_batch(small_run(**network), SIZE, TOKENS) for network in ({}, VISUAL, AUDIOVISUAL))
    assert heard.video is None and seen.waves is None
    assert seen.video.shape == (1, 40, 88, 88) and seen.video.dtype == torch.uint8
    assert seen.video.min() == 0 and seen.video.max() == 255
    assert torch.equal(both.waves, heard.waves) and both.video.shape == seen.video.shape


def test_a_step_of_a_model_of_audio_and_video_is_timed_too():
    assert timed(TrainingStep(small_run(LOWRANK, **AUDIOVISUAL), CPU), CPU) > 0


@pytest.mark.parametrize(("num_groups", "computed"), [(2, 2), (12, 4)])
def test_a_step_of_many_groups_is_timed_by_a_few_of_them(monkeypatch, num_groups, computed):
    """Every group moves the clock on by 3 ms, and every update by 5 ms."""
    train = small_run().train.model_copy(update={"groups_per_step": num_groups})
    step, now = TrainingStep(small_run().model_copy(update={"train": train}), CPU), [0.0]
    monkeypatch.setattr(TrainingStep, "losses", lambda self: now.append(now[-1] + 3e-3 * len(self.batches)) or {})
    monkeypatch.setattr(TrainingStep, "update", lambda _self, _losses: now.append(now[-1] + 5e-3))
    monkeypatch.setattr("lrsms.base.devices.time.perf_counter", lambda: now[-1])
    assert len(step.batches) == computed
    assert steptime.milliseconds(step, CPU) == pytest.approx(3 * num_groups + 5)


def test_a_step_time_says_in_which_mode_it_was_measured():
    with pytest.warns(UserWarning, match="CUDA graphs need a CUDA device"):
        assert step_time(small_run(), small_run(), CPU, seconds=0, graphs=True)["mode"] == "eager"
    assert steptime.step_time(small_run(), small_run(), CPU, seconds=0)["timed_groups"] == 2


def test_times_are_milliseconds():
    assert 20 <= timed(lambda: time.sleep(0.02), CPU) < 20_000  # microseconds would be more
