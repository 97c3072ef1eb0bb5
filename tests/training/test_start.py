"""Facts about runs that begin from trained weights: they begin as these, as factors of these, and from no others."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from endings import Killed, killed_after, lines, outcome, same_result
from safetensors.torch import load_file, save_file

from lrsms.__main__ import main
from lrsms.base.files import file_hash, write_json
from lrsms.data.prepared import Prepared
from lrsms.decoding.decode import decode
from lrsms.record import hypotheses
from lrsms.record.record import load_run, write_record
from lrsms.record.start import Start
from lrsms.report.validity.record import read as read_record
from lrsms.study.run import Run
from lrsms.training.loop import train
from lrsms.use.start import write_start

CPU = torch.device("cpu")
AS_IT_IS = {"train__steps": 0, "train__snapshots": 1, "train__average": 1}


@pytest.fixture
def own(starts, tmp_path):
    """A copy of that folder, which may be spoilt."""
    return Path(shutil.copytree(starts, tmp_path / "starts"))


def weights(folder):
    return load_file(folder / "weights.safetensors")


def test_an_own_run_is_a_start(trained, start, prepared):
    assert file_hash(start.weights) == start.about.weights_hash and start.digits == start.about.weights_hash[:16]
    assert all(torch.equal(tensor, weights(trained)[name]) for name, tensor in weights(start.folder).items())
    assert start.about.vocabulary == prepared.tokenizer.size and start.about.model == load_run(trained).model
    digits = file_hash(start.folder / "tokenizer.json")[:16]
    assert start.tokenizer_setting() == f"{{kind: given, pieces: {start.units}, sha256: '{digits}'}}"


def test_of_no_steps_a_dense_run_ends_as_it_began(make_run, make_folder, prepared, starts, start, decoding, tmp_path):
    run = make_run(init_from=start.digits, **AS_IT_IS)
    folder = make_folder(run)
    train(run, prepared, folder, CPU, starts=starts)
    assert all(torch.equal(tensor, weights(start.folder)[name]) for name, tensor in weights(folder).items())
    assert [set(row) for row in lines(folder / "metrics.jsonl")] == [{"step", "valid_loss", "valid_wer"}]
    ended = outcome(folder)
    assert (ended["status"], ended["steps"], ended["diverged_at"]) == ("finished", 0, None)
    assert ended["init_from"] == start.note() and ended["init_from"]["weights_hash"] == start.about.weights_hash
    decode(run, prepared, folder, tmp_path / "hypotheses.jsonl", decoding, CPU)
    record = tmp_path / "records" / folder.name
    write_record(folder, tmp_path / "hypotheses.jsonl", record / decoding.scores)
    found = read_record(record, run, decoding)  # where there is no start
    assert found is not None and found.curve is None and len(found.scores)


@pytest.mark.slow
def test_it_says_what_its_start_said(make_run, make_folder, prepared, starts, start, trained, tmp_path):
    from lrsms.study.decoding import Decoder, Decoding

    asked = Decoding(decoders={"greedy": Decoder(kind="greedy")}, conditions={"clean": {"split": "test"}})
    run = make_run(init_from=start.digits, **AS_IT_IS)
    folder = make_folder(run)
    train(run, prepared, folder, CPU, starts=starts)
    said = []
    for one in (trained, folder):
        decode(load_run(one), prepared, one, tmp_path / f"{one.name}.jsonl", asked, CPU)
        said.append([row["hypothesis"] for row in hypotheses.read(tmp_path / f"{one.name}.jsonl", one, outcome(one))])
    assert said[0] == said[1]


def test_of_no_steps_low_rank_is_the_truncated_svd(make_lowrank, make_folder, prepared, starts, start):
    run = make_lowrank(init_from=start.digits, **AS_IT_IS)
    folder = make_folder(run)
    train(run, prepared, folder, CPU, starts=starts)
    before, after = weights(start.folder), weights(folder)
    factors = {name.removesuffix(".u") for name in after if name.endswith(".u")}
    assert len(factors) == 2 * 9
    for name in factors:
        u, s, vt = torch.linalg.svd(before[f"{name}.weight"].double(), full_matrices=False)
        rank = after[f"{name}.u"].shape[1]
        assert rank == 8
        nearest = (u[:, :rank] * s[:rank]) @ vt[:rank]
        torch.testing.assert_close(
            after[f"{name}.u"].double() @ after[f"{name}.vt"].double(), nearest, atol=1e-6, rtol=0
        )
    kept = [name for name in after if name in before]
    assert len(kept) == len(before) - len(factors)
    assert all(torch.equal(after[name], before[name]) for name in kept)


@pytest.mark.slow
def test_training_goes_on_from_the_weights(make_run, make_folder, prepared, starts, start, trained):
    run = make_run(init_from=start.digits, train__lr=1e-9, train__warmup=0.0)
    folder = make_folder(run)
    train(run, prepared, folder, CPU, starts=starts)
    parameters = {name for name in weights(folder) if "running_" not in name}
    for name in parameters:
        torch.testing.assert_close(weights(folder)[name], weights(start.folder)[name], atol=1e-7, rtol=0)
    assert lines(folder / "metrics.jsonl")[0]["loss"] < lines(trained / "metrics.jsonl")[0]["loss"]


@pytest.mark.slow
def test_an_interrupted_run_needs_its_start_no_more(make_lowrank, make_folder, prepared, own, start, monkeypatch):
    run = make_lowrank(init_from=start.digits)
    whole, cut = make_folder(run), make_folder(run)
    train(run, prepared, whole, CPU, starts=own)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 5)
        train(run, prepared, cut, CPU, checkpoint_seconds=0.0, starts=own)
    shutil.rmtree(own)
    train(run, prepared, cut, CPU, starts=own)
    assert same_result(whole, cut)
    assert outcome(cut)["resumed_at"] == 5 and outcome(cut)["init_from"] == start.note()


def test_an_interrupted_run_of_no_steps_ends_the_same(make_run, make_folder, prepared, starts, start, monkeypatch):
    run = make_run(init_from=start.digits, **AS_IT_IS)
    whole, cut = make_folder(run), make_folder(run)
    train(run, prepared, whole, CPU, starts=starts)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("lrsms.training.loop.end", lambda *_: (_ for _ in ()).throw(Killed))
        train(run, prepared, cut, CPU, starts=starts)
    train(run, prepared, cut, CPU, starts=starts)
    assert same_result(whole, cut)


def refused(run, folder, prepared, starts):
    with pytest.raises(ValueError) as caught:
        train(run, prepared, folder, CPU, starts=starts)
    assert "\n" not in str(caught.value)
    assert not (folder / "run.json").exists() and not (folder / "weights.safetensors").exists()
    return str(caught.value)


def test_weights_that_are_missing_are_refused(make_run, make_folder, prepared, own, start):
    run = make_run(init_from="0123456789abcdef")
    assert "'init_from' is 0123456789abcdef, but no folder in" in refused(run, make_folder(run), prepared, own)
    run = make_run(init_from=start.digits)
    (own / "mine/weights.safetensors").unlink()
    assert "weights.safetensors: is missing" in refused(run, make_folder(run), prepared, own)


def test_weights_that_were_changed_are_refused(make_run, make_folder, prepared, own, start):
    run = make_run(init_from=start.digits)
    path = own / "mine/weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert f"{path}: was changed after it was imported" in refused(run, make_folder(run), prepared, own)


def test_weights_of_another_network_are_refused(make_run, make_folder, prepared, own, start):
    wider = make_run(init_from=start.digits, model__dim=18)
    assert "has 'model.dim' 16, but the run's has 18" in refused(wider, make_folder(wider), prepared, own)
    forged = weights(own / "mine")
    forged["encoder.norm.weight"] = forged["encoder.norm.weight"][:-1].clone()
    save_file(forged, own / "mine/weights.safetensors")
    content = json.loads((own / "mine/start.json").read_text())
    content["weights_hash"] = file_hash(own / "mine/weights.safetensors")
    write_json(own / "mine/start.json", content)
    run = make_run(init_from=content["weights_hash"][:16])
    line = refused(run, make_folder(run), prepared, own)
    assert line.startswith(f"{own / 'mine/weights.safetensors'}: 'encoder.norm.weight' is 15, the network's is 16")


def test_tokens_that_spell_something_else_are_refused(make_run, make_folder, prepared, own, start):
    run = make_run(init_from=start.digits)
    content = json.loads((own / "mine/tokenizer.json").read_text())
    content["characters"].reverse()
    (own / "mine/tokenizer.json").write_text(json.dumps(content))
    line = refused(run, make_folder(run), prepared, own)
    assert f"{own / 'mine/tokenizer.json'}: its token 1 spells" in line and "use tokenizer: {kind: given" in line


def test_another_number_of_units_is_refused(make_run, make_folder, prepared, own, start):
    content = json.loads((own / "mine/start.json").read_text())
    write_json(own / "mine/start.json", content | {"vocabulary": 99, "tokenizer": None})
    run = make_run(init_from=start.digits)
    line = refused(run, make_folder(run), prepared, own)
    assert "its network knows 97 units" in line and "--tokenizer" in line


def test_a_record_of_another_start_is_refused(make_run, make_folder, prepared, starts, start, decoding, tmp_path):
    run = make_run(init_from=start.digits, **AS_IT_IS)
    folder = make_folder(run)
    train(run, prepared, folder, CPU, starts=starts)
    decode(run, prepared, folder, tmp_path / "hypotheses.jsonl", decoding, CPU)
    record = tmp_path / "records" / folder.name
    write_record(folder, tmp_path / "hypotheses.jsonl", record / decoding.scores)
    good = json.loads((record / "run.json").read_text())
    other = good | {"init_from": {**good["init_from"], "weights_hash": "0" * 64}}
    none = {key: value for key, value in good.items() if key != "init_from"}
    for content, key in ((other, r"'init_from\.weights_hash' is"), (none, "'init_from' is missing")):
        (record / "run.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=key):
            read_record(record, run, decoding)


def test_a_corpus_is_prepared_with_the_given_tokenizer(start, starts, make_run, tmp_path):
    """And one's own tokens are then those of the start, on any corpus."""
    from lrsms.data.prepare import prepare

    setting = {"kind": "given", "pieces": start.about.vocabulary - 2, "sha256": start.about.tokenizer.sha256[:16]}
    run = make_run(tokenizer=setting, init_from=start.digits, corpus__train=8, corpus__test=4, corpus__valid=2)
    folder = tmp_path / run.prepared
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, folder, starts=starts)
    assert (folder / "tokenizer.json").read_bytes() == (start.folder / "tokenizer.json").read_bytes()
    runs = tmp_path / f"run-{run.digest}"
    train(run, Prepared(folder), runs, CPU, starts=starts)
    assert outcome(runs)["status"] == "finished"
    wrong = run.tokenizer.model_copy(update={"pieces": 3})
    with pytest.raises(ValueError, match=r"'tokenizer\.pieces' is 3, but"):
        prepare(run.corpus, wrong, run.model.modalities, None, tmp_path / "other", starts=starts)
    absent = run.tokenizer.model_copy(update={"sha256": "0" * 16})
    with pytest.raises(ValueError, match=r"'tokenizer\.sha256' is 0000000000000000, but no folder in"):
        prepare(run.corpus, absent, run.model.modalities, None, tmp_path / "other", starts=starts)
    assert not (tmp_path / "other").exists()


