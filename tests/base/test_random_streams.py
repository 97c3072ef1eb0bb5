"""Facts about random streams: functions of seed and purpose alone."""

import torch

from lrsms.base.random_streams import stream, stream_seed


def test_a_stream_is_a_function_of_seed_and_purpose():
    first = torch.rand(4, generator=stream(1, "dropout", 3, 0))
    torch.rand(100)
    assert torch.equal(torch.rand(4, generator=stream(1, "dropout", 3, 0)), first)


def test_different_seeds_and_purposes_are_different_streams():
    purposes = [(1, "a"), (2, "a"), (1, "b"), (1, "a", 0), (1, "a", "0"), (1, "a", 1, 23), (1, "a", 12, 3), (11, "a")]
    assert len({stream_seed(*purpose) for purpose in purposes}) == len(purposes)


def test_seeds_are_the_same_on_every_machine():
    assert stream_seed(1, "order", 0) == 1341983847465664397
    assert 0 <= stream_seed(-5, "x") < 2**63


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    torch.rand(8, generator=stream(0, "x"))
    assert torch.equal(torch.rand(2), expected)
