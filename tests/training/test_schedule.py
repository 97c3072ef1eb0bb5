"""Facts about the order of training: every utterance once an epoch, within limits, by seed and counters alone."""

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsms.training.schedule import make_groups, num_steps, steps

FRAMES = [30, 45, 80, 33, 60, 61, 62, 100, 20, 21, 22, 95]


@settings(max_examples=50)
@given(
    st.lists(st.integers(5, 300), min_size=1, max_size=60), st.integers(0, 300), st.integers(0, 99), st.integers(0, 9)
)
def test_every_utterance_is_in_one_group_and_no_group_is_too_large(frames, more, seed, epoch):
    limit = max(frames) + more
    groups = make_groups(frames, limit, seed, epoch)
    assert Counter(index for group in groups for index in group.members) == Counter(range(len(frames)))
    assert all(max(frames[index] for index in group.members) * len(group.members) <= limit for group in groups)
    assert all(group.epoch == epoch for group in groups)


def test_groups_are_a_function_of_seed_and_epoch():
    torch.manual_seed(1)
    groups = make_groups(FRAMES, 200, 1, 0)
    torch.manual_seed(2)
    assert make_groups(FRAMES, 200, 1, 0) == groups
    assert make_groups(FRAMES, 200, 2, 0) != groups
    assert [group.members for group in make_groups(FRAMES, 200, 1, 1)] != [group.members for group in groups]


def test_groups_hold_utterances_of_like_length():
    frames = torch.randint(20, 300, (500,), generator=torch.Generator().manual_seed(0)).tolist()
    groups = make_groups(frames, 1200, 1, 0)
    padded = sum(max(frames[index] for index in group.members) * len(group.members) for group in groups)
    assert padded < 1.1 * sum(frames)


def test_groups_come_in_no_order_of_length():
    frames = list(range(20, 220))
    lengths = [frames[group.members[0]] for group in make_groups(frames, 400, 1, 0)]
    assert lengths != sorted(lengths)
    assert lengths != sorted(lengths, reverse=True)


def test_an_utterance_longer_than_a_group_is_refused():
    with pytest.raises(
        ValueError, match=r"^'train.group_frames' is 99, but the longest training utterance has 100 frames$"
    ):
        make_groups(FRAMES, 99, 1, 0)


def test_training_by_steps_goes_on_across_epochs(make_run):
    train = make_run(train__steps=20, train__group_frames=200, train__groups_per_step=3).train
    per_step = list(steps(FRAMES, train, 1))
    assert len(per_step) == num_steps(FRAMES, train, 1) == 20
    assert all(len(groups) == 3 for groups in per_step)
    epochs = [group.epoch for groups in per_step for group in groups]
    assert epochs == sorted(epochs)
    assert epochs[-1] >= 2
    order = list(itertools.chain.from_iterable(per_step))
    expected = list(
        itertools.chain.from_iterable(make_groups(FRAMES, 200, 1, epoch) for epoch in range(epochs[-1] + 1))
    )
    assert order == expected[: len(order)]


def test_training_by_epochs_sees_every_utterance_as_often(make_run):
    train = make_run(train__steps=None, train__epochs=3, train__group_frames=200, train__groups_per_step=4).train
    per_step = list(steps(FRAMES, train, 1))
    assert len(per_step) == num_steps(FRAMES, train, 1)
    counts = Counter(index for groups in per_step for group in groups for index in group.members)
    assert counts == dict.fromkeys(range(len(FRAMES)), 3)
    assert all(len(groups) == 4 for groups in per_step[:-1])
    assert 1 <= len(per_step[-1]) <= 4


@pytest.mark.parametrize("length", [{"train__steps": 9}, {"train__steps": None, "train__epochs": 4}])
def test_a_run_that_starts_again_sees_the_same_rest(make_run, length):
    train = make_run(train__group_frames=200, **length).train
    whole = list(steps(FRAMES, train, 1))
    for start in range(len(whole) + 1):
        assert list(steps(FRAMES, train, 1, start)) == whole[start:]
