"""Facts about groups: what is padded, what is masked, and loading ahead that changes nothing."""

import threading
import time

import numpy as np
import pytest
import torch

from lrsms import config
from lrsms.data.audio import FEATURES_PER_SECOND, apply_masks, log_mel
from lrsms.data.batch import collate, in_batches, load_ahead, network_inputs, normalise_waves, training_masks

CPU = torch.device("cpu")


def test_a_group_is_padded_to_its_longest(prepared):
    items = prepared.items("train")[:5]
    batch = collate(prepared, items, epoch=3)
    longest = max(item.frames for item in items)
    assert batch.waves.shape == (5, 640 * longest)
    assert batch.epoch == 3
    assert batch.lengths.tolist() == [item.frames for item in items]
    assert batch.token_lengths.tolist() == [len(item.tokens) for item in items]
    for row, item in enumerate(items):
        np.testing.assert_array_equal(batch.waves[row, : 640 * item.frames], prepared.wave(item))
        assert not batch.waves[row, 640 * item.frames :].any()
        assert batch.tokens[row].tolist() == list(item.tokens) + [0] * (batch.tokens.shape[1] - len(item.tokens))


def test_masks_are_a_function_of_seed_epoch_and_utterance(prepared, make_run):
    augment = make_run().train.augment
    one, other = prepared.items("train")[:2]
    masks = training_masks(one, augment, 20, 1, 0)
    torch.rand(5)
    assert training_masks(one, augment, 20, 1, 0) == masks
    assert masks.times and masks.mels
    for changed in (
        training_masks(other, augment, 20, 1, 0),
        training_masks(one, augment, 20, 2, 0),
        training_masks(one, augment, 20, 1, 1),
    ):
        assert changed != masks


def test_features_are_masked_only_where_masks_are_given(prepared, make_run):
    run = make_run()
    items = prepared.items("train")[:3]
    plain = network_inputs(collate(prepared, items), run.model, CPU)
    batch = collate(prepared, items, [training_masks(item, run.train.augment, 20, 1, 0) for item in items])
    masked = network_inputs(batch, run.model, CPU)
    assert torch.equal(plain, log_mel(batch.waves, batch.lengths, 20))
    assert torch.equal(masked, apply_masks(plain, batch.masks, FEATURES_PER_SECOND))
    assert not torch.equal(masked, plain)


def test_waves_are_normalised_over_their_own_samples(prepared):
    batch = collate(prepared, prepared.items("train")[:4])
    waves = normalise_waves(batch.waves.double(), batch.lengths)
    for row, frames in enumerate(batch.lengths.tolist()):
        own = waves[row, : 640 * frames]
        assert own.mean().item() == pytest.approx(0, abs=1e-9)
        assert own.square().mean().item() == pytest.approx(1, rel=1e-3)
        assert not waves[row, 640 * frames :].any()
        alone = normalise_waves(batch.waves[row : row + 1, : 640 * frames].double(), batch.lengths[row : row + 1])
        torch.testing.assert_close(own, alone[0])


def test_the_wave_front_end_gets_waves(prepared):
    model = config.Model(
        frontend="wave", channels=4, dim=16, heads=2, feedforward=16, layers=1, kernel=3, decoder_layers=0, dropout=0.0,
        initialiser="default",
    )  # fmt: skip
    batch = collate(prepared, prepared.items("valid")[:2])
    assert torch.equal(network_inputs(batch, model, CPU), normalise_waves(batch.waves, batch.lengths))


@pytest.mark.parametrize("limit", [1, 100, 300, 10**6])
def test_decoding_batches_hold_everything_once_within_the_limit(prepared, limit):
    items = prepared.items("train")
    batches = list(in_batches(items, limit))
    assert sorted(item.id for batch in batches for item in batch) == sorted(item.id for item in items)
    assert all(len(batch) == 1 or max(item.frames for item in batch) * len(batch) <= limit for batch in batches)


def test_no_utterances_make_no_batches():
    assert list(in_batches([], 100)) == []


def test_loading_ahead_is_map_in_order():
    def load(number):
        time.sleep(0.001 * (number % 3))
        return number * number or None

    assert list(load_ahead(range(30), load)) == [number * number or None for number in range(30)]
    assert list(load_ahead([], load)) == []


@pytest.mark.parametrize("error", [ValueError("torn"), KeyError("x"), StopIteration(), OSError(28, "full")])
def test_an_error_of_loading_is_raised_after_what_came_before(error):
    def load(number):
        if number == 3:
            raise error
        return number

    loaded = []
    # A generator turns a StopIteration that passes through it into a RuntimeError: it is no quiet end.
    with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
        for number in load_ahead(range(9), load):
            loaded.append(number)
    assert loaded == [0, 1, 2]


def test_an_error_of_what_is_wanted_is_raised_too():
    def wanted():
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(load_ahead(wanted(), lambda number: number))


def test_no_more_is_loaded_than_is_kept_ready():
    loaded = []
    loader = load_ahead(range(100), lambda number: loaded.append(number) or number, ahead=2)
    next(loader)
    time.sleep(0.3)
    assert len(loaded) <= 5
    loader.close()


def test_closing_ends_the_thread():
    loader = load_ahead(range(10**9), lambda number: number)
    before = set(threading.enumerate())
    assert next(loader) == 0
    (thread,) = [thread for thread in set(threading.enumerate()) - before if thread.name == "load_ahead"]
    loader.close()
    thread.join(timeout=10)
    assert not thread.is_alive()
