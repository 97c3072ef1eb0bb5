"""Groups padded to a few shapes: padding is in no loss, gradient or statistic, and the shapes are bounded."""

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, lived_in, small_inputs, small_run, small_video
from tape import record, use_tapes
from torch import Tensor, nn

from lrsms.methods.build import build_model
from lrsms.models.conformer import ConformerEncoder
from lrsms.models.decoder import Decoder
from lrsms.models.norm import group_statistics, update_running_statistics
from lrsms.models.recognizer import Recognizer
from lrsms.training import graphs
from lrsms.training.graph_memory import Shared
from lrsms.training.graphs import Captured, Graphed, Padding, use_graphs, without_graphs

CPU = torch.device("cpu")
LENGTHS = torch.tensor([23, 17, 9])
TOKENS = torch.tensor([[1, 2, 3, 4, 5], [3, 3, 2, 0, 0], [7, 0, 0, 0, 0]])
TOKEN_LENGTHS = torch.tensor([5, 3, 1])
NETWORKS = {"features": {}, "waves": {"frontend": "wave", "mels": None}, "video": VISUAL, "both": AUDIOVISUAL}
LOW_RANK = {"targets": ["encoder.*"], "ratio": 0.5}


class Plain:
    """In place of graphs: the module itself, at the padded shape."""

    made: ClassVar[list[tuple[tuple[int, ...], ...]]] = []

    def __init__(self, module, paddings, inputs, shared: Shared) -> None:
        self.forward, self.paddings = module.forward, paddings
        self.made.append(tuple(padding.shape(x) for padding, x in zip(paddings, inputs, strict=True)))

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        padded = []
        for padding, x in zip(self.paddings, inputs, strict=True):
            rows, columns = (large - small for large, small in zip(padding.shape(x)[:2], x.shape[:2], strict=True))
            x = torch.cat([x, x.new_full((x.shape[0], columns, *x.shape[2:]), padding.fill)], 1)
            padded.append(torch.cat([x, x.new_full((rows, *x.shape[1:]), padding.fill)]))
        return self.forward(*padded)


def padded(model: nn.Module) -> None:
    """As ``use_graphs``, on a CPU; a shape is made at once."""
    for module in model.modules():
        if isinstance(module, ConformerEncoder | Decoder):
            module.forward = Graphed(module, Plain)
            module.forward._seen = Everything()


class Everything(set):
    """Every shape has been seen."""

    def __contains__(self, key: object) -> bool:
        return True


GROUPS = ((3, 23), (2, 30), (3, 9))
"""Utterances and frames: two of one padded shape, and another."""


