"""Factorising a whole model: exact at full rank, reversible, and blind to everything it was not asked to touch."""

from copy import deepcopy

import pytest
import torch
from small import SIZE, lived_in, small_inputs, small_recognizer, small_run

from lrsms.methods import factors
from lrsms.methods.build import build_model
from lrsms.methods.factorize import all_factors, factorize, merge
from lrsms.methods.init import INITS
from lrsms.methods.linear import LowRankLinear, LowRankQKV
from lrsms.methods.plan import Matrix, make_plan
from lrsms.models.recognizer import Recognizer
from lrsms.study.lowrank import LowRank

LENGTHS, TOKENS = torch.tensor([7, 4]), torch.tensor([[10, 3, 3], [10, 5, 1]])
FUSED = pytest.mark.parametrize("qkv", ["separate", "fused"])


def outputs(model: Recognizer) -> torch.Tensor:
    memory, mask = model.encode(small_inputs("logmel", 2, 7), None, LENGTHS)
    return torch.cat([model.ctc_log_probs(memory), model.decoder(TOKENS, memory, mask)], dim=1)


def factorized(dense: Recognizer, seed: int = 1, **lowrank) -> Recognizer:
    model = deepcopy(dense)
    settings = LowRank(**lowrank)
    factorize(model, make_plan(model, settings), settings.init, "default", seed)
    return model


@FUSED
@pytest.mark.parametrize("frontend", ["logmel", "wave"])
def test_a_spectral_model_of_full_rank_equals_the_dense_model(frontend, qkv):
    dense = small_recognizer(frontend)
    model = factorized(dense, targets=("*",), ratio=1.0, qkv=qkv)
    assert sum(isinstance(module, LowRankLinear) for module in model.modules()) > 40 - 10 * (qkv == "fused")
    memories = [m.encode(small_inputs(frontend, 2, 7), None, LENGTHS) for m in (model, dense)]
    torch.testing.assert_close(memories[0][0], memories[1][0], rtol=0, atol=1e-10)
    logits = [m.decoder(TOKENS, *memory) for m, memory in zip((model, dense), memories, strict=True)]
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=1e-10)


def test_factors_that_an_initialisation_cuts_out_of_a_larger_matrix_are_copied(monkeypatch):
    """Fused AdamW walks a parameter and its moments as if no memory lay between its rows."""
    monkeypatch.setitem(INITS, "sliced", lambda weight, rank, *_: (weight[:, :rank], weight[:rank]))
    model = factorized(small_recognizer(), targets=("encoder.*",), ratio=0.5, init="spectral")
    dense = small_recognizer()
    sliced = deepcopy(dense)
    plan = make_plan(sliced, LowRank(targets=("encoder.*",), ratio=0.5))
    factorize(sliced, plan, "sliced", "default", 1)
    for each in (model, sliced):
        for parameter in each.parameters():
            assert torch.empty_like(parameter).stride() == parameter.stride()
            assert parameter.untyped_storage().nbytes() == parameter.numel() * parameter.element_size()


@FUSED
@pytest.mark.parametrize("init", list(INITS))
def test_merge_undoes_factorize(init, qkv):
    """The same function, the same names and shapes as before; and another spectral factorisation loses nothing."""
    dense = small_recognizer()
    model = factorized(dense, targets=("encoder.*", "decoder.self_attention"), ratio=0.3, init=init, qkv=qkv)
    expected = outputs(model)
    assert (expected - outputs(dense)).abs().max() > 1e-3
    merge(model)
    assert not any(isinstance(module, LowRankLinear) for module in model.modules())
    shapes = [{name: value.shape for name, value in m.state_dict().items()} for m in (model, dense)]
    assert shapes[0] == shapes[1]
    torch.testing.assert_close(outputs(model), expected, rtol=0, atol=1e-10)
    again = factorized(model, targets=("encoder.*", "decoder.self_attention"), ratio=0.3, qkv=qkv)
    torch.testing.assert_close(outputs(again), expected, rtol=0, atol=1e-10)


def test_merged_weights_at_full_rank_are_the_dense_ones():
    dense = small_recognizer()
    model = factorized(dense, targets=("*",), ratio=1.0, qkv="fused")
    merge(model)
    for name, value in dense.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_the_error_of_every_matrix_is_its_discarded_singular_values(ratio):
    dense = small_recognizer()
    model = factorized(dense, targets=("*",), ratio=ratio)
    for name, module in model.named_modules():
        if isinstance(module, LowRankLinear):
            weight = dense.get_submodule(name).weight
            discarded = torch.linalg.svdvals(weight)[module.u.shape[1] :]
            assert (weight - module.product()).norm().item() == pytest.approx(discarded.norm().item(), abs=1e-12)


