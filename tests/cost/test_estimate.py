"""What a study will take: counted once per network, from records and step times of this device, else measured."""

import json

import pytest
import torch
from small import small_run

from lrsms.base.devices import device_name
from lrsms.cost import counts, estimate, estimate_table, rate
from lrsms.cost.estimate import Folders
from lrsms.cost.random_data import NUM_CHARACTERS
from lrsms.data.prepared import SUMMARY
from lrsms.methods.build import build_structure
from lrsms.study import expand
from lrsms.study.decoding import Condition, Decoder, Decoding
from lrsms.study.fields import describe, difference

CPU = torch.device("cpu")
DECODING = Decoding(decoders={"greedy": Decoder(kind="greedy")}, conditions={"test": Condition(split="test")})


def experiment(lowrank=None, seed=1, trained=True, baseline=None, **train):
    run = small_run(lowrank, seed)
    run = run.model_copy(update={"train": run.train.model_copy(update=train)})
    baseline = baseline or small_run()
    return expand.Experiment(run, baseline, describe(difference(baseline, run)), {}, trained=trained)


LOWRANK = [{"targets": ["encoder.attention"], "ratio": ratio} for ratio in (0.5, 0.25)]


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "records", tmp_path / "steptime", tmp_path / "corpora")


@pytest.fixture
def plan(folders):
    """Estimates without measuring, unless asked to."""

    def plan(experiments, measure=False):
        return estimate.estimate(experiments, DECODING, folders, CPU, measure)

    return plan


