"""Spectra: known ones, those of products without the product, and ranks by their closed forms."""

import itertools
import json
import math

import fabricate
import pytest
import torch
from small import SIZE, small_run

from lrsms.methods.build import build_model
from lrsms.methods.factorize import merge
from lrsms.methods.plan import Matrix
from lrsms.methods.spectra import (
    POINTS,
    effective_rank,
    energy_rank,
    indices,
    singular_values,
    spectra,
    stable_rank,
    write_spectra,
)


def matrix(rows, columns, rank=None, name="encoder.blocks.0.attention.out", layer=0):
    return Matrix(name, "encoder.attention", "encoder", layer, 2, rows, columns, 0, rank)


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(weight):
    of = matrix(*weight.shape)
    return {f"{of.name}.weight": weight}, of


def entry(weight):
    weights, of = dense(weight)
    return spectra(weights, [of])["matrices"][0]


def test_the_spectrum_of_a_diagonal_is_its_entries():
    weight = torch.zeros(3, 4, dtype=torch.float64)
    weight[0, 2], weight[1, 0], weight[2, 3] = -4, 2, 1
    found = entry(weight)
    assert found["largest"] == [4]
    assert found["values"] == [[1, 0.5, 0.25]]
    assert found["stable_ranks"] == [pytest.approx(21 / 16, abs=1e-3)]
    assert found["energy_ranks"] == [2]  # 16 / 21 < 0.9 <= 20 / 21
    entropy = -(4 / 7 * math.log(4 / 7) + 2 / 7 * math.log(2 / 7) + 1 / 7 * math.log(1 / 7))
    assert found["effective_ranks"] == [pytest.approx(math.exp(entropy), abs=1e-3)]


def test_all_ranks_of_an_orthogonal_matrix_are_full():
    q = torch.linalg.qr(normal(20, 20)).Q
    found = entry(3 * q)
    assert found["largest"] == [3]
    assert set(found["values"][0]) == {1.0}
    assert (found["stable_ranks"], found["effective_ranks"], found["energy_ranks"]) == ([20], [20], [18])


def test_all_ranks_of_an_outer_product_are_one():
    found = entry(torch.outer(normal(12), normal(7, seed=2)))
    assert (found["stable_ranks"], found["effective_ranks"], found["energy_ranks"]) == ([1], [1], [1])


def test_a_matrix_of_zeros_has_rank_zero():
    found = entry(torch.zeros(4, 5))
    assert found["largest"] == found["stable_ranks"] == found["effective_ranks"] == found["energy_ranks"] == [0]
    assert found["values"] == [[0, 0, 0, 0]]


@pytest.mark.parametrize(("rows", "columns", "rank"), [(40, 25, 6), (25, 40, 25), (30, 30, 1)])
def test_a_factorised_spectrum_is_that_of_the_product(rows, columns, rank):
    of = matrix(rows, columns, rank)
    u, vt = normal(rows, rank), normal(rank, columns, seed=2)
    values = singular_values({f"{of.name}.u": u, f"{of.name}.vt": vt}, of)
    product = torch.linalg.svdvals(u @ vt)
    assert len(values) == rank
    torch.testing.assert_close(values, product[:rank], rtol=1e-10, atol=1e-10)
    assert product[rank:].abs().sum() < 1e-10


def test_the_frobenius_norm_is_in_the_spectrum():
    weight = normal(30, 20)
    values = singular_values(*dense(weight))
    assert float((values**2).sum()) == pytest.approx(float((weight**2).sum()), rel=1e-12)
    assert stable_rank(values) == pytest.approx(float((weight**2).sum() / torch.linalg.matrix_norm(weight, 2) ** 2))


def test_ranks_do_not_depend_on_scale_or_rotation():
    weight = normal(18, 11)
    rotated = torch.linalg.qr(normal(18, 18, seed=2)).Q @ weight
    for other in (1e-6 * weight, -50 * weight, weight.T, rotated):
        values, expected = singular_values(*dense(other)), singular_values(*dense(weight))
        assert stable_rank(values) == pytest.approx(stable_rank(expected), rel=1e-10)
        assert effective_rank(values) == pytest.approx(effective_rank(expected), rel=1e-10)
        assert energy_rank(values) == energy_rank(expected)


def test_the_ranks_are_ordered():
    """1 <= stable rank <= effective rank <= R, as for every spectrum."""
    values = singular_values(*dense(normal(40, 30)))
    assert 1 < stable_rank(values) < effective_rank(values) < 30
    assert 1 <= energy_rank(values, 0.5) < energy_rank(values, 0.9) < energy_rank(values, 1.0) == 30