@FUSED
@pytest.mark.parametrize("init", list(INITS))
def test_untouched_weights_keep_their_bits_and_biases_stay(init, qkv):
    dense = build_model(small_run(), SIZE)[0].state_dict()
    targets = ["encoder.attention", "decoder.feedforward"]
    model = build_model(small_run({"targets": targets, "ratio": 0.5, "init": init, "qkv": qkv}), SIZE)[0].state_dict()
    kept = set(dense) & set(model)
    gone = {name for name in set(dense) - kept if not name.endswith("bias")}
    assert all(torch.equal(dense[name], model[name]) for name in kept)
    assert {name.rsplit(".", 1)[0] + ".vt" for name in gone if "qkv" not in name} <= set(model)
    for layer in range(3):
        parent = f"encoder.blocks.{layer}.attention.qkv"
        biases = torch.cat([dense[f"{parent}.{part}.bias"] for part in "qkv"])
        names = [f"{parent}.bias"] if qkv == "fused" else [f"{parent}.{part}.bias" for part in "qkv"]
        assert torch.equal(torch.cat([model[name] for name in names]), biases)


def test_fused_factors_share_one_vt():
    dense = small_recognizer()
    qkv = factorized(dense, targets=("encoder.attention",), ratio=0.5, qkv="fused").encoder.blocks[0].attention.qkv
    assert isinstance(qkv, LowRankQKV)
    assert qkv.u.shape == (48, 8) and qkv.vt.shape == (8, 16) and qkv.bias.shape == (48,)
    weight = torch.cat([getattr(dense.encoder.blocks[0].attention.qkv, part).weight for part in "qkv"])
    discarded = torch.linalg.svdvals(weight)[8:]
    assert (weight - qkv.product()).norm().item() == pytest.approx(discarded.norm().item(), abs=1e-12)


@pytest.mark.parametrize("init", ["random", "matched", "orthogonal"])
def test_the_factors_of_a_matrix_do_not_depend_on_the_other_targets(init):
    few = build_model(small_run({"targets": ["encoder.attention"], "ratio": 0.5, "init": init}), SIZE)[0].state_dict()
    many = build_model(small_run({"targets": ["*"], "ratio": 0.5, "init": init}), SIZE)[0].state_dict()
    factors = [name for name in few if name.endswith((".u", ".vt"))]
    assert len(factors) == 2 * 5 * 3
    assert all(torch.equal(few[name], many[name]) for name in factors)
    q, k = (few[f"encoder.blocks.0.attention.qkv.{part}.u"] for part in "qk")
    assert not torch.equal(q, k)


def test_the_seed_makes_the_factors():
    """Of the same dense weights."""
    dense = small_recognizer()
    one, same, other = (
        factorized(dense, seed, targets=("ctc",), ratio=0.5, init="random").state_dict()["ctc.u"] for seed in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_factors_train_and_the_mode_is_kept():
    model = lived_in(build_model(small_run({"targets": ["*"], "ratio": 0.5}), SIZE)[0])
    assert all(module.training for module in model.modules())
    outputs(model).square().sum().backward()
    factors = [(name, p) for name, p in model.named_parameters() if name.endswith((".u", ".vt"))]
    assert factors and all(p.grad is not None and p.grad.abs().max() > 0 for _, p in factors)
    assert not any(module.training for module in factorized(small_recognizer(), targets=("*",), ratio=0.5).modules())


def test_biases_are_not_shared_with_the_dense_model():
    dense = small_recognizer()
    model = deepcopy(dense)
    settings = LowRank(targets=("ctc",), ratio=0.5)
    factorize(model, make_plan(model, settings), "spectral", "default", 1)
    assert torch.equal(model.ctc.bias, dense.ctc.bias) and model.ctc.bias.requires_grad


def test_no_bit_depends_on_the_number_of_threads():
    weight = torch.randn(600, 520, generator=torch.Generator().manual_seed(1))
    matrices = [Matrix(f"m{n}", "m", "", 0, 1, 600, 520, 0, rank=rank) for n, rank in enumerate((8, 300))]
    found = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found[threads] = all_factors([weight] * 2, matrices, "spectral", "default", seed=1)
        assert torch.get_num_threads() == threads
    for one, other in zip(found[1], found[2], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("shape", [(600, 520), (520, 600)])
def test_factors_lie_in_memory_as_they_do_whichever_way_they_were_found(shape, monkeypatch):
    """A product of another order in memory is rounded otherwise, and which way is taken depends on the numbers."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    strides = []
    for small in (512, 10_000):
        monkeypatch.setattr(factors, "SMALL", small)
        u, s, vt = factors.truncated_svd(weight, 130)
        strides.append([(part.float() * 2.0).stride() for part in (u, vt)])
        assert (u.shape, s.shape, vt.shape) == ((shape[0], 130), (130,), (130, shape[1]))
    assert strides[0] == strides[1]
