"""What a GPU computes, against a CPU, plainer references, and itself."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_run
from torch.profiler import ProfilerActivity, profile

from lrsms.base.devices import forget_peak_memory, peak_memory_mb
from lrsms.base.kernels import arithmetic, choose_kernels
from lrsms.cost.memory import device_memory_mb
from lrsms.cost.random_data import random_batch
from lrsms.cost.steptime import TrainingStep, step_time
from lrsms.decoding.decode import decode
from lrsms.methods.build import build_model
from lrsms.models.conformer import attend
from lrsms.models.norm import MaskedBatchNorm, update_running_statistics
from lrsms.study.expand import preset_run
from lrsms.training.graphs import use_graphs
from lrsms.training.memory import recompute
from lrsms.training.state import State
from lrsms.training.step import accumulate, clip_and_read

GPU = torch.device("cuda")
CPU = torch.device("cpu")
NETWORKS = {"features": {}, "waves": {"frontend": "wave", "mels": None}, "video": VISUAL, "both": AUDIOVISUAL}
NO_EFFECT = ("depthwise.bias", ".k.bias", "audio_encoder.norm.bias", "video_encoder.norm.bias", "fusion.hidden.bias")
"""A normalisation or a softmax takes these away: their gradients are rounding alone, which AdamW makes large."""
LOW_RANK = {"targets": ["encoder.*"], "ratio": 0.5}

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def gradients(run, device, recomputed=False):
    """Losses and gradients of one step on random data, the same on every device."""
    run = run.model_copy(update={"train": run.train.model_copy(update={"group_frames": 300})})
    step = TrainingStep(run, CPU)
    model, _ = build_model(run, step.size)
    step.batches = [batch.for_device(device) for batch in step.batches]
    model.to(device).train()
    if recomputed:
        recompute(model)
    losses = accumulate(model, run, step.batches, 0, device)
    return {name: value.item() for name, value in losses.items()}, {
        name: parameter.grad.cpu() for name, parameter in model.named_parameters() if parameter.grad is not None
    }


def test_a_network_that_changes_stays_on_its_device_and_is_the_one_of_a_cpu():
    """At a learning rate of 0 both start from the same weights, which are decomposed on the CPU in either case."""
    run = small_run(LOW_RANK | {"method": {"name": "warmup", "share": 0.5}})
    found = {}
    for device in (CPU, GPU):
        state = State.at(run, SIZE, device, 0, 2)
        for parameter in state.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        state.update(0.0)
        assert {parameter.device.type for parameter in state.model.parameters()} == {device.type}
        found[device] = {name: tensor.cpu() for name, tensor in state.model.state_dict().items()}
    assert any(name.endswith(".vt") for name in found[GPU])
    for name, tensor in found[CPU].items():
        assert torch.equal(found[GPU][name], tensor), name


@pytest.mark.parametrize("lowrank", [None, LOW_RANK], ids=["dense", "low rank"])
@pytest.mark.parametrize("network", NETWORKS)
def test_losses_and_gradients_are_those_of_a_cpu(network, lowrank):
    run = small_run(lowrank, **NETWORKS[network])
    with arithmetic("float32"):
        (losses, found), (expected_losses, expected) = gradients(run, GPU), gradients(run, CPU)
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    assert set(found) == set(expected)
    scale = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in expected.items():
        difference = float((found[name] - gradient).abs().max() / scale)
        assert difference <= 3e-4, f"{name}: {difference:.1e} of the largest gradient"


def test_recomputed_activations_have_the_same_dropout():
    run = small_run(LOW_RANK, dropout=0.2)
    with arithmetic("float32"):
        (losses, kept), (again, recomputed) = gradients(run, GPU), gradients(run, GPU, recomputed=True)
    assert again == pytest.approx(losses, rel=1e-6)
    scale = max(gradient.abs().max() for gradient in kept.values())
    for name, gradient in kept.items():
        difference = float((recomputed[name] - gradient).abs().max() / scale)
        assert difference <= 1e-5, f"{name}: {difference:.1e} of the largest gradient"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batch_norm_is_that_of_double_precision(dtype):
    generator = torch.Generator().manual_seed(0)
    x, pull = (torch.randn(4, 32, 200, generator=generator).add(3).to(dtype) for _ in range(2))
    mask = torch.zeros(4, 200, dtype=torch.bool)
    mask[1:, 120:] = True
    results = []
    for device, wide in ((GPU, False), (CPU, True)):
        norm = MaskedBatchNorm(32).to(device)
        norm = norm.double() if wide else norm
        leaf = (x.double() if wide else x.clone()).to(device).requires_grad_()
        y = norm(leaf, mask.to(device))
        y.backward(pull.to(device, leaf.dtype))
        results.append([each.detach().double().cpu() for each in (y, leaf.grad, norm.weight.grad, norm.bias.grad)])
    tolerance = 2**-6 if dtype == torch.bfloat16 else 1e-5
    for found, exact in zip(*results, strict=True):
        assert (found - exact).abs().max() <= tolerance * exact.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_is_that_of_double_precision_and_never_cudnns(dtype):
    choose_kernels()
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 4, 50, 32, generator=generator).to(dtype) for _ in range(3))
    bias = torch.randn(2, 4, 50, 50, generator=generator).to(dtype)
    bias[1, :, :, 30:] = float("-inf")
    inputs = [x.to(GPU).requires_grad_() for x in (query, key, value, bias)]
    with profile(activities=[ProfilerActivity.CPU]) as events, arithmetic("float32"):
        found = attend(*inputs)
        found.sum().backward()
    assert not [event.name for event in events.events() if "cudnn_attention" in event.name]
    exact = attend(*(x.double() for x in (query, key, value, bias)))
    assert (found.double().cpu() - exact).abs().max() <= (2**-6 if dtype == torch.bfloat16 else 1e-5)


def test_decoders_find_what_they_find_on_a_cpu(trained_lowrank, make_lowrank, prepared, decoding, tmp_path):
    texts = []
    for device in (CPU, GPU):
        output = tmp_path / device.type / "hypotheses.jsonl"
        output.parent.mkdir()
        decode(make_lowrank(), prepared, trained_lowrank, output, decoding, device)
        texts.append(output.read_text())
    assert texts[0] == texts[1]


def test_a_deterministic_run_of_low_rank_that_was_interrupted_ends_as_if_it_had_not_been(
    make_lowrank, make_folder, corpora
):
    once, interrupted = (make_folder(make_lowrank()) for _ in range(2))
    train_apart(once, corpora)
    train_apart(interrupted, corpora, stop_after=6)
    assert not (interrupted / "run.json").exists()
    train_apart(interrupted, corpora)
    assert (once / "weights.safetensors").read_bytes() == (interrupted / "weights.safetensors").read_bytes()
    outcome = json.loads((interrupted / "run.json").read_text())
    assert [session["start"] > 0 for session in outcome["sessions"]] == [False, True]


def train_apart(folder, corpora, stop_after=10**6):
    """Trains in a process of its own, since deterministic kernels are chosen for good; it looks for a request often."""
    code = f"""
