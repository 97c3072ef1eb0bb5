"""A trained network that is cut: its training is the dense run's, and nothing but its matrices changes."""

import nano
import pytest
import torch
from endings import Killed, killed_after, lines, outcome, same_result
from safetensors.torch import load_file
from small import AUDIOVISUAL, SIZE, VISUAL, small_run

from lrsms.cost.counts import multiply_adds_per_step
from lrsms.cost.memory import device_memory_mb
from lrsms.cost.steptime import TrainingStep, step_time
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.decoding.decode import decode
from lrsms.methods.build import build_model, build_structure
from lrsms.methods.closed_form import plan_of
from lrsms.methods.factorize import dense_weight
from lrsms.methods.operations import multiply_adds_per_second, plan_summary
from lrsms.models.recognizer import Recognizer
from lrsms.record.start import Start
from lrsms.training.cut import cut_by_outputs
from lrsms.training.loop import train
from lrsms.use.start import write_start

CPU = torch.device("cpu")
FIELDS = nano.SPECTRAL | {"lowrank__method__name": "truncated"}
BY = pytest.mark.parametrize("by", [None, "outputs"], ids=["by_matrix", "by_outputs"])


@pytest.fixture(scope="module")
def make_truncated(make_run):
    return lambda task="asr", **fields: make_run(task, **FIELDS | fields)


@pytest.fixture(scope="module")
def whole(train_once, make_truncated):
    """The folder of a finished run, by how it is cut; not to be changed."""
    return {by: train_once(make_truncated(lowrank__cut_by=by)) for by in (None, "outputs")}


def ended(run, folder, size):
    """The network that a run has left, in double precision."""
    model, plan = build_model(run, size, None)
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    return model.double(), [matrix for matrix in plan if matrix.rank is not None]


@BY
def test_every_step_is_that_of_the_dense_run_and_the_other_weights_end_as_its(whole, trained, by):
    assert lines(whole[by] / "metrics.jsonl") == lines(trained / "metrics.jsonl")
    dense, cut = (load_file(folder / "weights.safetensors") for folder in (trained, whole[by]))
    kept = set(dense) & set(cut)
    assert all(torch.equal(dense[name], cut[name]) for name in kept)
    factors = {f"{name.removesuffix('.weight')}.{part}" for name in set(dense) - kept for part in ("u", "vt")}
    assert factors and set(cut) - kept == factors


def test_each_matrix_is_the_nearest_product_of_its_rank(whole, trained, make_truncated, prepared):
    """The distance is the root of the sum of squares of the singular values that are left out (Eckart and Young)."""
    run = make_truncated()
    dense = load_file(trained / "weights.safetensors")
    model, chosen = ended(run, whole[None], prepared.tokenizer.size)
    for matrix in chosen:
        weight = dense[f"{matrix.name}.weight"].double()
        left_out = torch.linalg.svdvals(weight)[matrix.rank :]
        distance = (weight - model.get_submodule(matrix.name).product()).detach().norm()
        assert float(distance) == pytest.approx(float(left_out.norm()), rel=1e-5)


def test_by_outputs_each_matrix_is_the_one_that_cut_by_outputs_finds(whole, trained, make_truncated, prepared):
    run = make_truncated(lowrank__cut_by="outputs")
    dense = load_file(trained / "weights.safetensors")
    found = Recognizer(run.model, prepared.tokenizer.size)
    found.load_state_dict(cut_by_outputs(run, dense, prepared))
    model, chosen = ended(run, whole["outputs"], prepared.tokenizer.size)
    for matrix in chosen:
        product = model.get_submodule(matrix.name).product()
        torch.testing.assert_close(product, dense_weight(found.get_submodule(matrix.name)).double(), rtol=0, atol=1e-6)
        nearest = load_file(whole[None] / "weights.safetensors")
        other = nearest[f"{matrix.name}.u"].double() @ nearest[f"{matrix.name}.vt"].double()
        assert (product - other).norm() > 1e-4 * other.norm()


def test_at_full_rank_nothing_is_lost(train_once, trained, make_truncated, prepared):
    run = make_truncated(lowrank__ratio=1.0)
    model, chosen = ended(run, train_once(run), prepared.tokenizer.size)
    dense = load_file(trained / "weights.safetensors")
    for matrix in chosen:
        product, weight = model.get_submodule(matrix.name).product(), dense[f"{matrix.name}.weight"].double()
        torch.testing.assert_close(product, weight, rtol=0, atol=1e-6)


