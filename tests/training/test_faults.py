"""Facts about what goes wrong in training: it costs no result, and is said in one line."""

import errno
import json
import resource
import shutil
import subprocess
import sys
import warnings

import nano
import pytest
import torch

from lrsms.base.kernels import make_deterministic
from lrsms.data.batch import collate
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.methods.build import build_model
from lrsms.models.norm import group_statistics
from lrsms.training import memory, state, step
from lrsms.training.checkpoint import load_checkpoint
from lrsms.training.loop import train
from lrsms.training.memory import BLOCKS, Memory, recompute
from lrsms.training.step import accumulate, group_losses

CPU = torch.device("cpu")


def state_of(model) -> dict[str, torch.Tensor]:
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    return found | {str(index): total.clone() for index, total in enumerate(group_statistics(model))}


@pytest.fixture
def seen(make_lowrank, tmp_path):
    """A small corpus that is heard and seen."""
    run = make_lowrank("avsr")
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, tmp_path / run.prepared)
    return run, Prepared(tmp_path / run.prepared)


def test_recomputed_activations_change_no_bit(seen):
    """Losses, gradients and statistics, with dropout and batch norm in front ends, encoders and decoder."""
    run, corpus = seen
    batches = [collate(corpus, corpus.items("train")[i : i + 2]) for i in (0, 2)]
    results = []
    for recomputing in (False, True):
        model = build_model(run, corpus.tokenizer.size)[0].train()
        if recomputing:
            recompute(model)
        results.append((accumulate(model, run, batches, 0, CPU), state_of(model)))
    (losses, expected), (again, found) = results
    assert again == losses
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_recomputed_activations_are_kept_only_at_the_borders_of_blocks(make_lowrank, prepared):
    run = make_lowrank(train__augment=None)
    batch = collate(prepared, prepared.items("train")[:4])
    kept = []
    for recomputing in (False, True):
        model = build_model(run, prepared.tokenizer.size)[0].train()
        if recomputing:
            recompute(model)
        sizes: dict[int, int] = {}
        count = lambda x, sizes=sizes: (sizes.__setitem__(x.data_ptr(), x.numel()), x)[1]  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            group_losses(model, run, batch, CPU)
        kept.append(sum(sizes.values()))
    assert kept[1] < 0.6 * kept[0]


def short_of_memory(monkeypatch, fails):
    """Makes a group run out of memory, half-way through its backward pass, where ``fails(recomputing)``."""
    calls = []

    def losses(model, *rest):
        found = group_losses(model, *rest)
        recomputing = any("forward" in vars(module) for module in model.modules() if isinstance(module, BLOCKS))
        calls.append(recomputing)
        if model.training and fails(len(calls), recomputing):
            found.ctc.backward()  # leaves gradients and statistics behind
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nAnd more lines")
        return found

    monkeypatch.setattr(step, "group_losses", losses)
    return calls


def test_a_step_without_memory_is_repeated_and_the_run_goes_on_so(
    trained_lowrank, make_lowrank, prepared, resolve_run, tmp_path, monkeypatch
):
    folder = resolve_run(make_lowrank(), tmp_path)
    calls = short_of_memory(monkeypatch, lambda call, _: call == 6)  # the second group of the third step
    with pytest.warns(UserWarning, match=r"memory is full; continuing with recomputed activations") as caught:
        train(make_lowrank(), prepared, folder, CPU)
    assert len(caught) == 1
    assert calls == [False] * 6 + [True] * (len(calls) - 6)
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (folder / name).read_bytes() == (trained_lowrank / name).read_bytes()
    assert '"recomputed": true' in (folder / "run.json").read_text()


