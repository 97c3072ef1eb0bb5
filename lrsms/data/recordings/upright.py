"""How a picture is turned before it is shown: phones store what their sensor sees, and note how they were held."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_SLANT = 0.01
"""Largest part of a quarter turn that a matrix may leave over, from rounding."""


class Turn(NamedTuple):
    """The operations on rows and columns, in this order."""

    is_transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """``(H, W)`` -> ``(H, W)`` or ``(W, H)``, a view."""
        shown = picture.T if self.is_transposed else picture
        return shown[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]


def turn(path: Path, frame: "VideoFrame") -> Turn:
    """How players turn a frame, by its display matrix (ISO/IEC 14496-12, 6.2.2): quarter turns and mirrorings.

    Raises:
        ValueError: one line: it is turned by another angle.
    """
    from av.sidedata.sidedata import Type

    side_data: Any = frame.side_data  # whose stub knows one kind only
    matrix = side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return Turn()
    # Column (x) and row (y) of a stored pixel are shown at x' = a x + c y and y' = b x + d y, but for an offset.
    a, b, _, c, d = (int(number) for number in np.frombuffer(matrix, np.int32)[:5])
    along, across = max(abs(a), abs(d)), max(abs(b), abs(c))
    if min(along, across) > _SLANT * max(along, across):
        raise ValueError(f"{path}: is to be shown turned by {abs(frame.rotation)} degrees; write it anew, upright")
    if along >= across:
        return Turn(False, d < 0, a < 0)
    return Turn(True, b < 0, c < 0)
