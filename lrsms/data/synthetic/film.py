"""Films of a face that speaks, drawn from what its articulators do.

A face is seen from the front, in grey, 96x96 as the crops of real corpora are: lips, teeth, tongue and the dark between
them, the skin from the nose to the chin, light from one side, a head that never quite keeps still, a camera that is
never quite free of noise.
"""

import math

import numpy as np

from lrsms.data.synthetic import mouth
from lrsms.data.synthetic.faces import Face
from lrsms.data.synthetic.skin import Skin
from lrsms.data.synthetic.visemes import ARTICULATORS
from lrsms.data.video import SIZE
from lrsms.study.frames import FRAMES_PER_SECOND

_CHUNK = 16
"""Frames drawn at once: their arrays stay in the processor's cache."""
_HERTZ = np.array([0.25, 0.6, 1.1])
"""Frequencies at which a head sways."""


def draw(face: Face, trajectory: np.ndarray, seed: int) -> np.ndarray:
    """Films a face.

    Args:
        face: whose.
        trajectory: ``(T, 6)``, columns as in ``visemes.ARTICULATORS``.
        seed: of what differs between two films of one face: how the head moves, and the camera's noise.

    Returns:
        ``(T, 96, 96)`` uint8.
    """
    assert trajectory.shape[1:] == (len(ARTICULATORS),), trajectory.shape
    rng = np.random.RandomState(seed % 2**32)  # the old generator: its values will never change
    head = _head_motion(len(trajectory), rng) * np.float32(face.motion)
    skin = Skin(face)
    frames = np.empty((len(trajectory), SIZE, SIZE), np.uint8)
    for first in range(0, len(frames), _CHUNK):
        part = slice(first, first + _CHUNK)
        outlines = mouth.outlines(face, trajectory[part], head[part])
        picture = skin.draw(outlines)
        mouth.paint(picture, face, outlines)
        picture += _camera_noise(picture.shape, rng) * np.float32(face.noise)
        frames[part] = np.clip(picture, 0, 255, out=picture)
    return frames


def _head_motion(num_frames: int, rng: np.random.RandomState) -> np.ndarray:
    """``(T, 3)`` float32 of unit variance over time: position x and y, tilt."""
    seconds = np.arange(num_frames) / FRAMES_PER_SECOND
    phases = 2 * np.pi * rng.random_sample((3, len(_HERTZ)))
    waves = np.sin(2 * np.pi * _HERTZ * seconds[:, None, None] + phases) / np.sqrt(_HERTZ)
    return (waves.sum(2) / np.sqrt((0.5 / _HERTZ).sum())).astype(np.float32)


def _camera_noise(shape: tuple[int, ...], rng: np.random.RandomState) -> np.ndarray:
    """Float32 of unit variance; the sum of two uniform variables, which is bell-shaped enough and fast."""
    first, second = np.frombuffer(rng.bytes(2 * math.prod(shape)), np.uint8).reshape(2, *shape)
    return (np.add(first, second, dtype=np.float32) - 255) * np.float32(math.sqrt(6) / 256)