@pytest.mark.parametrize(("fails", "times"), [(False, 2), (True, 1)])
def test_once_memory_was_short_no_graph_is_recorded_again_at_a_change(
    make_run, prepared, resolve_run, tmp_path, monkeypatch, fails, times
):
    """Recomputed blocks cannot be recorded, and graphs take memory."""
    run, made = make_run(**nano.SPECTRAL, lowrank__method={"name": "warmup", "share": 0.5}), []
    monkeypatch.setattr(state, "use_graphs", lambda *_: bool(made.append(None)))
    short_of_memory(monkeypatch, lambda call, _: fails and call == 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(run, prepared, resolve_run(run, tmp_path), CPU, graphs=True)
    assert len(made) == times


def test_a_run_that_does_not_fit_says_which_field_to_lower(make_lowrank, prepared, resolve_run, tmp_path, monkeypatch):
    folder = resolve_run(make_lowrank(), tmp_path)
    short_of_memory(monkeypatch, lambda *_: True)
    with (
        pytest.warns(UserWarning, match="recomputed"),
        pytest.raises(ValueError, match=r"lower 'train.group_frames', now 400, or 'model.dim', now 16") as caught,
    ):
        train(make_lowrank(), prepared, folder, CPU)
    assert "\n" not in str(caught.value)


def test_a_validation_that_does_not_fit_says_so_too(make_lowrank, prepared, resolve_run, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("lrsms.training.loop.validate", full)
    with pytest.raises(ValueError, match=r"lower 'train.group_frames', now 400"):
        train(make_lowrank(), prepared, resolve_run(make_lowrank(), tmp_path), CPU)


def test_other_errors_are_no_lack_of_memory(make_lowrank, prepared):
    model = build_model(make_lowrank(), prepared.tokenizer.size)[0]
    attempts = Memory(model, make_lowrank())

    def wrong():
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        attempts.attempt(wrong)
    assert not attempts.recomputing
    assert memory.BLOCKS


def test_a_prepared_corpus_that_is_deleted_is_read_to_the_end(
    trained_lowrank, make_lowrank, prepared, resolve_run, tmp_path
):
    """What is open stays on the disk for as long as it is."""
    run = make_lowrank()
    folder, copy = resolve_run(run, tmp_path), shutil.copytree(prepared.folder, tmp_path / "corpus")
    opened = Prepared(copy)
    shutil.rmtree(copy)
    train(run, opened, folder, CPU)
    assert (folder / "weights.safetensors").read_bytes() == (trained_lowrank / "weights.safetensors").read_bytes()


def test_a_recording_that_vanishes_is_named_in_one_line(make_lowrank, resolve_run, tmp_path, monkeypatch, prepared):
    """Of a corpus that is read where it lies."""
    run = make_lowrank()
    wave = type(prepared).wave
    calls = []

    def vanishing(self, item):
        from lrsms.data.recordings.recording import read_samples

        calls.append(item)
        return wave(self, item) if len(calls) < 60 else read_samples(tmp_path / "gone.wav", False)

    monkeypatch.setattr(type(prepared), "wave", vanishing)
    with pytest.raises((ValueError, OSError), match=r"gone\.wav") as caught:
        train(run, prepared, resolve_run(run, tmp_path), CPU)
    assert "\n" not in str(caught.value)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from lrsms.training.checkpoint import Checkpoint, save_checkpoint
from lrsms.base.files import write_atomically
from lrsms.training.steplog import log
folder = Path(sys.argv[1])
save_checkpoint(folder, Checkpoint(1, {"x": torch.ones(100)}, {}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, resource.RLIM_INFINITY))
def attempt(call):
    try:
        call()
    except OSError as error:
        print(error.errno, error.filename)
attempt(lambda: save_checkpoint(folder, Checkpoint(2, {"x": torch.ones(10_000)}, {})))
attempt(lambda: save_checkpoint(folder, Checkpoint(2, {"x": torch.ones(9)}, {"much": "x" * 10_000})))
attempt(lambda: write_atomically(folder / "run.json", bytes(10_000)))
with open(folder / "metrics.jsonl", "a") as file:
    attempt(lambda: log(file, {"much": "x" * 10_000}))
    sys.stdout.flush()
    import os; os._exit(0)
"""


def test_a_file_that_may_not_grow_leaves_earlier_checkpoints_and_is_named(tmp_path):
    """The system's own refusal, half-way through a file, as of a full disk."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    names = ["step-00000002.safetensors", "step-00000002.json", "run.json", "metrics.jsonl"]
    assert done.stdout.splitlines() == [f"{errno.EFBIG} {tmp_path / name}" for name in names]
    assert load_checkpoint(tmp_path).step == 1
    assert not list(tmp_path.glob("*.tmp"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1 << 12


def test_deterministic_kernels_are_asked_for_and_change_no_more_than_the_order_of_sums(
    trained_lowrank, make_lowrank, prepared, resolve_run, tmp_path, monkeypatch
):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    before = (cudnn.benchmark, cudnn.deterministic, cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled())
    folders = [resolve_run(make_lowrank(), tmp_path / str(number)) for number in range(2)]
    try:
        make_deterministic()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert (cudnn.benchmark, cudnn.deterministic) == (False, True)
        assert not (cuda.flash_sdp_enabled() or cuda.mem_efficient_sdp_enabled() or cuda.cudnn_sdp_enabled())
        for folder in folders:
            train(make_lowrank(), prepared, folder, CPU)
    finally:
        torch.use_deterministic_algorithms(False)
        cudnn.benchmark, cudnn.deterministic = before[:2]
        cuda.enable_flash_sdp(before[2])
        cuda.enable_mem_efficient_sdp(before[3])
        cuda.enable_cudnn_sdp(True)
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    rows, expected = ((path / "metrics.jsonl").read_text().splitlines() for path in (folders[0], trained_lowrank))
    for row, like in zip(rows, expected, strict=True):
        assert json.loads(row) == pytest.approx(json.loads(like), rel=1e-4)
    assert '"deterministic": true' in (folders[0] / "run.json").read_text()
