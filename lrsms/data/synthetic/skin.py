"""Everything but the mouth: skin with light on it, pores or a beard, and shadows around what stands out of a face."""

import math

import numpy as np

from lrsms.data.synthetic.faces import Face
from lrsms.data.synthetic.mouth import Mouth, step
from lrsms.data.video import SIZE

_PIXELS = np.arange(SIZE, dtype=np.float32)
_TEXTURE_MARGIN = 8
"""Pixels that the head may move."""
_STILL = (
    (0.60, -6.5, -24.0, 3.2, 2.2),  # nostrils
    (0.60, 6.5, -24.0, 3.2, 2.2),
    (0.28, 0.0, -24.0, 13.0, 3.5),  # under the nose
    (-0.14, 0.0, -33.0, 7.0, 6.0),  # its tip
    (0.18, -15.0, -30.0, 3.0, 7.0),  # beside it
    (0.18, 15.0, -30.0, 3.0, 7.0),
    (0.09, 0.0, -14.0, 2.2, 5.0),  # philtrum
    (-0.05, -4.5, -14.0, 2.0, 5.0),
    (-0.05, 4.5, -14.0, 2.0, 5.0),
    (0.10, -21.0, -18.0, 4.0, 5.0),  # folds from the nose to beside the mouth
    (0.10, -26.0, -9.0, 3.5, 6.0),
    (0.10, 21.0, -18.0, 4.0, 5.0),
    (0.10, 26.0, -9.0, 3.5, 6.0),
    (0.30, -54.0, 10.0, 14.0, 60.0),  # the cheeks turn away
    (0.30, 54.0, 10.0, 14.0, 60.0),
)
"""Hollows that do not move with the jaw: depth, below 0 for what stands out; x and y from the middle of the mouth;
half axes. In a hollow it is darker."""


class Skin:
    """Somebody's, at rest; drawn for each moment of a film."""

    def __init__(self, face: Face) -> None:
        self.face = face
        across = (_PIXELS - SIZE / 2) / (SIZE / 2)
        self.light = np.float32(face.skin) * (1 + face.light_x * across + face.light_y * across[:, None])
        rng = np.random.RandomState(face.seed % 2**32)
        side = SIZE + 2 * _TEXTURE_MARGIN
        fine = rng.random_sample((side, side)) - 0.5
        coarse = np.kron(rng.random_sample((side // 8, side // 8)) - 0.5, np.ones((8, 8)))
        for axis in (0, 1):
            coarse = np.mean([np.roll(coarse, shift, axis) for shift in range(-4, 5)], axis=0)
        rows = np.arange(side)[:, None] - _TEXTURE_MARGIN - face.y
        columns = np.abs(np.arange(side)[None] - _TEXTURE_MARGIN - face.x)
        bearded = step((rows + 17 + columns / 6) / 12)
        roughness = 0.05 + 0.3 * face.beard * bearded
        self.texture = (1 + roughness * fine + 0.12 * coarse - face.beard * bearded).astype(np.float32)

    def draw(self, mouth: Mouth) -> np.ndarray:
        """``(T, 96, 96)`` float32."""
        face = self.face
        hollows = self._hollows(mouth)
        strength, x, y, half_width, half_height = (hollows[:, :, index, None] for index in range(5))
        columns = np.exp(-np.square((_PIXELS - x) / half_width))
        rows = strength * np.exp(-np.square((_PIXELS - y) / half_height))
        shade = np.matmul(rows.transpose(0, 2, 1), columns)
        shade *= -face.relief
        shade += 1
        shade *= self.light
        for picture, x_shift, y_shift in zip(shade, mouth.head[:, 0, 0, 0], mouth.head[:, 1, 0, 0], strict=True):
            picture *= _shifted(self.texture, float(x_shift), float(y_shift))
        return shade

    def _hollows(self, mouth: Mouth) -> np.ndarray:
        """``(T, K, 5)`` float32: the still and the moving hollows of some frames, in the picture."""
        drop, half_width = mouth.drop[:, 0, 0], mouth.half_width[:, 0, 0]
        lip = mouth.lower_outer[:, 0].max(axis=1) - self.face.y - mouth.head[:, 1, 0, 0]
        moving = (
            (0.26, 0, lip + 2.5, 12, 2.8),  # between lower lip and chin
            (-0.10, 0, 27 + drop, 11, 7),  # the chin
            (0.55, 0, 50 + drop, 36, 7),  # under it
            (0.30, -half_width, 0, 3, 3),  # the corners of the mouth
            (0.30, half_width, 0, 3, 3),
        )
        hollows = np.empty((len(drop), len(_STILL) + len(moving), 5), np.float32)
        hollows[:, : len(_STILL)] = _STILL
        for index, hollow in enumerate(moving, start=len(_STILL)):
            for column, value in enumerate(hollow):
                hollows[:, index, column] = value
        hollows[:, :, 1] += self.face.x + mouth.head[:, 0, :, 0]
        hollows[:, :, 2] += self.face.y + mouth.head[:, 1, :, 0]
        return hollows


def _shifted(texture: np.ndarray, x: float, y: float) -> np.ndarray:
    """``(96, 96)``: the middle of a texture that is moved by less than its margin, between pixels if need be."""
    left, top = math.floor(-x), math.floor(-y)
    across, down = np.float32(-x - left), np.float32(-y - top)
    left, top = left + _TEXTURE_MARGIN, top + _TEXTURE_MARGIN
    part = texture[top : top + SIZE + 1, left : left + SIZE + 1]
    part = part[:-1] + down * (part[1:] - part[:-1])
    return part[:, :-1] + across * (part[:, 1:] - part[:, :-1])