def write(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def here(**content):
    return {"device": device_name(CPU), "threads": torch.get_num_threads(), **content}


def test_parameters_are_those_of_the_network(plan):
    experiments = [experiment(), *(experiment(lowrank) for lowrank in LOWRANK)]
    for cell, found in zip(plan(experiments).cells, experiments, strict=True):
        network, _ = build_structure(found.run, NUM_CHARACTERS + 2)
        assert cell.parameters == sum(parameter.numel() for parameter in network.parameters())
        assert cell.times_fewer == plan(experiments).cells[0].parameters / cell.parameters


def test_equal_networks_are_built_once_and_equal_plans_made_once(plan, monkeypatch):
    """A thousand runs are listed in the time of the networks that differ."""
    calls = {"build": 0, "plan": 0}

    def counted(name, function):
        def call(*arguments):
            calls[name] += 1
            return function(*arguments)

        return call

    monkeypatch.setattr(estimate, "build_structure", counted("build", estimate.build_structure))
    monkeypatch.setattr(estimate, "make_plan", counted("plan", estimate.make_plan))
    inits = ("spectral", "random", "matched", "orthogonal")
    runs = [experiment(low | {"init": init}, seed) for low in LOWRANK for init in inits for seed in range(50)]
    assert plan(runs).totals()["runs"] == 400
    assert calls == {"build": 3, "plan": 3}  # the dense network, and one of each ratio


def test_disk_is_two_checkpoints_and_the_weights(plan):
    (cell,) = plan([experiment()]).cells
    assert cell.disk_mb == pytest.approx(cell.parameters * 4 * (2 * 4 + 1) / 1e6)
    low, low_muon = (plan([experiment(LOWRANK[0], optimizer=name)]).cells[0] for name in (None, "muon"))
    _, matrices = build_structure(experiment(LOWRANK[0]).run, NUM_CHARACTERS + 2)
    inner = sum(m.parameters - m.bias for m in matrices if m.name not in ("ctc", "decoder.output"))
    assert low.disk_mb - low_muon.disk_mb == pytest.approx(2 * 4 * inner / 1e6), "one moment of matrices, not two"


def test_what_is_not_known_is_not_guessed(plan):
    result = plan([experiment(), experiment(LOWRANK[0])])
    assert all((cell.step_ms, cell.hours, cell.source) == (None, None, None) for cell in result.cells)
    assert result.totals()["hours"] is None and result.totals()["disk_mb"] > 0
    assert "time unknown" in estimate_table.sentences(result)[0]


def test_a_step_time_file_of_this_device_gives_the_hours(plan, folders):
    found = experiment(steps=1800)
    write(folders.steptimes / f"{found.steptime}.json", **here(median_ms=2000.0))
    (cell,) = plan([found]).cells
    assert (cell.step_ms, cell.hours, cell.source) == (2000, 1.0, "step time")


@pytest.mark.parametrize("other", [{"device": "Another Processor"}, {"threads": 99}])
def test_times_of_another_device_are_not_used(plan, folders, other):
    found = experiment()
    write(folders.steptimes / f"{found.steptime}.json", **(here(median_ms=2000.0) | other))
    write(folders.records / found.name / "run.json", **(here(seconds=10.0, status="finished") | other))
    assert plan([found]).cells[0].hours is None


@pytest.mark.parametrize(
    "other",
    [
        {"status": "diverged"},
        {"sessions": [here(num_devices=4)]},
        {"sessions": [here(device="Another Processor"), here()]},
    ],
)
def test_hours_are_of_runs_that_finished_on_one_such_device_from_their_beginning(plan, folders, other):
    found = experiment()
    for more, hours in ((other, None), ({"sessions": [here(num_devices=1), here()]}, 1.0)):
        content = here(seconds=3600.0, status="finished") | more
        write(folders.records / found.name / "run.json", **content)
        assert plan([found]).cells[0].hours == hours


def test_recorded_runs_are_done_and_tell_how_long_the_others_take(plan, folders):
    runs = [experiment(seed=seed) for seed in (1, 2, 3)]
    write(folders.records / runs[0].name / "run.json", **here(seconds=7200.0, status="finished"))
    (folders.records / runs[0].name / DECODING.scores).write_bytes(b"")
    result = plan(runs)
    (cell,) = result.cells
    assert (cell.recorded, cell.pending, cell.hours, cell.source) == (1, 2, 2.0, "recorded")
    totals = result.totals()
    assert (totals["runs"], totals["recorded"], totals["hours"], totals["gpu_hours"]) == (3, 1, 4.0, 0.0)
    assert totals["disk_mb"] == pytest.approx(2 * cell.disk_mb)


def test_what_is_done_needs_no_time(plan, folders):
    found = experiment()
    write(folders.records / found.name / DECODING.scores)
    assert plan([found]).totals()["hours"] == 0


def test_gpu_hours_are_those_of_a_gpu(plan, folders):
    found = experiment(steps=1800)
    write(folders.steptimes / f"{found.steptime}.json", **here(median_ms=2000.0))
    result = plan([found])
    on_gpu = estimate.Estimate("GPU", 1, True, True, result.cells, {})
    assert (result.totals()["gpu_hours"], on_gpu.totals()["gpu_hours"]) == (0, 1)


def test_nuisance_values_are_listed_apart(plan):
    runs = [experiment(lr=lr) for lr in (0.001, 0.002)]
    runs = [expand.Experiment(e.run, e.baseline, "dense", {}, {"train.lr": e.run.train.lr}) for e in runs]
    assert [cell.cell for cell in plan(runs).cells] == ["dense lr=0.001", "dense lr=0.002"]


def test_epochs_are_steps_once_the_corpus_is_prepared(plan, folders, prepared, corpora, make_run):
    run = make_run(train__steps=None, train__epochs=3, train__snapshots=1, train__average=1)
    found = expand.Experiment(run, run, "dense", {})
    result = plan([found])
    assert result.cells[0].steps is None and result.corpora == {run.prepared: None}
    assert any("not prepared" in line for line in estimate_table.sentences(result))
    there = Folders(folders.records, folders.steptimes, corpora)
    result = estimate.estimate([found], DECODING, there, CPU, measure=False)
    frames = sum(item.frames for item in prepared.items("train"))
    least = 3 * frames / (run.train.group_frames * run.train.groups_per_step)
    assert least <= result.cells[0].steps <= 2 * least + 1
    size = sum(path.stat().st_size for path in (corpora / run.prepared).rglob("*") if path.is_file())
    assert result.corpora[run.prepared] == pytest.approx(size / 1e6)
    assert (corpora / run.prepared / SUMMARY).is_file()


def test_steps_are_measured_here_once_for_each_shape(plan, monkeypatch):
    """Not for another seed or initialisation, nor for what is recorded or trains nothing."""
    asked = []
    monkeypatch.setattr(
        estimate,
        "measure_steps",
        lambda runs, device: asked.append(runs) or {name: rate.StepRate(3600.0, False) for name in runs},
    )
    low = LOWRANK[0]
    result = plan([experiment(low, 1), experiment(low, 2), experiment(low | {"init": "random"})], measure=True)
    assert [len(runs) for runs in asked] == [1]
    assert all((cell.step_ms, cell.source) == (3600, "measured") for cell in result.cells)
    assert result.cells[0].hours == pytest.approx(2 * 3600 / 3.6e6)
    plan([experiment(low, trained=False)], measure=True)
    assert asked[1] == {}


def test_a_whole_step_is_measured_where_it_is_quick():
    run = small_run(LOWRANK[0])
    rates = rate.measure_steps({"one": run, "other": small_run()}, CPU)
    assert all(rate.milliseconds > 0 and not rate.extrapolated for rate in rates.values())


def test_slow_steps_are_worked_out_from_multiply_adds_and_said(monkeypatch):
    """A machine of 1e9 multiply-adds per second: the small group is timed, the steps of minutes are not."""
    runs = {name: experiment(groups_per_step=groups).run for name, groups in {"few": 4, "many": 100_000}.items()}
    work = {name: counts.multiply_adds_per_step(run) for name, run in runs.items()}
    timed = []

    def time_it(run, device, seconds):
        timed.append(run)
        return counts.multiply_adds_per_step(run) / 1e6

    monkeypatch.setattr(rate, "_time", time_it)
    with pytest.warns(UserWarning, match="a training step would take up to .* s here: times are extrapolated"):
        rates = rate.measure_steps(runs, CPU, seconds=5 * work["few"] / 1e9)
    assert not rates["few"].extrapolated and rates["many"].extrapolated
    assert rates["many"].milliseconds == pytest.approx(work["many"] / 1e6)
    assert runs["many"] not in timed and timed[-1].train.groups_per_step == 1


def test_the_work_of_a_step_grows_with_its_frames():
    one, two = (counts.multiply_adds_per_step(experiment(groups_per_step=n).run) for n in (1, 2))
    assert two == 2 * one
    assert counts.multiply_adds_per_step(small_run(LOWRANK[1])) < counts.multiply_adds_per_step(small_run())


def test_muons_products_are_work_that_does_not_grow_with_the_frames():
    adamw, one, two = (
        counts.multiply_adds_per_step(experiment(groups_per_step=number, optimizer=name).run)
        for number, name in ((1, None), (1, "muon"), (2, "muon"))
    )
    assert two - one == pytest.approx(adamw) and one - adamw > 0


def test_the_estimate_is_printed_as_a_table_and_as_json(plan, capsys):
    result = plan([experiment(), experiment(LOWRANK[0])])
    estimate_table.show(result, as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert [cell["cell"] for cell in content["cells"]] == ["dense", "encoder.attention-0.5"]
    assert content["totals"]["runs"] == 2 and content["cells"][0]["runs"] == [experiment().name]
    estimate_table.show(result, as_json=False)
    text = capsys.readouterr().out
    assert "encoder.attention-0.5" in text and "2 runs, 0 done. To do: time unknown" in text


def test_a_study_without_training_says_so(plan, folders):
    low = experiment(LOWRANK[0], trained=False)
    write(folders.steptimes / f"{low.steptime}.json", **here(median_ms=2.0))
    result = plan([experiment(trained=False), low])
    assert [cell.recorded for cell in result.cells] == [0, 1]
    assert (result.totals()["disk_mb"], result.corpora) == (0, {})
    assert "2 measurements, 1 done. This study times steps and trains nothing." in estimate_table.sentences(result)
    assert estimate_table.sentences(result)[1].startswith(f"Step ms: on {result.device}")
