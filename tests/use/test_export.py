"""Facts about exported runs: they say the same without lrsms, and are there whole or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import nano
import pytest
import torch
import yaml
from safetensors.torch import load_file

from lrsms.__main__ import main
from lrsms.data.batch import Batch, collate, network_inputs
from lrsms.data.text import Unigram
from lrsms.decoding.ctc_search import greedy
from lrsms.record.record import load_run
from lrsms.study.run import Tokenizer
from lrsms.use.export import export, spelt
from lrsms.use.graph import Network, trace, weights_of
from lrsms.use.trained import load

ALONE = """
import sys
sys.modules["lrsms"] = None  # an import of it would fail
sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import load_file, save_file
from load import Network
given = load_file(sys.argv[2])
network = Network()
log_probs = network.log_probs((given["waves"],), given["lengths"])
print([network.text(row, int(length)) for row, length in zip(log_probs, given["lengths"])])
save_file({"log_probs": log_probs}, sys.argv[3])
assert not any(name.startswith("lrsms.") for name in sys.modules)
"""


@pytest.fixture(scope="module")
def batch(prepared):
    return collate(prepared, prepared.items("test")[:4])


@pytest.fixture(scope="module")
def exported(trained_lowrank, corpora, decoding, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "run"
    trained = load(trained_lowrank, corpora, torch.device("cpu"))
    export(trained, folder, Path("nowhere"), decoding, merged=False, onnx=False)
    return folder


@torch.no_grad()
def log_probs_of(model, batch, run):
    memory, _ = model.encode(*network_inputs(batch, run.model, torch.device("cpu")), batch.lengths)
    return model.ctc_log_probs(memory)


@pytest.mark.slow
def test_the_loader_finds_the_same_without_lrsms(exported, trained_lowrank, corpora, batch, prepared, tmp_path):
    from safetensors.torch import save_file

    save_file({"waves": batch.waves, "lengths": batch.lengths}, tmp_path / "given.safetensors")
    arguments = [exported, tmp_path / "given.safetensors", tmp_path / "found.safetensors"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    trained = load(trained_lowrank, corpora, torch.device("cpu"))
    expected = log_probs_of(trained.model, batch, trained.run)
    found = load_file(tmp_path / "found.safetensors")["log_probs"]
    for row, (length, item) in enumerate(zip(batch.lengths, batch.items, strict=True)):
        assert length == item.frames
        torch.testing.assert_close(found[row, :length], expected[row, :length], rtol=0, atol=1e-6)
    texts = [prepared.tokenizer.decode(tokens).strip() for tokens in greedy(expected, batch.lengths)]
    assert done.stdout.strip() == str(texts)


@pytest.mark.slow
def test_a_loader_is_short_and_imports_nothing_of_ours(exported):
    source = (exported / "load.py").read_text()
    assert len(source.splitlines()) <= 60 and "lrsms" not in source


@pytest.mark.slow
def test_a_wav_file_is_read_from_the_command_line(exported, prepared, trained_lowrank, corpora, tmp_path):
    import soundfile

    item = prepared.items("test")[0]
    soundfile.write(tmp_path / "speech.wav", prepared.wave(item), 16_000, subtype="PCM_16")
    command = [sys.executable, "-I", str(exported / "load.py"), str(tmp_path / "speech.wav")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trained = load(trained_lowrank, corpora, torch.device("cpu"))
    one = collate(prepared, [item])
    (tokens,) = greedy(log_probs_of(trained.model, one, trained.run), one.lengths)
    assert done.stdout.strip() == prepared.tokenizer.decode(tokens).strip()


@pytest.mark.slow
def test_weights_are_those_of_the_run(exported, trained_lowrank):
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (trained_lowrank, exported))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_merged_weights_are_dense_and_say_the_same(trained_lowrank, corpora, batch):
    from lrsms.methods.factorize import merge

    trained = load(trained_lowrank, corpora, torch.device("cpu"))
    expected = log_probs_of(trained.model, batch, trained.run)
    merge(trained.model)
    assert not any(name.endswith((".u", ".vt")) for name in weights_of(trained.model))
    network = Network(trained.model, trained.run.model)
    found = network((batch.waves,), batch.lengths)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_page_begins_with_what_hubs_read(exported, trained_lowrank):
    _, head, page = (exported / "README.md").read_text().split("---\n", 2)
    content = yaml.safe_load(head)
    assert "license" not in content and "# license: yours to choose" in head
    assert content["datasets"] == ["few"] and content["metrics"] == ["wer"]
    assert content["pipeline_tag"] == "automatic-speech-recognition" and "low-rank" in content["tags"]
    parameters = json.loads((trained_lowrank / "plan.json").read_text())["parameters"]
    assert f"{parameters:,} parameters" in page
    assert "was not measured" in page


def test_error_rates_are_those_of_the_record(trained, prepared, decoding, tmp_path):
    from lrsms.decoding.decode import decode
    from lrsms.record.record import write_record
    from lrsms.record.score import read_scores
    from lrsms.use import card

    run, record = load_run(trained), tmp_path / trained.name
    decode(run, prepared, trained, tmp_path / "hypotheses.jsonl", decoding, torch.device("cpu"))
    write_record(trained, tmp_path / "hypotheses.jsonl", record / decoding.scores)
    measured = card.rates(record, run, decoding)
    assert [(rate.decoder, rate.condition) for rate in measured] == [("greedy", "clean"), ("beam", "clean")]
    table = read_scores(record / decoding.scores)
    for rate in measured:
        part = table[table["decoder"] == rate.decoder]
        edits = part[["substitutions", "deletions", "insertions"]].sum().sum()
        assert rate.value == edits / part["words"].sum()
        assert rate.interval.low <= rate.value <= rate.interval.high
        assert rate.utterances == len(part)
    page = card.write(run, trained.name, (10, 10), False, measured, False)
    results = yaml.safe_load(page.split("---\n")[1])["model-index"][0]["results"]
    assert results[0]["metrics"][0]["value"] == pytest.approx(100 * measured[0].value, abs=0.005)
    assert f"{100 * measured[1].value:.2f}%" in page


def test_pieces_spell_with_the_blanks_that_begin_words():
    texts = ["the cat sat on the mat", "the bat sat on the cat"] * 4
    tokenizer = Unigram.train(Tokenizer(kind="unigram", pieces=12), texts)
    tokens = spelt(tokenizer)
    assert len(tokens) == tokenizer.size and tokens[0] == tokens[-1] == ""
    for text in texts:
        assert "".join(tokens[token] for token in tokenizer.encode(text)).strip() == text


def arguments_of(folder, corpora, project, *others):
    options = ["--project", project, "--corpora", corpora]
    return [str(one) for one in ("export", *options, folder, *others)]


@pytest.fixture
def project(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(nano.PROJECT, sort_keys=False))
    return path


def test_what_is_there_is_not_written_over(trained, corpora, project, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    assert main(arguments_of(trained, corpora, project, tmp_path / "mine")) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "mine/file").read_text() == "mine"


def test_an_export_that_ends_half_way_leaves_nothing(trained, corpora, project, tmp_path, monkeypatch, capsys):
    """Also not what one that was killed left before."""
    left = tmp_path / ".new.part"
    left.mkdir()
    (left / "weights.safetensors").write_text("half")

    def fail(*_):
        raise OSError("no more")

    monkeypatch.setattr("lrsms.use.export.trace", fail)
    assert main(arguments_of(trained, corpora, project, tmp_path / "new")) == 1
    assert capsys.readouterr().err == "error: no more\n"
    assert not (tmp_path / "new").exists() and not left.exists()


def test_onnx_without_its_packages_says_what_to_install(trained, corpora, project, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(arguments_of(trained, corpora, project, tmp_path / "new", "--onnx")) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: --onnx: needs the package ") and "pip install 'lrsms[onnx]'" in err


@pytest.mark.slow
def test_a_graph_of_what_is_heard_and_seen_says_the_same_at_any_length(make_run):
    from lrsms.methods.build import build_model

    run = make_run("avsr")
    model, _ = build_model(run, 20)
    model.eval()
    generator = torch.Generator().manual_seed(1)
    frames, lengths = 21, torch.tensor([21, 14])
    video = torch.randint(256, (2, frames, 88, 88), generator=generator, dtype=torch.uint8)
    waves = 0.1 * torch.randn((2, 640 * frames), generator=generator)
    nothing = torch.zeros((2, 0), dtype=torch.int64)
    batch = Batch((), waves, video, lengths, nothing, torch.zeros(2, dtype=torch.int64))
    expected = log_probs_of(model, batch, run)
    network = Network(model, run.model).eval()
    weights = weights_of(model)
    found = trace(network, weights).module()(weights, (waves, video), lengths)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row, :length], expected[row, :length], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_onnx_says_the_same_at_any_length(trained_lowrank, corpora, batch, decoding, tmp_path):
    pytest.importorskip("onnxscript", reason="the onnx extra is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    trained = load(trained_lowrank, corpora, torch.device("cpu"))
    expected = log_probs_of(trained.model, batch, trained.run)
    export(trained, tmp_path / "run", Path("nowhere"), decoding, merged=False, onnx=True)
    session = runtime.InferenceSession(str(tmp_path / "run/network.onnx"))
    names = [given.name for given in session.get_inputs()]
    (found,) = session.run(None, dict(zip(names, (batch.waves.numpy(), batch.lengths.numpy()), strict=True)))
    for row, length in enumerate(batch.lengths):
        torch.testing.assert_close(torch.from_numpy(found[row, :length]), expected[row, :length], rtol=0, atol=1e-4)