from itertools import count
from pathlib import Path
import torch
from lrsms.data.prepared import Prepared
from lrsms.base.kernels import make_deterministic
from lrsms.record.record import load_run
from lrsms.training.interrupt import Interrupted
from lrsms.training.loop import train
make_deterministic()
folder, asked = Path({str(folder)!r}), count()
run = load_run(folder)
prepared = Prepared(Path({str(corpora)!r}) / run.prepared)
try:
    train(run, prepared, folder, torch.device({GPU.type!r}), stop=lambda: next(asked) >= {stop_after})
except Interrupted:
    pass
"""
    command, root = [sys.executable, "-c", code], Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def several_steps(run, graphs):
    """Losses of a few steps of three groups, two of which have one padded shape, and what is trained in the end."""
    step = TrainingStep(run, CPU)
    model, _ = build_model(run, step.size)
    model.to(GPU).train()
    groups = [run.train.model_copy(update={"group_frames": frames}) for frames in (300, 200, 60)]
    runs = [run.model_copy(update={"train": train}) for train in groups]
    batches = [random_batch(each, step.size, step.num_tokens).for_device(GPU) for each in runs]
    if graphs:
        assert use_graphs(model, GPU)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    losses = []
    for number in range(5):
        found = accumulate(model, run, batches, number, GPU)
        losses.append(clip_and_read(model, found, 5.0))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        update_running_statistics(model)
    made = [len(module.forward.made) for module in model.modules() if "forward" in vars(module)]
    return losses, {name: tensor.cpu() for name, tensor in model.state_dict().items()}, made


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_graphs_train_what_plain_steps_train(network, precision):
    run = small_run(LOW_RANK, **NETWORKS[network])
    run = run.model_copy(update={"train": run.train.model_copy(update={"precision": precision})})
    with arithmetic("float32"), warnings.catch_warnings():
        warnings.filterwarnings("error", message="no CUDA graph")
        (losses, state, made), (expected, expected_state, _) = (several_steps(run, each) for each in (True, False))
    assert made and all(made)
    tolerance = 1e-4 if precision == "float32" else 3e-2
    for (found, norm), (plain, plain_norm) in zip(losses, expected, strict=True):
        assert found == pytest.approx(plain, rel=tolerance)
        assert norm == pytest.approx(plain_norm, rel=10 * tolerance)
    if precision == "float32":
        for name, tensor in expected_state.items():
            if not name.endswith(NO_EFFECT):
                difference = float((state[name].double() - tensor.double()).abs().max())
                assert difference <= 1e-3 + 1e-2 * float(tensor.abs().max()), f"{name}: {difference:.1e}"


def test_graphs_draw_other_dropout_in_each_step_and_the_same_one_again():
    run = small_run(dropout=0.3)
    first, again = (several_steps(run, True)[0] for _ in range(2))
    for (losses, norm), (expected, expected_norm) in zip(first, again, strict=True):
        assert losses == pytest.approx(expected, rel=1e-5) and norm == pytest.approx(expected_norm, rel=1e-4)
    model = build_model(run, 11)[0].to(GPU).train()
    use_graphs(model, GPU)
    x = torch.randn(8, 16, 16, device=GPU, requires_grad=True)
    mask = torch.zeros(8, 16, dtype=torch.bool, device=GPU)
    outputs = []
    for seed in (0, 0, 1, 2, 1):
        torch.manual_seed(seed)
        outputs.append(model.encoder(x, mask).detach().clone())
    assert not torch.equal(outputs[2], outputs[3]) and torch.equal(outputs[2], outputs[4])
    assert torch.equal(outputs[0], outputs[1])  # the first was no graph yet


def test_a_step_that_cannot_be_recorded_goes_on_without_graphs():
    """A wait for the device ends a recording in the middle, when the random numbers of dropout have already changed."""
    run = small_run(dropout=0.3)
    model = build_model(run, 11)[0].to(GPU).train()
    use_graphs(model, GPU)
    model.encoder.blocks[-1].register_forward_pre_hook(
        lambda _, inputs: inputs[0].sum().item() if torch.cuda.is_current_stream_capturing() else None
    )
    x, mask = torch.randn(8, 16, 16, device=GPU), torch.zeros(8, 16, dtype=torch.bool, device=GPU)
    model.encoder(x, mask)
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="no CUDA graph can be made here"):
        first = model.encoder(x, mask).detach()
    second = model.encoder(x, mask).detach()
    torch.manual_seed(0)
    assert torch.equal(model.encoder(x, mask), first) and not torch.equal(first, second)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    reserved = torch.cuda.memory_reserved()
    torch.empty(2**28, dtype=torch.uint8, device=GPU)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= reserved  # the allocator still gives memory back


def test_graphs_of_further_shapes_take_little_more_memory():
    """They share a pool: only what goes in and out is each one's own."""
    encoder = build_model(preset_run("demo-asr"), SIZE)[0].to(GPU).train().encoder
    use_graphs(encoder, GPU)
    held = []
    for frames in (1024, 1008, 992):
        for _ in range(2):
            x = torch.randn(8, frames, preset_run("demo-asr").model.dim, device=GPU, requires_grad=True)
            encoder(x, torch.zeros(8, frames, dtype=torch.bool, device=GPU)).sum().backward()
        del x
        torch.cuda.empty_cache()
        held.append(torch.cuda.memory_reserved())
    assert len(encoder.forward.made) == 3
    assert held[2] - held[0] < 0.25 * held[0]


def test_after_a_run_with_graphs_the_next_one_begins_with_as_much_memory():
    forget_peak_memory(GPU)
    before = torch.cuda.memory_allocated(GPU)
    several_steps(small_run(dropout=0.3), True)
    forget_peak_memory(GPU)
    assert torch.cuda.memory_allocated(GPU) - before < 2**20  # PyTorch keeps a few numbers
    assert peak_memory_mb(GPU) == torch.cuda.memory_allocated(GPU) / 2**20


def test_the_peak_of_a_step_time_is_its_own():
    """Though the process measured a larger network before."""
    large, small = (step_time(run, run, GPU, 0.0) for run in (preset_run("demo-asr"), small_run()))
    assert small["peak_memory_mb"] < 0.5 * large["peak_memory_mb"]


@pytest.mark.parametrize("preset", ["demo-asr", "demo-avsr", "mini-asr"])
def test_a_step_takes_no_more_memory_than_is_stated(preset):
    run = preset_run(preset)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(GPU)
    before = torch.cuda.memory_allocated(GPU)
    step = TrainingStep(run, GPU)
    for _ in range(2):
        step()
    torch.cuda.synchronize()
    assert (torch.cuda.max_memory_allocated(GPU) - before) / 2**20 < device_memory_mb(run)
