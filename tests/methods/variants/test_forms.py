"""Facts about the forms beside ``U V^T``: what each is by its formula, and what it is at its neutral setting."""

import math

import pytest
import torch
from small import SIZE, small_run

from lrsms.methods.build import build_model
from lrsms.methods.factorize import dense_weight
from lrsms.methods.linear import FormLinear, LowRankLinear
from lrsms.methods.variants.monarch import paths
from lrsms.training.state import State

CPU = torch.device("cpu")
LOWRANK = {"targets": ["encoder.attention", "encoder.feedforward"], "ratio": 0.5}
X = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def layers(method, **changes):
    """The planned modules of a small network by name, in float64, and those of the dense network of the same seed."""
    run = small_run(LOWRANK | changes | {"method": method})
    model, plan = build_model(run, SIZE)
    dense, _ = build_model(small_run(), SIZE)
    names = [matrix.name for matrix in plan if matrix.rank is not None]
    return {name: model.get_submodule(name).double() for name in names}, {
        name: dense.get_submodule(name).double() for name in names
    }


def through(layer, x=X):
    return layer(x[..., : layer.vt.shape[1] if hasattr(layer, "vt") else layer.in_features])


def agree(found, expected):
    assert found.keys() == expected.keys() and found
    for name, layer in found.items():
        torch.testing.assert_close(through(layer), through(expected[name]), rtol=0, atol=1e-6)