def test_the_stable_rank_of_independent_entries_is_that_of_marchenko_and_pastur():
    rows, columns = 600, 200
    expected = rows * columns / (math.sqrt(rows) + math.sqrt(columns)) ** 2
    assert stable_rank(singular_values(*dense(normal(rows, columns)))) == pytest.approx(expected, rel=0.05)
    uniform = torch.rand(rows, columns, generator=torch.Generator().manual_seed(1)) - 0.5
    assert stable_rank(singular_values(*dense(uniform))) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("size", [1, 2, 15, 33, 92, 768])
def test_kept_places_begin_dense_and_reach_from_end_to_end(size):
    places = indices(size)
    steps = [b - a for a, b in itertools.pairwise(places)]
    assert places[0] == 0 and places[-1] == size - 1 and len(places) <= POINTS
    assert all(step >= 1 for step in steps)
    if size <= 15:
        assert places == list(range(size))
    if size == 768:
        assert places[:5] == [0, 1, 3, 7, 12] and steps[-1] == max(steps)


def test_kept_values_are_those_at_the_places():
    weights, of = dense(normal(92, 100))
    values, content = singular_values(weights, of), spectra(weights, [of])
    kept = content["matrices"][0]["values"][0]
    assert list(content["indices"]) == ["92"]
    assert kept == [pytest.approx(float(values[i] / values[0]), rel=5e-3) for i in content["indices"]["92"]]


LOWRANK = {"targets": ["encoder.attention", "decoder.self_attention"], "ratio": 0.5}


@pytest.mark.parametrize("qkv", ["separate", "fused"])
def test_a_model_s_spectra_are_those_of_the_merged_model(qkv):
    model, plan = build_model(small_run(LOWRANK | {"qkv": qkv}), SIZE)
    content = spectra(model.state_dict(), plan)
    merge(model.double())
    merged = spectra(model.state_dict(), [Matrix(**(vars(of) | {"rank": None})) for of in plan])
    names = {entry["name"] for entry in content["matrices"]}
    assert ("encoder.blocks.*.attention.qkv" in names) == (qkv == "fused")
    assert sum(len(entry["layers"]) for entry in content["matrices"]) == len(plan)
    for found, expected in zip(content["matrices"], merged["matrices"], strict=True):
        assert found["ranks"] == [of.rank for of in plan if of.kind == found["name"]]
        for key in ("largest", "stable_ranks", "effective_ranks", "energy_ranks"):
            assert found[key] == pytest.approx(expected[key], rel=1e-3), (found["name"], key)


def test_a_dense_model_has_a_fused_plan_s_spectra_too():
    """Targets elsewhere leave the q, k and v of a fused plan dense: one matrix all the same."""
    model, plan = build_model(small_run(LOWRANK | {"targets": ["encoder.attention"], "qkv": "fused"}), SIZE)
    of = next(of for of in plan if of.name == "decoder.blocks.0.self_attention.qkv")
    assert of.rank is None
    weight = torch.cat([model.get_submodule(f"{of.name}.{part}").weight for part in "qkv"]).double()
    torch.testing.assert_close(singular_values(model.state_dict(), of), torch.linalg.svdvals(weight))


def test_the_file_holds_what_was_computed_a_line_for_each_kind(tmp_path):
    model, plan = build_model(small_run(LOWRANK), SIZE)
    content = spectra(model.state_dict(), plan)
    write_spectra(tmp_path / "spectra.json", content)
    text = (tmp_path / "spectra.json").read_text()
    assert json.loads(text) == content
    assert len(text.splitlines()) == len(content["matrices"]) + 2


def test_fabricated_spectra_are_written_alike():
    model, plan = build_model(small_run(LOWRANK), SIZE)
    real, fabricated = (
        spectra(model.state_dict(), plan),
        fabricate.spectra(fabricate.experiment(fabricate.run(LOWRANK | {"targets": ("encoder.attention",)}))),
    )
    assert fabricated.keys() == real.keys()
    assert fabricated["indices"] == {str(size): indices(size) for size in (30, 48, 96)}
    for entry in fabricated["matrices"]:
        assert entry.keys() == real["matrices"][0].keys()
        sizes = [rank or min(entry["rows"], entry["columns"]) for rank in entry["ranks"]]
        assert [len(values) for values in entry["values"]] == [len(fabricated["indices"][str(size)]) for size in sizes]