@BY
def test_a_dense_run_that_is_imported_and_cut_without_a_step_is_the_same(
    whole, trained, make_lowrank, make_folder, prepared, corpora, tmp_path, by
):
    write_start(trained, tmp_path / "mine", None, None, corpora)
    as_it_is = {"train__steps": 0, "train__snapshots": 1, "train__average": 1}
    run = make_lowrank(init_from=Start.read(tmp_path / "mine").digits, lowrank__cut_by=by, **as_it_is)
    folder = make_folder(run)
    train(run, prepared, folder, CPU, starts=tmp_path)
    imported, cut = (load_file(each / "weights.safetensors") for each in (folder, whole[by]))
    assert set(imported) == set(cut)
    for name in (name.removesuffix(".u") for name in cut if name.endswith(".u")):
        products = [each[f"{name}.u"].double() @ each[f"{name}.vt"].double() for each in (imported, cut)]
        torch.testing.assert_close(*products, rtol=0, atol=1e-6)


@BY
def test_killed_after_its_last_step_it_is_cut_to_the_same_bits_and_decoded(
    whole, make_truncated, make_folder, prepared, decoding, monkeypatch, by
):
    run = make_truncated(lowrank__cut_by=by)
    folder = make_folder(run)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("lrsms.training.weights.finished", lambda *_: (_ for _ in ()).throw(Killed))
        train(run, prepared, folder, CPU, checkpoint_seconds=0)
    train(run, prepared, folder, CPU)
    assert outcome(folder)["resumed_at"] == run.train.steps
    assert same_result(folder, whole[by])
    decode(run, prepared, folder, folder / "hypotheses.jsonl", decoding, CPU)
    assert (folder / "hypotheses.jsonl").stat().st_size > 0


def test_interrupted_before_it_goes_on_to_the_same_bits(whole, make_truncated, make_folder, prepared, monkeypatch):
    folder = make_folder(make_truncated())
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 5)
        train(make_truncated(), prepared, folder, CPU, checkpoint_seconds=0)
    train(make_truncated(), prepared, folder, CPU)
    assert same_result(folder, whole[None])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["vsr", "avsr"])
def test_what_a_network_that_sees_says_of_speech_is_cut_too(make_truncated, make_folder, tmp_path, task):
    run = make_truncated(task, lowrank__cut_by="outputs")
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, tmp_path / run.prepared)
    prepared, folder = Prepared(tmp_path / run.prepared), make_folder(run)
    train(run, prepared, folder, CPU)
    model, chosen = ended(run, folder, prepared.tokenizer.size)
    assert chosen and all(model.get_submodule(matrix.name).u.shape[1] == matrix.rank for matrix in chosen)


@pytest.mark.parametrize("model", [{}, VISUAL, AUDIOVISUAL], ids=["asr", "vsr", "avsr"])
def test_it_is_as_small_as_low_rank_and_costs_what_dense_training_costs(model):
    lowrank = {"targets": ["encoder.attention", "encoder.feedforward"], "ratio": 0.25}
    plain, cut, dense = (
        small_run(each, **model) for each in (lowrank, lowrank | {"method": {"name": "truncated"}}, None)
    )
    assert plan_of(cut, SIZE) == plan_of(plain, SIZE) == plan_summary(*build_structure(cut, SIZE))
    macs = [multiply_adds_per_second(run, build_structure(run, SIZE)[0], 50, 8) for run in (plain, cut, dense)]
    assert macs[0] == macs[1] < macs[2]
    assert multiply_adds_per_step(cut) == multiply_adds_per_step(dense) > multiply_adds_per_step(plain)
    assert device_memory_mb(cut) == device_memory_mb(dense)


def test_its_step_time_is_that_of_the_network_it_trains_and_its_size_that_of_the_one_it_leaves():
    lowrank = {"targets": ["encoder.attention", "encoder.feedforward"], "ratio": 0.25}
    cut, dense = small_run(lowrank | {"method": {"name": "truncated"}}), small_run()
    sizes = [sum(p.numel() for p in TrainingStep(run, CPU).model.parameters()) for run in (cut, dense)]
    assert sizes[0] == sizes[1]
    measured = step_time(cut, dense, CPU, seconds=0)
    assert measured["ceiling"] == {"multiply_adds": 1.0, "bytes": 1.0}
    decoded, _ = build_structure(cut, TrainingStep(cut, CPU).size)
    assert measured["parameters"] == sum(p.numel() for p in decoded.parameters()) < sizes[0]
    assert "phases" not in measured


def test_how_it_is_cut_is_another_run_and_random_factors_are_refused(make_truncated, make_lowrank):
    runs = (make_lowrank(), make_truncated(), make_truncated(lowrank__cut_by="outputs"))
    assert len({run.digest for run in runs}) == 3
    with pytest.raises(
        ValueError, match=r"'random', but method 'truncated' takes its factors from the trained"
    ) as error:
        make_truncated(lowrank__init="random")
    assert "\n" not in str(error.value)
