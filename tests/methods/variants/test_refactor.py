"""Facts about refactorisation: the product stays, the factors are balanced, and only their moments begin anew."""

import nano
import pytest
import torch
from stepping import CASES, LOWRANK, run_of, stepped, take

from lrsms.base.random_streams import stream
from lrsms.base.strict import parse
from lrsms.methods.inits import spectral
from lrsms.methods.product import factors
from lrsms.methods.variants.refactor import balance
from lrsms.study.lowrank import LowRank


@pytest.mark.parametrize(("rows", "rank", "columns"), [(30, 5, 20), (8, 8, 20), (12, 1, 3)])
def test_the_product_stays_and_its_factors_are_balanced(rows, rank, columns):
    generator = stream(1, "test")
    u = 7 * torch.randn(rows, rank, generator=generator)
    vt = torch.randn(rank, columns, generator=generator) / 50
    product = u.double() @ vt.double()
    balance(u, vt)
    torch.testing.assert_close(u.double() @ vt.double(), product, rtol=0, atol=1e-6)
    s = torch.linalg.svdvals(product)[:rank].float()
    torch.testing.assert_close(u.mT @ u, torch.diag(s), rtol=0, atol=1e-5)
    torch.testing.assert_close(vt @ vt.mT, torch.diag(s), rtol=0, atol=1e-5)


def test_balanced_factors_are_the_spectral_ones_of_the_product():
    """Which are balanced already: the initial factors of plain low rank stay as they are."""
    generator = stream(2, "test")
    weight = torch.randn(12, 4, generator=generator).double() @ torch.randn(4, 9, generator=generator).double()
    expected = spectral.factors(weight, 4, "default", generator)
    u, vt = 3 * expected[0] @ torch.diag(torch.arange(1.0, 5).double()), expected[1].clone()
    vt /= 3 * torch.arange(1.0, 5).double().unsqueeze(1)
    balance(u, vt)
    torch.testing.assert_close((u, vt), expected)
    balance(u, vt)
    torch.testing.assert_close((u, vt), expected)


def test_a_product_of_zeros_stays_one():
    u, vt = torch.ones(4, 2), torch.zeros(2, 3)
    balance(u, vt)
    assert not u.any() and not vt.any()


@CASES
def test_it_is_plain_low_rank_whose_factors_are_balanced_and_begin_anew(optimizer, model):
    """To the bit, before, at and after the step."""
    plain = stepped(run_of(None, optimizer, **model), 2)
    method = {"name": "refactor", "every": 3}
    own = stepped(run_of(method, optimizer, **model), 2)
    torch.testing.assert_close(own.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)
    plain, own = stepped(run_of(None, optimizer, **model), 3), stepped(run_of(method, optimizer, **model), 3)
    pairs = factors(plain.model, plain.plan)
    assert pairs
    with torch.no_grad():
        for pair in pairs:
            balance(*pair)
    for factor in [factor for pair in pairs for factor in pair]:
        del plain.optimizer.state[factor]
    for state in (plain, own):
        take(state)
    torch.testing.assert_close(own.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(("until", "steps"), [(0.0, 0), (0.4, 2), (0.5, 4), (0.7, 4), (1.0, 8)])
def test_it_ends_before_snapshots_are_averaged(until, steps):
    """The last time is after this many of 8 steps."""
    own = stepped(run_of({"name": "refactor", "every": 2, "until": until}), 0)
    with torch.no_grad():
        for step in range(8):
            before = [u.clone() for u, _ in factors(own.model, own.plan)]
            own.run.method.after_step(own.model, own.plan, own.optimizer, step, 8)
            for u, vt in factors(own.model, own.plan):
                u.mul_(2)  # what is not balanced will be changed
                vt.div_(2)
            after = [u for u, _ in factors(own.model, own.plan)]
            changed = any(not torch.equal(u, 2 * old) for u, old in zip(after, before, strict=True))
            assert changed == (step % 2 == 1 and step < steps)


def test_factors_of_different_bases_are_not_averaged(make_run):
    """Of 8 steps, the snapshots of 6 and 8 are."""
    fields = nano.SPECTRAL | {"lowrank__method": {"name": "refactor", "every": 2, "until": 0.75}}
    assert make_run(**fields).changes_at(8) == []
    fields["lowrank__method"]["until"] = 1.0
    with pytest.raises(ValueError, match=r"after step 8 of 8, but 'train\.average' begins at the snapshot of step 6"):
        make_run(**fields)


def test_a_network_computes_what_it_did_before():
    run = run_of({"name": "refactor", "every": 1})
    state = stepped(run, 0)
    before = {m.name: state.model.get_submodule(m.name).product() for m in state.plan if m.rank is not None}
    with torch.no_grad():
        run.method.after_step(state.model, state.plan, state.optimizer, 0, 8)
    for name, product in before.items():
        torch.testing.assert_close(state.model.get_submodule(name).product(), product, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("field", "value"), [("every", 0), ("every", 2.5), ("reset", False)])
def test_slips_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        parse(LowRank, LOWRANK | {"method": {"name": "refactor", field: value}}, "test")
