"""Facts about several devices: their number is no part of the result, and none waits for one that has gone."""

import json
import os
import signal
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from endings import lines
from safetensors.torch import load_file

from lrsms.data.batch import collate
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.methods.build import build_model
from lrsms.models.norm import group_statistics, update_running_statistics
from lrsms.training.distributed import ALONE, BUCKET, Ranks, _buckets, joined
from lrsms.training.loop import train
from lrsms.training.step import accumulate

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
DOUBLE = str(Path(__file__).parents[1] / "support" / "double_ranks.py")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_group_has_one_rank(size):
    groups = list(range(5))
    shares = [Ranks(rank, size).share(groups) for rank in range(size)]
    assert sorted(group for share in shares for group in share) == groups
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_changes():
    tensor = torch.tensor([0.1, 0.2])
    ALONE.sum([tensor])
    assert torch.equal(tensor, torch.tensor([0.1, 0.2]))
    assert ALONE.totals([0.1, 7]) == [0.1, 7]
    assert (ALONE.any(True), ALONE.any(False), ALONE.first) == (True, False, True)
    with joined(CPU) as ranks:
        assert ranks == ALONE


def test_what_is_sent_at_a_time_is_limited():
    tensors = [torch.zeros(1).expand(size) for size in (BUCKET // 2, BUCKET // 2, 3, 2 * BUCKET, 5)]
    assert [[x.numel() for x in bucket] for bucket in _buckets(tensors)] == [
        [BUCKET // 2, BUCKET // 2],
        [3, 2 * BUCKET],
        [5],
    ]


@pytest.mark.parametrize("size", [2, 4])
def test_the_shares_of_ranks_add_up_to_the_step(make_lowrank, prepared, size):
    """Gradients, losses and statistics, with dropout; of three groups, so that ranks have more, fewer or none."""
    run = make_lowrank(train__augment=None)
    items = prepared.items("train")
    batches = [collate(prepared, items[i : i + 2]) for i in (0, 2, 4)]
    alone = build_model(run, prepared.tokenizer.size)[0].train()
    expected = accumulate(alone, run, batches, 5, CPU)
    parts = []
    for rank in range(size):
        model = build_model(run, prepared.tokenizer.size)[0].train()
        ranks = Ranks(rank, size)
        parts.append((accumulate(model, run, list(ranks.share(batches)), 5, CPU, 6, ranks), model))
    for name, value in expected.items():
        assert float(sum(losses[name] for losses, _ in parts)) == pytest.approx(float(value), rel=1e-6)
    for name, parameter in alone.named_parameters():
        total = sum(g for _, model in parts if (g := model.get_parameter(name).grad) is not None)
        torch.testing.assert_close(total, parameter.grad, rtol=1e-4, atol=1e-6)
    summed = deepcopy(parts[0][1])
    for mine, *others in zip(
        group_statistics(summed), *(group_statistics(model) for _, model in parts[1:]), strict=True
    ):
        mine += sum(others)
    for model in (alone, summed):
        update_running_statistics(model)
    for name, buffer in alone.named_buffers():
        torch.testing.assert_close(summed.get_buffer(name), buffer, msg=name)


@pytest.fixture(scope="module")
def both(make_lowrank, tmp_path_factory):
    """A corpus that is heard and seen."""
    run = make_lowrank("avsr")
    folder = tmp_path_factory.mktemp("corpora") / run.prepared
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, folder)
    return Prepared(folder)


def start(command, folder, corpora, *options, **environment):
    return subprocess.Popen(
        [*command, "train", "--corpora", str(corpora), "--device", "cpu", *options, str(folder)],
        env=ENVIRONMENT | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, status=0) -> str:
    error = process.communicate(timeout=600)[1]
    assert process.returncode == status, error
    return error


def assert_same_course(one: Path, other: Path, tolerance: float) -> None:
    rows, expected = lines(one / "metrics.jsonl"), lines(other / "metrics.jsonl")
    assert len(rows) == len(expected)
    for row, like in zip(rows, expected, strict=True):
        # No loss, and less steady than one: gradients of single utterances cancel out in their sum.
        norms = [each.pop("gradient_norm") for each in (row, like)]
        assert norms[0] == pytest.approx(norms[1], rel=100 * tolerance)
        assert row == pytest.approx(like, rel=tolerance)
    for row, like in zip(lines(one / "timings.jsonl"), lines(other / "timings.jsonl"), strict=True):
        assert (row["step"], row["frames"]) == (like["step"], like["frames"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "steps", "optimizer"), [("asr", 50, None), ("avsr", 8, None), ("asr", 8, "muon"), ("avsr", 8, "muon")]
)
def test_the_number_of_devices_is_no_part_of_the_result_in_float64(
    task, steps, optimizer, make_lowrank, both, corpora, resolve_run, tmp_path
):
    """Of three groups in a step, so that some ranks have two and some none, and groups that lack a modality."""
    fields = {"train__modality_dropout": 0.9} if task == "avsr" else {}
    fields |= {"train__optimizer": optimizer} if optimizer else {}
    run = make_lowrank(task, train__steps=steps, train__groups_per_step=3, **fields)
    folders = {size: resolve_run(run, tmp_path / str(size)) for size in (1, 2, 4)}
    for size, folder in folders.items():
        finish(start([*TORCHRUN, str(size), DOUBLE], folder, both.folder.parent if task == "avsr" else corpora))
    for size in (2, 4):
        assert_same_course(folders[size], folders[1], 1e-9)
        weights, expected = (load_file(folders[n] / "weights.safetensors") for n in (size, 1))
        for name, weight in weights.items():
            assert weight.dtype == torch.float64
            torch.testing.assert_close(weight, expected[name], rtol=1e-8, atol=1e-9, msg=name)


@pytest.mark.slow
def test_nor_but_for_rounding_in_float32(make_lowrank, prepared, corpora, resolve_run, tmp_path):
    """Which training multiplies, on some processors more than on others; a wrong share would be a third and more."""
    run = make_lowrank(train__steps=20, train__groups_per_step=3)
    alone = resolve_run(run, tmp_path / "1")
    train(run, prepared, alone, CPU)
    for size in (2, 4):
        folder = resolve_run(run, tmp_path / str(size))
        error = finish(start([sys.executable, "-m", "lrsms"], folder, corpora, "--devices", str(size)))
        assert "error" not in error
        first, expected = (lines(each / "metrics.jsonl")[0] for each in (folder, alone))
        assert first["loss"] == pytest.approx(expected["loss"], rel=1e-6)  # no update yet: nothing has multiplied
        assert_same_course(folder, alone, 1e-3)
        assert json.loads((folder / "run.json").read_text())["sessions"][0]["num_devices"] == size


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_ranks_agree_on_the_step_to_stop_at_and_another_number_goes_on(
    make_lowrank, prepared, corpora, resolve_run, tmp_path, number
):
    run = make_lowrank(train__steps=200, train__groups_per_step=2)
    folder, alone = resolve_run(run, tmp_path / "2"), resolve_run(run, tmp_path / "1")
    process = start([sys.executable, "-m", "lrsms"], folder, corpora, "--devices", "2", "--checkpoint-seconds", "999")
    wait_for_steps(folder, 3)
    process.send_signal(number)
    error = finish(process, 75)
    (note,) = folder.glob("checkpoints/step-*.json")
    step = json.loads(note.read_text())["step"]
    assert f"{folder}: interrupted after step {step} of 200; run it again to go on" in error
    assert "Traceback" not in error
    assert [row["step"] for row in lines(folder / "metrics.jsonl")] == list(range(1, step + 1))
    train(run, prepared, folder, CPU)
    train(run, prepared, alone, CPU)
    rows, expected = (lines(path / "metrics.jsonl") for path in (folder, alone))
    for row, like in zip(rows[:25], expected[:25], strict=True):
        assert row["loss"] == pytest.approx(like["loss"], rel=1e-3)
    sessions = json.loads((folder / "run.json").read_text())["sessions"]
    assert [(session["start"], session["num_devices"]) for session in sessions] == [(0, 2), (step, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_ends_the_others(make_lowrank, corpora, resolve_run, tmp_path, rank):
    folder = resolve_run(make_lowrank(train__steps=50), tmp_path)
    process = start([*TORCHRUN, "2", DOUBLE], folder, corpora, FAILS=f"{rank},3")
    error = finish(process, 1)
    assert "error: this rank has failed" in error
    assert [row["step"] for row in lines(folder / "metrics.jsonl")] == [1, 2, 3]


@pytest.mark.slow
def test_a_held_run_is_refused_at_all_ranks(make_lowrank, corpora, resolve_run, tmp_path):
    from lrsms.base.files import only_one

    folder = resolve_run(make_lowrank(), tmp_path)
    with only_one(folder):
        error = finish(start([sys.executable, "-m", "lrsms"], folder, corpora, "--devices", "2"), 1)
    assert error == f"error: {folder}: another process is at work on this run; wait until it ends\n"


def wait_for_steps(folder: Path, num_steps: int, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    path = folder / "metrics.jsonl"
    while time.monotonic() < end:
        if path.is_file() and len(path.read_text().splitlines()) >= num_steps:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {num_steps} steps within {seconds} s")