def trained(run, graphed: bool, groups=GROUPS, tokens: int = 5) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and weights of a few steps."""
    model = lived_in(build_model(run, SIZE)[0]).train()
    if graphed:
        for module in model.modules():
            if isinstance(module, ConformerEncoder | Decoder):
                module.forward = Graphed(module, Captured)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    losses = []
    for seed in range(3):
        for rows, frames in groups:
            torch.manual_seed(seed)
            heard = seen = None
            if "audio" in run.model.modalities:
                heard = small_inputs(run.model.frontend, rows, frames)
            if "video" in run.model.modalities:
                seen = small_video(rows, frames)
            lengths = torch.linspace(frames, frames // 2 + 3, rows).long()
            transcripts = torch.arange(rows * tokens).view(rows, tokens) % (SIZE - 2) + 1
            token_lengths = torch.linspace(tokens, 1, rows).long()
            loss = model(heard, seen, lengths, transcripts, token_lengths, 0.1).joint(0.3)
            loss.backward()
            losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        update_running_statistics(model)
    if graphed:
        made = [
            step for module in model.modules() if "forward" in vars(module) for step in module.forward.made.values()
        ]
        assert made and all(tape.replays > 1 for captured in made for tape in captured._graphs)
    return losses, model.state_dict()


@pytest.mark.parametrize(
    "network", ["features", *(pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS if name != "features")]
)
@pytest.mark.parametrize("lowrank", [LOW_RANK, pytest.param(None, marks=pytest.mark.slow)], ids=["low rank", "dense"])
def test_recorded_steps_train_what_plain_ones_do(network, lowrank, monkeypatch):
    """Gradients add up over groups, of graphs and not; what is recorded leaves no trace in statistics."""
    use_tapes(monkeypatch)
    run = small_run(lowrank, **NETWORKS[network])
    (losses, state), (expected, expected_state) = (trained(run, graphed) for graphed in (True, False))
    assert losses == pytest.approx(expected, rel=1e-12)
    for name, value in expected_state.items():
        torch.testing.assert_close(state[name], value, rtol=1e-10, atol=1e-12, msg=name)


def test_at_a_shape_that_needs_no_padding_dropout_draws_what_it_draws_without_graphs(monkeypatch):
    """To the bit: neither to record nor to replay draws anything more."""
    use_tapes(monkeypatch)
    run = small_run(dropout=0.3)
    (losses, state), (expected, expected_state) = (trained(run, each, ((8, 32),), 7) for each in (True, False))
    assert losses == expected
    assert all(torch.equal(state[name], value) for name, value in expected_state.items())


def step(model: Recognizer, run, dtype: torch.dtype) -> dict[str, Tensor]:
    """Losses, gradients and statistics of a group."""
    heard = seen = None
    if "audio" in run.model.modalities:
        heard = small_inputs(run.model.frontend, 3, 23).to(dtype)
    if "video" in run.model.modalities:
        seen = small_video(3, 23).to(dtype)
    losses = model(heard, seen, LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1)
    losses.joint(0.3).backward()
    found = {"ctc": losses.ctc.detach(), "attention": losses.attention.detach()}
    found |= {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return found | {f"statistics {n}": total for n, total in enumerate(group_statistics(model))}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["64", "32"])
@pytest.mark.parametrize("lowrank", [None, LOW_RANK], ids=["dense", "low rank"])
@pytest.mark.parametrize("network", NETWORKS)
def test_padding_to_a_shape_is_in_no_loss_gradient_or_statistic(network, lowrank, dtype, tolerance):
    run = small_run(lowrank, **NETWORKS[network])
    results = []
    for change in (lambda model: None, padded):
        model = lived_in(build_model(run, SIZE)[0]).to(dtype).train()
        change(model)
        results.append(step(model, run, dtype))
    expected, found = results
    assert set(found) == set(expected)
    scale = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance * scale, msg=name)


def test_shapes_are_multiples_and_what_is_added_is_padding():
    padding = Padding((8, 16), True)
    mask = torch.zeros(3, 23, dtype=torch.bool)
    assert padding.shape(mask) == (8, 32) and padding.shape(torch.zeros(8, 16, 5)) == (8, 16, 5)
    into = torch.zeros(8, 32, dtype=torch.bool)
    padding.write(into, mask)
    assert not into[:3, :23].any() and into[3:].all() and into[:3, 23:].all()


def test_a_shape_is_recorded_when_it_comes_again_and_no_more_than_so_many(monkeypatch):
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    encoder = build_model(small_run(), SIZE)[0].train().encoder
    graphed = encoder.forward = Graphed(encoder, Plain)
    Plain.made.clear()

    def pass_through(frames: int) -> None:
        encoder(torch.randn(2, frames, 16, requires_grad=True), torch.zeros(2, frames, dtype=torch.bool))

    for frames in (5, 16, 20, 30, 40, 41):  # two of each shape
        pass_through(frames)
    assert [shapes[0] for shapes in Plain.made] == [(8, 16, 16), (8, 32, 16)]
    assert len(graphed.made) == 2
    with torch.no_grad():
        pass_through(40)
    encoder.eval()
    pass_through(12)
    assert len(graphed.made) == 2


def test_what_cannot_be_recorded_runs_as_ever_with_one_line():
    def refuses(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    encoder = build_model(small_run(), SIZE)[0].train().encoder
    x, mask = torch.randn(2, 9, 16, requires_grad=True), torch.zeros(2, 9, dtype=torch.bool)
    plain = encoder(x, mask)
    encoder.forward = Graphed(encoder, refuses)
    encoder(x, mask)
    with pytest.warns(UserWarning, match=r"^no CUDA graph can be made here \(operation not .* capturing\); going on"):
        assert torch.equal(encoder(x, mask), plain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(encoder(x, mask), plain)


def recorded(frames: Sequence[int]) -> ConformerEncoder:
    """An encoder with graphs, after two groups of each of so many frames."""
    encoder = build_model(small_run(), SIZE)[0].train().encoder
    encoder.forward = Graphed(encoder, Captured)
    for each in frames:
        for _ in range(2):
            encoder(torch.randn(2, each, 16, requires_grad=True), torch.zeros(2, each, dtype=torch.bool))
    return encoder


def test_all_graphs_of_a_module_are_recorded_on_one_stream(monkeypatch):
    """PyTorch's allocator gives a pool's memory again only to the stream that had it."""
    use_tapes(monkeypatch)
    noted = []
    monkeypatch.setattr(torch.cuda, "graph", lambda tape, **given: noted.append(given["stream"]) or record(tape))
    recorded((16, 32))
    assert len(noted) == 4 and len(set(noted)) == 1
    recorded((16,))
    assert noted[-1] != noted[0]


def test_after_a_recording_that_fails_work_goes_on_on_the_stream_of_before(monkeypatch):
    """PyTorch does not leave the stream of a recording whose end fails (``torch.cuda.graph.__exit__``)."""
    use_tapes(monkeypatch)
    before = torch.cuda.Stream()
    current = [before]

    @contextmanager
    def on(stream):
        outer, current[0] = current[0], stream
        try:
            yield
        finally:
            current[0] = outer

    @contextmanager
    def fails(tape, stream, **_):
        current[0] = stream
        yield
        raise RuntimeError("operation failed due to a previous error during capture")

    for name, stand_in in {"current_stream": lambda: current[0], "stream": on, "graph": fails}.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    with pytest.warns(UserWarning, match="no CUDA graph can be made here"):
        recorded((16,))
    assert current == [before]


def test_without_a_gpu_there_are_no_graphs_and_one_line_says_so():
    model = build_model(small_run(), SIZE)[0]
    with pytest.warns(UserWarning, match="need a CUDA device; going on without"):
        assert not use_graphs(model, CPU)
    assert not any("forward" in vars(module) for module in model.modules())


def test_graphs_can_be_taken_away():
    model = build_model(small_run(), SIZE)[0]
    padded(model)
    without_graphs(model)
    assert not any("forward" in vars(module) for module in model.modules())


def test_gradients_stay_where_a_graph_adds_to_them():
    """Also where the optimizer forgot them, or a group that was no graph's came before."""
    linear = nn.Linear(2, 1)
    shared = Shared.of(linear)
    linear.weight.grad, linear.bias.grad = None, torch.ones(1)
    shared.gradients[0].fill_(7)
    shared.attach()
    assert linear.weight.grad is shared.gradients[0] and not linear.weight.grad.any()
    assert linear.bias.grad is shared.gradients[1] and linear.bias.grad.item() == 1
    linear.bias.grad += 1
    shared.attach()
    assert linear.bias.grad.item() == 2
