"""Facts about arrays on disk that grow."""

import hashlib

import numpy as np
import pytest

from lrsms.data.growing import GrowingArray


@pytest.mark.parametrize(("dtype", "shape"), [("<i2", ()), ("u1", (4, 3))])
def test_what_was_appended_is_one_array_and_its_hash_is_of_the_elements(tmp_path, dtype, shape):
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 100, (length, *shape)).astype(dtype) for length in (1, 0, 12_345)]
    with GrowingArray(tmp_path / "a.npy", dtype, shape) as array, GrowingArray(None, dtype, shape) as in_place:
        for part in parts:
            array.append(part)
            in_place.append(part)
    whole = np.concatenate(parts)
    loaded = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert loaded.dtype == dtype
    np.testing.assert_array_equal(loaded, whole)
    assert array.hash == in_place.hash == hashlib.sha256(whole.tobytes()).hexdigest()


def test_slices_that_do_not_lie_in_one_piece_are_written_as_they_read(tmp_path):
    pictures = np.arange(2 * 6 * 6, dtype=np.uint8).reshape(2, 6, 6)[:, ::2, ::2]
    with GrowingArray(tmp_path / "a.npy", "u1", (3, 3)) as array:
        array.append(pictures)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), pictures)


def test_another_type_or_shape_is_a_mistake(tmp_path):
    with GrowingArray(tmp_path / "a.npy", "<i2") as array, pytest.raises(AssertionError):
        array.append(np.zeros(3))
