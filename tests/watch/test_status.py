"""The state of a run is read off what the workflow leaves of it."""

import json
import time
from dataclasses import asdict
from pathlib import Path

import fabricate
import pytest
from rich.console import Console

from lrsms.base.files import only_one, write_json
from lrsms.study.expand import Experiment
from lrsms.watch.status import Folders, Status, reasons, show, study_status, write_reasons


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Where a workflow in ``tmp_path`` leaves its files."""
    return Folders(*(tmp_path / name for name in ("records", "runs", "corpora", "logs")))


def experiments(*seeds: int) -> list[Experiment]:
    return [fabricate.experiment(fabricate.run({"ratio": 0.25}, seed)) for seed in seeds or (1,)]


def state(folders: Folders, experiment: Experiment) -> Status:
    (status,) = study_status([experiment], fabricate.DECODING, folders)
    return status


def log(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_run_of_which_there_is_nothing_is_missing(folders: Folders) -> None:
    (experiment,) = experiments()
    assert state(folders, experiment) == Status(experiment.name, experiment.cell, 1, "missing")


def test_a_recorded_run_is_done_whatever_its_logs_say(folders: Folders) -> None:
    (experiment,) = experiments()
    fabricate.record(folders.records, experiment, fabricate.scores(0.1, 1))
    log(folders.runs / experiment.name, "train.log", "error: the disk is full\n")
    assert state(folders, experiment).state == "done"


def test_a_run_recorded_with_other_decoders_is_not_done(folders: Folders) -> None:
    (experiment,) = experiments()
    record = fabricate.record(folders.records, experiment, fabricate.scores(0.1, 1))
    (record / fabricate.DECODING.scores).unlink()
    assert state(folders, experiment).state == "missing"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_diverged_run_says_where(folders: Folders, recorded: bool) -> None:
    (experiment,) = experiments()
    outcome = {"status": "diverged", "diverged_at": 7}
    if recorded:
        fabricate.record(folders.records, experiment, fabricate.scores(0.1, 1).iloc[:0], **outcome)
    else:
        write_json(folders.runs / experiment.name / "run.json", outcome)
    status = state(folders, experiment)
    assert (status.state, status.note) == ("diverged", "at step 7")


def test_a_run_whose_lock_is_held_is_running_and_says_how_far_it_is(folders: Folders) -> None:
    (experiment,) = experiments()
    folder = folders.runs / experiment.name
    progress = "demo-asr: 100/700 (14%), 0:02:00 left, loss 3.2\n"
    log(folder, "train.log", f"{progress}demo-asr: 350/700 (50%), 1 day, 1:01:30 left, loss 1.234\n")
    with only_one(folder):
        status = state(folders, experiment)
    assert (status.state, status.step, status.steps) == ("running", 350, 700)
    assert status.seconds_left == 86400 + 3600 + 60 + 30
    assert state(folders, experiment).state == "failed"


def test_looking_does_not_take_the_lock(folders: Folders) -> None:
    (experiment,) = experiments()
    with only_one(folders.runs / experiment.name):
        pass
    state(folders, experiment)
    with only_one(folders.runs / experiment.name):
        pass


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("error: one\nx: 5/10 (50%), 0:00:09 left\nerror: No space left\ntrailing\n", "No space left"),
        ("Traceback (most recent call last):\n  File\nRuntimeError: CUDA error\n", "RuntimeError: CUDA error"),
        ("x: 5/10 (50%), 0:00:09 left\n", "ended without an error line: killed, or out of time or memory"),
    ],
)
def test_a_failed_run_says_its_last_error_line(folders: Folders, text: str, note: str) -> None:
    (experiment,) = experiments()
    log(folders.runs / experiment.name, "train.log", text)
    status = state(folders, experiment)
    assert (status.state, status.note, status.seconds_left) == ("failed", note, None)


def test_a_trained_run_waits_for_its_decoding_or_fails_in_it(folders: Folders) -> None:
    (experiment,) = experiments()
    folder = folders.runs / experiment.name
    write_json(folder / "run.json", {"status": "finished"})
    log(folder, "train.log", "error: of an earlier try\n")
    assert (state(folders, experiment).state, state(folders, experiment).note) == ("missing", "trained, not decoded")
    log(folder, "decode.log", "x: 5/10 (50%), 0:00:09 left\n")
    assert (state(folders, experiment).state, state(folders, experiment).seconds_left) == ("running", 9.0)
    log(folder, "decode.log", "error: weights.safetensors: is torn\n")
    assert state(folders, experiment).note == "weights.safetensors: is torn"
    log(folder, fabricate.DECODING.hypotheses, "")
    assert state(folders, experiment).note == "trained, not scored"


def test_runs_that_wait_for_a_corpus_that_failed_say_so(folders: Folders) -> None:
    (experiment,) = experiments()
    prepared = experiment.run.prepared
    log(folders.logs, f"prepare-{prepared}.log", "error: manifest.tsv: is empty\n")
    assert state(folders, experiment).note == "its corpus: manifest.tsv: is empty"
    write_json(folders.corpora / prepared / "corpus.json", {})
    assert state(folders, experiment).note == ""


def test_a_run_that_waits_for_weights_says_so(folders: Folders) -> None:
    (experiment,) = experiments()
    begun = fabricate.experiment(experiment.run.model_copy(update={"init_from": "0123456789abcdef"}))
    assert state(folders, begun).note.startswith("'init_from' is 0123456789abcdef, but no folder in results/starts")


def test_the_reasons_are_of_what_is_not_there(tmp_path: Path) -> None:
    made = [Status("a", "dense", 1, "done"), Status("b", "dense", 2, "failed", note="no space")]
    made += [Status("c", "dense", 3, "missing"), Status("d", "dense", 4, "diverged", note="at step 7")]
    made += [Status("e", "dense", 5, "missing"), Status("f", "other", 1, "missing")]
    expected = ["dense, seed 2: failed: no space", "dense, seeds 3, 5: missing", "other, seed 1: missing"]
    assert reasons(made) == expected
    (tmp_path / "table.md").write_text("| a |\n")
    assert write_reasons(made, tmp_path / "table.md") == expected
    assert (tmp_path / "table.md").read_text() == "| a |\n" + "".join(f"- Missing: {line}\n" for line in expected)


def test_what_is_shown_counts_the_states(capsys: pytest.CaptureFixture[str]) -> None:
    made = [Status("a", "dense", 1, "running", 5, 10, 61.2), Status("b", "[bold]", 2, "failed", note="[red]")]
    show(made, console=Console(width=100))
    printed = capsys.readouterr().out
    assert "5/10" in printed and "0:01:01" in printed and "[bold]" in printed and "[red]" in printed
    assert printed.splitlines()[-1] == "1 running, 1 failed"
    show(made, as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert content["counts"] == {"done": 0, "running": 1, "failed": 1, "diverged": 0, "missing": 0}
    assert content["runs"][0] == asdict(made[0])


def test_a_thousand_runs_take_less_than_a_second_of_the_processor(folders: Folders) -> None:
    many = experiments(*range(1000))
    for experiment in many:
        log(folders.runs / experiment.name, "train.log", "x: 5/10 (50%), 0:00:09 left, loss 2.0\n" * 100)
    began = time.process_time()
    assert len(study_status(many, fabricate.DECODING, folders)) == 1000
    assert time.process_time() - began < 1.0
