"""Facts about cutting: no piece is too long, nothing is lost, and cuts lie where it is quiet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsms.study.frames import SAMPLES_PER_FRAME
from lrsms.use.pieces import Piece, even_cuts, quiet_cuts, spoken


def lengths(cuts, frames):
    return np.diff([0, *cuts, frames])


@given(st.integers(1, 400), st.integers(10, 90), st.integers(0, 100))
def test_no_piece_is_longer_than_allowed_nor_much_shorter(frames, longest, seed):
    samples = np.random.default_rng(seed).integers(-3000, 3000, SAMPLES_PER_FRAME * frames).astype("<i2")
    pieces = lengths(quiet_cuts(samples, longest), frames)
    assert pieces.sum() == frames
    assert pieces.max() <= longest
    assert all(piece >= longest // 2 for piece in pieces[:-1])


def test_cuts_are_in_the_pauses():
    loud = np.random.default_rng(0).integers(-9000, 9000, (200, SAMPLES_PER_FRAME))
    pauses = [range(38, 43), range(88, 93), range(130, 135)]
    for pause in pauses:
        loud[list(pause)] //= 1000
    cuts = quiet_cuts(loud.reshape(-1).astype("<i2"), 60)
    assert cuts == [40, 90, 132, *cuts[3:]]


def test_digital_silence_belongs_to_no_piece():
    loud = np.random.default_rng(0).integers(-9000, 9000, (100, SAMPLES_PER_FRAME))
    for frames in (range(0, 4), range(40, 60), range(80, 100)):
        loud[list(frames)] = 0
    samples = loud.reshape(-1).astype("<i2")
    assert spoken(samples, [(0, 50), (50, 80), (80, 100)]) == [(4, 40), (60, 80)]
    noisy = samples + np.random.default_rng(1).integers(-40, 40, len(samples)).astype("<i2")
    assert spoken(noisy, [(0, 50), (50, 100)]) == [(0, 50), (50, 100)]


@given(st.integers(1, 1000), st.integers(1, 90))
def test_what_is_only_seen_is_cut_evenly(frames, longest):
    pieces = lengths(even_cuts(frames, longest), frames)
    assert pieces.max() <= longest
    assert np.ptp(pieces) <= 1
    assert len(pieces) == -(-frames // longest)


@pytest.mark.parametrize(("value", "is_silent"), [(0, True), (7, True), (None, False)])
def test_a_piece_without_any_change_is_silent(value, is_silent):
    samples = np.arange(3200) % 50 if value is None else np.full(3200, value)
    assert Piece(0, 5, samples.astype("<i2"), None).is_silent is is_silent
