"""The utterances of each training step: a function of the seed and counters only.

An epoch's utterances are divided into groups of similar length, and the groups are shuffled. Steps take them one after
another, across the borders of epochs. Devices, workers and restarts do not affect this.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from lrsms.base.random_streams import stream
from lrsms.study.run import Train

JITTER = 0.1
"""Before lengths are sorted, each grows by a random share of at most this, so that groups differ between epochs."""


@dataclass(frozen=True)
class Group:
    """Utterances that pass through the network together: a micro-batch.

    Attributes:
        epoch: the pass through the corpus that it belongs to, from 0.
        members: indices of the utterances.
    """

    epoch: int
    members: tuple[int, ...]


def make_groups(frames: Sequence[int], group_frames: int, seed: int, epoch: int) -> list[Group]:
    """Puts every utterance into one group of at most ``group_frames`` frames, padding included.

    Args:
        frames: length of each utterance.
        group_frames: limit of number of utterances x longest length.
        seed: the seed of the order.
        epoch: the epoch; each has its own groups.

    Raises:
        ValueError: an utterance is longer than a group.
    """
    if max(frames) > group_frames:
        raise ValueError(
            f"'train.group_frames' is {group_frames}, but the longest training utterance has {max(frames)} frames"
        )
    generator = stream(seed, "order", epoch)
    jitter = 1 + JITTER * torch.rand(len(frames), generator=generator)
    order = torch.argsort(torch.tensor(frames) * jitter, stable=True).tolist()
    groups: list[list[int]] = [[]]
    longest = 0
    for index in order:
        longest = max(longest, frames[index])
        if longest * (len(groups[-1]) + 1) > group_frames:
            groups.append([])
            longest = frames[index]
        groups[-1].append(index)
    shuffled = torch.randperm(len(groups), generator=generator).tolist()
    return [Group(epoch, tuple(groups[index])) for index in shuffled]


def num_steps(frames: Sequence[int], train: Train, seed: int) -> int:
    """Length of training in steps."""
    if train.steps is not None:
        return train.steps
    assert train.epochs is not None
    num_groups = sum(len(make_groups(frames, train.group_frames, seed, epoch)) for epoch in range(train.epochs))
    return -(-num_groups // train.groups_per_step)


def steps(frames: Sequence[int], train: Train, seed: int, start: int = 0) -> Iterator[list[Group]]:
    """The groups of step ``start``, ``start + 1``, ... to the end of training."""
    epochs = itertools.count() if train.epochs is None else range(train.epochs)
    groups = (group for epoch in epochs for group in make_groups(frames, train.group_frames, seed, epoch))
    every = (list(itertools.islice(groups, train.groups_per_step)) for _ in range(num_steps(frames, train, seed)))
    return itertools.islice(every, start, None)
