"""Facts about imported checkpoints of Auto-AVSR: ours computes the same, all tensors are used, misfits are named.

The reference is a network written apart, from the published structure (``tests/support/auto_avsr_network.py``).
"""

import collections
import json

import pytest
import torch
from auto_avsr_network import Network
from safetensors.torch import load_file

from lrsms.models.recognizer import Recognizer
from lrsms.record.start import Start
from lrsms.use.start import write_start

LAYOUTS = [("asr", "main"), ("vsr", "main"), ("asr", "tag"), ("vsr", "tag"), ("avsr", "tag")]
FRAMES = 7


SLOW = [pytest.param(*pair, marks=pytest.mark.slow) if pair[0] == "vsr" else pair for pair in LAYOUTS]


def save(network_or_weights, path):
    published = getattr(network_or_weights, "published", None)
    torch.save(published() if published else network_or_weights, path)
    return path


def imported(path, folder, task, tokenizer=None):
    return write_start(path, folder, task, tokenizer, corpora=folder)


def network_of(start: Start):
    network = Recognizer(start.about.model, start.about.vocabulary)
    network.load_state_dict(load_file(start.weights))
    return network.double().eval()


def inputs(task):
    generator = torch.Generator().manual_seed(5)
    waves = torch.randn(1, 640 * FRAMES, generator=generator, dtype=torch.float64)
    pictures = torch.randn(1, FRAMES, 44, 44, generator=generator, dtype=torch.float64)
    return None if task == "vsr" else waves, None if task == "asr" else pictures


@pytest.mark.parametrize(("task", "layout"), LAYOUTS)
def test_the_imported_network_computes_the_same(task, layout, tmp_path):
    theirs = Network(task, layout)
    ours = network_of(imported(save(theirs, tmp_path / "model.pth"), tmp_path / "start", task))
    waves, pictures = inputs(task)
    tokens = torch.tensor([[12, 3, 3, 9, 1]])
    expected = theirs(waves, pictures, tokens)
    with torch.no_grad():
        memory, mask = ours.encode(waves, pictures, torch.tensor([FRAMES]))
        found = memory, ours.ctc_log_probs(memory), ours.decoder(tokens, memory, mask)
    for mine, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, reference, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("task", "layout"), SLOW)
def test_every_tensor_matters(task, layout, tmp_path):
    """Each of theirs reaches the file: one that is changed changes it."""
    weights = Network(task, layout).published()
    before = load_file(imported(save(weights, tmp_path / "a.pth"), tmp_path / "a", task).weights)
    changed = {name: tensor + 1 for name, tensor in weights.items()}
    after = load_file(imported(save(changed, tmp_path / "b.pth"), tmp_path / "b", task).weights)
    assert all(torch.equal(after[name], before[name] + 1) for name in before)
    counters = sum(name.endswith("num_batches_tracked") for name in weights)
    assert len(before) == len(weights) - counters
    numbers = sum(tensor.numel() for name, tensor in weights.items() if not name.endswith("num_batches_tracked"))
    assert sum(tensor.numel() for tensor in before.values()) == numbers


def test_a_checkpoint_of_lightning_is_read_too(tmp_path):
    weights = Network("asr", "main").published()
    plain = imported(save(weights, tmp_path / "a.pth"), tmp_path / "a", "asr")
    inside = {"epoch": 3, "state_dict": {f"model.{name}": tensor for name, tensor in weights.items()}}
    assert (
        imported(save(inside, tmp_path / "b.ckpt"), tmp_path / "b", "asr").about.weights_hash
        == plain.about.weights_hash
    )


def test_what_the_start_says_is_what_it_is(tmp_path):
    start = imported(save(Network("avsr", "tag"), tmp_path / "model.pth"), tmp_path / "start", "avsr")
    content = json.loads((tmp_path / "start/start.json").read_text())
    assert content["model"] == {
        **{"frontend": "wave", "channels": 2, "video_channels": 2, "fusion": 20, "dim": 16, "heads": 4},
        **{"feedforward": 24, "layers": 2, "kernel": 5, "decoder_layers": 2, "dropout": 0.1, "initialiser": "default"},
    }
    assert content["task"] == "avsr" and content["vocabulary"] == 13
    assert content["parameters"] == sum(p.numel() for p in Recognizer(start.about.model, 13).parameters())
    assert content["source"]["name"] == "model.pth" and str(tmp_path) not in json.dumps(content)