def test_factors_are_multiplied_out(trained_lowrank, corpora, tmp_path):
    start = write_start(trained_lowrank, tmp_path / "start", None, None, corpora)
    factors, dense = weights(trained_lowrank), weights(start.folder)
    names = [name.removesuffix(".u") for name in factors if name.endswith(".u")]
    assert names and not any(name.endswith((".u", ".vt")) for name in dense)
    for name in names:
        product = factors[f"{name}.u"].double() @ factors[f"{name}.vt"].double()
        torch.testing.assert_close(dense[f"{name}.weight"].double(), product, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("merged", [False, True])
def test_an_export_is_the_same_start_as_its_run(trained_lowrank, corpora, decoding, tmp_path, merged):
    from lrsms.use.export import export
    from lrsms.use.trained import load

    folder = tmp_path / "exported"
    export(load(trained_lowrank, corpora, CPU), folder, Path("nowhere"), decoding, merged, onnx=False)
    of_export = write_start(folder, tmp_path / "a", "asr", None, corpora)
    assert of_export.digits == write_start(trained_lowrank, tmp_path / "b", None, None, corpora).digits


def test_the_verb_says_what_to_write_into_a_preset(trained, corpora, tmp_path, capsys):
    assert main(["import", str(trained), str(tmp_path / "start"), "--corpora", str(corpora)]) == 0
    start = Start.read(tmp_path / "start")
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == [f"init_from: '{start.digits}'", f"tokenizer: {start.tokenizer_setting()}"]
    assert main(["import", str(trained), str(tmp_path / "start"), "--corpora", str(corpora)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'start'}: is there already")
    assert main(["import", str(trained), str(tmp_path / "b"), "--corpora", str(corpora), "--task", "vsr"]) == 1
    assert "is of task 'asr'" in capsys.readouterr().err


def test_what_a_run_is_does_not_depend_on_where_its_start_lies(make_run, start):
    run = make_run(init_from=start.digits)
    assert isinstance(run, Run) and run.digest != make_run().digest
    assert run.digest == make_run(init_from=start.digits).digest
    assert "init_from" not in make_run().model_dump(mode="json", exclude_none=True)