def test_cola_is_half_of_the_product_near_zero_and_has_its_own_scale():
    for layer in layers({"name": "cola"}, ratio=1.0)[0].values():
        layer.bias = None
        x = X[..., : layer.vt.shape[1]]
        near_zero = layer(1e-7 * x) / 1e-7
        torch.testing.assert_close(near_zero, x @ (layer.u @ layer.vt).mT / 2, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(layer(x), torch.nn.functional.silu(x @ layer.vt.mT) @ layer.u.mT)
    products = [layer.u @ layer.vt for layer in layers({"name": "cola"})[0].values()]
    scales = [(product.square().mean() * sum(product.shape)).item() for product in products]
    assert sum(scales) / len(scales) == pytest.approx(1, rel=0.1)


def test_self_guided_begins_as_plain_low_rank_whatever_the_weight_of_its_matrix_is():
    plain = layers(None)[0]
    guided = layers({"name": "self_guided"})[0]
    for weight in (1.0, 0.3, 0.0):
        for layer in guided.values():
            layer.guide.fill_(weight)
        agree(guided, plain)


def test_self_guided_lets_its_matrix_go_by_a_cosine_and_dropping_it_changes_nothing():
    run = small_run(LOWRANK | {"method": {"name": "self_guided", "share": 0.5}})
    state = State.at(run, SIZE, CPU, 0, 8)
    guided = [module for module in state.model.modules() if isinstance(module, FormLinear)]
    weights = []
    for _ in range(4):
        weights.append(guided[0].guide.item())
        assert all(layer.guide.item() == weights[-1] for layer in guided)
        for parameter in state.model.parameters():
            parameter.grad = torch.ones_like(parameter)
        state.update(1e-3)
    assert weights == pytest.approx([(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)], abs=1e-7)
    assert guided[0].guide.item() == 0
    left = [module for module in state.model.modules() if isinstance(module, LowRankLinear)]
    assert len(left) == len(guided) and not any(isinstance(module, FormLinear) for module in left)
    for before, after in zip(guided, left, strict=True):
        x = X[..., : before.vt.shape[1]].float()
        torch.testing.assert_close(after(x), before(x))
        assert float(state.optimizer.state[after.u]["step"]) == 4


def test_self_guided_moves_by_both_of_its_parts():
    layer = next(iter(layers({"name": "self_guided"})[0].values()))
    layer.guide.fill_(0.25)
    x, bias = X[..., : layer.vt.shape[1]], layer.bias
    with torch.no_grad():
        layer.w.add_(torch.ones_like(layer.w))
        expected = 0.25 * x @ layer.w.mT + 0.75 * x @ (layer.u @ layer.vt).mT + bias
    torch.testing.assert_close(layer(x), expected)


def test_sparse_without_its_values_is_plain_low_rank():
    sparse = layers({"name": "sparse"})[0]
    for layer in sparse.values():
        layer.values.data.zero_()
    agree(sparse, layers(None)[0])


def test_the_support_of_sparse_is_as_many_places_in_each_row_and_differs_by_matrix():
    found = layers({"name": "sparse", "density": 0.2})[0]
    for layer in found.values():
        columns = layer.vt.shape[1]
        rest = layer.product() - layer.u @ layer.vt
        assert ((rest.abs() > 1e-12).sum(dim=1) == round(0.2 * columns)).all()
        assert layer.values.abs().max() <= columns**-0.5
    places = {name: layer.places for name, layer in found.items() if layer.places.shape == (16, 3)}
    first, second, *_ = places.values()
    assert not torch.equal(first, second)


def test_lost_with_all_channels_is_the_dense_network():
    found, dense = layers({"name": "lost", "density": 0.999})
    agree(found, dense)


def test_lost_keeps_the_channels_of_which_low_rank_leaves_most_out():
    found, dense = layers({"name": "lost", "density": 0.2})
    for name, layer in found.items():
        left_out = (dense_weight(dense[name]) - layer.u @ layer.vt).norm(dim=0)
        kept = set(layer.channels.long().tolist())
        assert kept == set(left_out.topk(len(kept)).indices.tolist())
        distance = (dense_weight(dense[name]) - layer.product()).norm().item()
        others = [left_out[channel].item() ** 2 for channel in range(len(left_out)) if channel not in kept]
        assert distance == pytest.approx(math.sqrt(sum(others)), rel=1e-5)


def test_monarch_of_one_block_is_plain_low_rank_and_at_full_rank_the_dense_network():
    agree(layers({"name": "monarch", "blocks": 1})[0], layers(None)[0])
    agree(*layers({"name": "monarch"}, ratio=1.0))


@pytest.mark.parametrize("ratio", [0.5, 0.4])
def test_monarch_is_its_formula_and_the_nearest_of_its_kind(ratio):
    """``L P R`` with whole matrices; and a block of rank q keeps the q largest singular values of the dense one's."""
    found, dense = layers({"name": "monarch"}, ratio=ratio)
    for name, layer in found.items():
        (m, r), n, k = layer.u.shape, layer.vt.shape[1], 4
        left = torch.block_diag(*layer.u.view(k, m // k, r))
        right = torch.block_diag(*layer.vt.view(r, k, n // k).transpose(0, 1))
        permutation = torch.zeros(k * r, k * r, dtype=torch.float64)
        for i in range(k):
            for j in range(r):
                permutation[j * k + i, i * r + j] = 1
        matrix = left @ permutation @ right
        torch.testing.assert_close(layer.product(), matrix)
        torch.testing.assert_close(through(layer), X[..., :n] @ matrix.mT + (0 if layer.bias is None else layer.bias))
        assert torch.linalg.matrix_rank(matrix, rtol=1e-6) > r
        weight = dense_weight(dense[name])
        blocks = weight.view(k, m // k, k, n // k)
        left_out = [torch.linalg.svdvals(blocks[g, :, i])[len(read) :] for g, i, _, read in paths(k, r)]
        distance = (weight - matrix).norm().item()
        assert distance == pytest.approx(torch.cat(left_out).norm().item(), rel=1e-5)


def test_every_place_between_the_factors_of_monarch_is_one_path():
    for k, r in ((1, 3), (4, 4), (4, 7), (3, 10)):
        found = paths(k, r)
        assert [(g, i) for g, i, *_ in found] == [(g, i) for g in range(k) for i in range(k)]
        written = [(g, column) for g, _, columns, _ in found for column in columns]
        read = [(i, row) for _, i, _, rows in found for row in rows]
        every = [(block, place) for block in range(k) for place in range(r)]
        assert sorted(written) == sorted(read) == every


REFUSED = [
    ({"method": {"name": "cola"}, "init": "random"}, "'lowrank.init' is 'random', but method 'cola' has an initial"),
    ({"method": {"name": "lost"}, "init": "random"}, "'lowrank.init' is 'random', but method 'lost' takes its factors"),
    ({"method": {"name": "monarch"}, "init": "matched"}, "but method 'monarch' starts as the nearest such matrix"),
    ({"method": {"name": "sparse", "density": 0}}, "lowrank.method"),
    ({"method": {"name": "self_guided", "share": 1}}, "lowrank.method"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(changes, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        small_run(LOWRANK | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"targets": ["ctc"]}, "has 'ctc', 11 x 16, which 4 blocks do not divide; leave it out of 'lowrank.targets'"),
        ({"ratio": 0.1}, "at rank 2: 4 blocks need rank 4 at least, or some outputs would not see some inputs"),
    ],
)
def test_monarch_refuses_matrices_that_it_does_not_fit(changes, reason):
    run = small_run(LOWRANK | {"method": {"name": "monarch"}} | changes)
    with pytest.raises(ValueError, match=reason) as caught:
        build_model(run, SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["lost", "sparse"])
def test_a_mean_over_snapshots_that_is_off_by_a_last_bit_moves_no_channel(method):
    """A GPU multiplies a sum by the reciprocal of the number of snapshots: of 41 ones it makes 1 - 6e-8."""
    model = build_model(small_run(LOWRANK | {"method": {"name": method}}), SIZE)[0]
    layer = next(module for module in model.modules() if isinstance(module, FormLinear))
    x = torch.randn(5, layer.vt.shape[1], generator=torch.Generator().manual_seed(1))
    before = layer(x)
    for buffer in layer.buffers():
        buffer.mul_(1 - 6e-8)
    assert torch.equal(layer(x), before) and list(layer.buffers())