def refused(path, folder, task="asr", tokenizer=None):
    """The line by which a checkpoint is refused; nothing is left of the folder."""
    with pytest.raises(ValueError) as caught:
        imported(path, folder, task, tokenizer)
    line = str(caught.value)
    assert "\n" not in line
    assert not folder.exists() and not list(folder.parent.glob(".*.part"))
    return line


KEY = "encoder.encoders.1.feed_forward.w_1.weight"
WRONG = {
    "missing": (lambda w: w.pop(KEY), "'encoder.blocks.1.feedforward_out.expand.weight' is missing"),
    "left over": (
        lambda w: w.update({"frontend.trunk.relu.weight": torch.ones(2)}),
        "key 'frontend.trunk.relu.weight' has no place in a network of task 'asr'",
    ),
    "shape": (lambda w: w.update({KEY: torch.ones(24, 17)}), f"'{KEY}' is 24 x 17, the network's is 24 x 16"),
    "not finite": (lambda w: w[KEY].view(-1)[3:4].fill_(float("nan")), f"'{KEY}' has values that are not finite"),
    "numbers": (lambda w: w.update({KEY: torch.ones(24, 16, dtype=torch.long)}), f"key '{KEY}' holds torch.int64"),
    "twice": (
        lambda w: w.update({"encoder.embed.0.bias": torch.ones(16)}),
        "keys 'proj_encoder.bias' and 'encoder.embed.0.bias' are of the same tensor",
    ),
    "not pointwise": (
        lambda w: w.update({"encoder.encoders.0.conv_module.pointwise_cov2.weight": torch.ones(16, 16, 3)}),
        "not a pointwise convolution",
    ),
    "no head": (lambda w: [w.pop(f"ctc.ctc_lo.{part}") for part in ("weight", "bias")], "lacks 'ctc.ctc_lo.bias'"),
    "no tensor": (lambda w: w.update({"epoch": 3}), "key 'epoch' is no tensor"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_in_one_line(name, tmp_path):
    weights = dict(Network("asr", "main").published())
    change, line = WRONG[name]
    change(weights)
    path = save(weights, tmp_path / "model.pth")
    said = refused(path, tmp_path / "start")
    assert said.startswith(str(path)) and line in said


@pytest.mark.parametrize(
    ("of", "layout", "asked"), [("vsr", "main", "asr"), ("asr", "tag", "vsr"), ("avsr", "tag", "asr")]
)
def test_another_task_is_recognised(of, layout, asked, tmp_path):
    path = save(Network(of, layout), tmp_path / "model.pth")
    assert f"--task {of}" in refused(path, tmp_path / "start", asked)


class Bomb:
    """What a pickle can do to who loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"state_dict": {}, "bomb": Bomb(tmp_path / "exploded")}, tmp_path / "model.pth")
    assert "holds more than weights" in refused(tmp_path / "model.pth", tmp_path / "start")
    assert not (tmp_path / "exploded").exists()


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    (tmp_path / "text.pth").write_text("weights")
    assert "cannot be read as a checkpoint" in refused(tmp_path / "text.pth", tmp_path / "start")
    (tmp_path / "empty.pth").write_bytes(b"")
    assert "cannot be read as a checkpoint" in refused(tmp_path / "empty.pth", tmp_path / "start")
    assert "is not there" in refused(tmp_path / "absent.pth", tmp_path / "start")
    torch.save(collections.OrderedDict(), tmp_path / "none.pth")
    assert "holds no weights by name" in refused(tmp_path / "none.pth", tmp_path / "start")
    path = save(Network("asr", "main"), tmp_path / "cut.pth")
    path.write_bytes(path.read_bytes()[:-1000])
    assert "cannot be read as a checkpoint" in refused(path, tmp_path / "start")


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    path = save(Network("asr", "main"), tmp_path / "model.pth")
    imported(path, tmp_path / "start", "asr")
    before = {file.name: file.read_bytes() for file in (tmp_path / "start").iterdir()}
    with pytest.raises(ValueError, match="is there already"):
        imported(path, tmp_path / "start", "asr")
    assert {file.name: file.read_bytes() for file in (tmp_path / "start").iterdir()} == before
