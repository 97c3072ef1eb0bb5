"""Initial factors: spectrum and scale of their product."""

import re
from typing import get_args

import pytest
import torch

from lrsms.base.random_streams import stream
from lrsms.base.strict import parse
from lrsms.methods import factors
from lrsms.methods.init import INITS
from lrsms.models.initial import Scheme, fill_matrix
from lrsms.study.lowrank import LowRank
from lrsms.study.run import Model

ROWS, COLUMNS, RANK = 40, 30, 7


@pytest.fixture
def weight():
    weight = torch.empty(ROWS, COLUMNS, dtype=torch.float64)
    fill_matrix(weight, "default", stream(1, "weights"))
    return weight


def start(init: str, weight: torch.Tensor, rank: int = RANK, scheme: Scheme = "default", seed: int = 1):
    return INITS[init](weight, rank, scheme, stream(seed, "factors"))


@pytest.mark.parametrize(
    ("init", "hint"), [("spectrl", "did you mean 'spectral'?"), ("xyz", f"known: {', '.join(sorted(INITS))}")]
)
def test_the_config_knows_exactly_the_initialisations_there_are(init, hint):
    for name in INITS:
        assert parse(LowRank, {"ratio": 0.5, "init": name}, "test").init == name
    with pytest.raises(ValueError, match=re.escape(f"test: 'init': there is no '{init}'; {hint}")):
        parse(LowRank, {"ratio": 0.5, "init": init}, "test")


def test_the_config_names_exactly_the_dense_initialisers_there_are():
    assert get_args(Model.model_fields["initialiser"].annotation) == get_args(Scheme)


@pytest.mark.parametrize("init", list(INITS))
@pytest.mark.parametrize("rank", [1, RANK, COLUMNS])
def test_shapes_types_and_the_seed(init, rank, weight):
    u, vt = start(init, weight.float(), rank)
    assert u.shape == (ROWS, rank) and vt.shape == (rank, COLUMNS) and u.dtype == vt.dtype == torch.float32
    again, other = start(init, weight.float(), rank), start(init, weight.float(), rank, seed=2)
    assert torch.equal(again[0], u) and torch.equal(again[1], vt)
    assert torch.equal(other[0], u) == torch.equal(other[1], vt) == (init == "spectral")


@pytest.mark.parametrize("rank", [1, RANK, COLUMNS])
def test_spectral_leaves_out_exactly_the_smallest_singular_values(rank, weight):
    """Eckart and Young: no product of this rank is nearer."""
    u, vt = start("spectral", weight, rank)
    discarded = torch.linalg.svdvals(weight)[rank:]
    assert (weight - u @ vt).norm().item() == pytest.approx(discarded.norm().item(), abs=1e-12)


def test_spectral_splits_the_singular_values_evenly(weight):
    u, vt = start("spectral", weight)
    roots = torch.linalg.svdvals(weight)[:RANK].sqrt()
    for gram in (u.T @ u, vt @ vt.T):
        torch.testing.assert_close(gram, torch.diag(roots.square()), rtol=0, atol=1e-12)


def test_spectral_has_one_sign(weight):
    """The largest entry of each column of U is positive, whatever sign the SVD came with."""
    u, vt = start("spectral", weight)
    assert (u.gather(0, u.abs().argmax(0, keepdim=True)) > 0).all()
    u_opposite, vt_opposite = start("spectral", -weight)
    torch.testing.assert_close(u_opposite, u, rtol=0, atol=1e-12)
    torch.testing.assert_close(vt_opposite, -vt, rtol=0, atol=1e-12)


@pytest.mark.parametrize("init", ["matched", "orthogonal"])
@pytest.mark.parametrize("rank", [1, RANK, COLUMNS])
def test_controls_have_the_norm_of_the_spectral_product(init, rank, weight):
    u, vt = start("spectral", weight, rank)
    other_u, other_vt = start(init, weight, rank)
    assert (other_u @ other_vt).norm().item() == pytest.approx((u @ vt).norm().item(), rel=1e-12)


def test_matched_is_random_but_for_its_scale(weight):
    for factor, scaled in zip(start("random", weight), start("matched", weight), strict=True):
        ratio = scaled / factor
        torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-12, atol=0)


def test_orthogonal_has_a_flat_spectrum(weight):
    u, vt = start("orthogonal", weight)
    values = torch.linalg.svdvals(u @ vt)
    torch.testing.assert_close(values[:RANK], values[:1].expand(RANK), rtol=1e-10, atol=0)
    assert values[RANK:].max() < 1e-12


@pytest.mark.parametrize(
    "scheme, of_u, of_vt",
    [("default", 1 / (3 * 100), 1 / (3 * 200)), ("glorot", 2 / (300 + 100), 2 / (100 + 200)), ("he", 2 / 100, 2 / 200)],
)
def test_random_factors_have_the_variance_of_a_matrix_of_their_shape(scheme, of_u, of_vt):
    u, vt = start("random", torch.empty(300, 200), 100, scheme)
    assert u.var().item() == pytest.approx(of_u, rel=0.05)
    assert vt.var().item() == pytest.approx(of_vt, rel=0.05)


SPECTRA = {
    "even": torch.logspace(0, -1, COLUMNS, dtype=torch.float64),
    "ill-conditioned": torch.logspace(0, -14, COLUMNS, dtype=torch.float64),
    "rank-deficient": torch.cat([torch.linspace(2, 1, 5, dtype=torch.float64), torch.zeros(COLUMNS - 5)]),
}


@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (COLUMNS, ROWS), (COLUMNS, COLUMNS)])
@pytest.mark.parametrize("spectrum", list(SPECTRA))
@pytest.mark.parametrize("rank", [1, 5, RANK, COLUMNS])
def test_the_fast_truncated_svd_is_the_plain_one(monkeypatch, shape, spectrum, rank):
    monkeypatch.setattr(factors, "SMALL", 1)
    generator = torch.Generator().manual_seed(3)
    u, _, vt = torch.linalg.svd(torch.randn(shape, dtype=torch.float64, generator=generator), full_matrices=False)
    weight = (u * SPECTRA[spectrum]) @ vt
    u, s, vt = torch.linalg.svd(weight, full_matrices=False)
    fast = factors.truncated_svd(weight, rank)
    assert torch.allclose(fast[1], s[:rank], rtol=1e-9, atol=1e-14)
    assert torch.allclose((fast[0] * fast[1]) @ fast[2], (u[:, :rank] * s[:rank]) @ vt[:rank], rtol=0, atol=1e-10)
    for vectors in (fast[0], fast[2].mT):
        assert torch.allclose(vectors.mT @ vectors, torch.eye(rank, dtype=torch.float64), rtol=0, atol=1e-9)
    assert factors.truncated_norm(weight, rank).item() == pytest.approx(s[:rank].norm().item(), rel=1e-9)


def test_a_large_matrix_starts_as_it_would_by_the_plain_svd(monkeypatch):
    weight = torch.empty(factors.SMALL, factors.SMALL, dtype=torch.float64)
    fill_matrix(weight, "default", stream(1, "weights"))
    fast = start("spectral", weight, 128)
    monkeypatch.setattr(factors, "SMALL", factors.SMALL + 1)
    for one, other in zip(fast, start("spectral", weight, 128), strict=True):
        assert not torch.equal(one, other), "another way"
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-11)
