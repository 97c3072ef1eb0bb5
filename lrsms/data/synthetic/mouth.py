"""The mouth of a drawn face: its outlines at every moment, and the lips, teeth, tongue and dark between them.

Every outline is a curve over the columns of the picture, so a layer is drawn by comparing the rows with it. The upper
teeth stay with the head; the lower ones, the tongue's root and the chin go with the jaw.
"""

from dataclasses import dataclass

import numpy as np

from lrsms.data.synthetic.faces import Face
from lrsms.data.video import SIZE

_PIXELS = np.arange(SIZE, dtype=np.float32)
_MARGIN = 4
"""Pixels around the lips that their soft edges may reach."""
_TILT = 0.015
"""Slope of a head with a tilt of 1: pixels down for each pixel to the right."""


@dataclass(frozen=True)
class Mouth:
    """Some frames' outlines: heights over the columns of a window of the picture, ``(T, 1, W)`` each."""

    rows: slice
    """The window that holds the lips of all these frames."""
    columns: slice
    y: np.ndarray
    """``(H, 1)``: the window's rows."""
    x: np.ndarray
    """Columns as distances from the middle of the mouth."""
    u: np.ndarray
    """The same in half widths of the mouth: the corners are at -1 and 1."""
    middle: np.ndarray
    """The place where the closed lips would meet."""
    upper_outer: np.ndarray
    upper_inner: np.ndarray
    lower_inner: np.ndarray
    lower_outer: np.ndarray
    upper_teeth: np.ndarray
    """Their lower edge."""
    lower_teeth: np.ndarray
    """Their upper edge."""
    tongue: np.ndarray
    tongue_tip: np.ndarray
    """``(T, 1, 1)``: how far it shows before the teeth, 0 to 1."""
    half_width: np.ndarray
    """``(T, 1, 1)``."""
    drop: np.ndarray
    """``(T, 1, 1)``: of the jaw."""
    head: np.ndarray
    """``(T, 3, 1, 1)``: position x and y in pixels, tilt in pixels per pixel."""


def outlines(face: Face, trajectory: np.ndarray, head: np.ndarray) -> Mouth:
    """Where everything is.

    Args:
        face: whose mouth.
        trajectory: ``(T, 6)``, columns as in ``visemes.ARTICULATORS``.
        head: ``(T, 3)``: how far the head is to the right and down, in pixels, and its tilt.
    """
    opening, width, protrusion, jaw, tongue, tuck = trajectory.T[:, :, None, None]
    head = head[:, :, None, None] * np.array([1, 1, _TILT], np.float32)[:, None, None]
    half_width = face.half_width * (1 + 0.26 * (width - 0.5) - 0.3 * protrusion - 0.05 * opening)
    reach = 1.15 * face.half_width + _MARGIN
    columns = slice(max(0, int(face.x - reach)), min(SIZE, int(face.x + reach) + 1))
    x = _PIXELS[columns] - (face.x + head[:, 0])
    u = x / half_width
    arch = np.maximum(1 - np.square(u), -0.5)
    inside = np.maximum(arch, 0)
    gap = face.articulation * face.gap * opening
    drop = face.articulation * face.gap * 0.75 * jaw
    level = face.y + head[:, 1] + head[:, 2] * x
    middle = level - face.smile * np.minimum(np.square(u), 1.5)
    round_gap = gap * inside ** (0.8 - 0.25 * protrusion)
    upper_inner = middle - 0.3 * round_gap - 2.4 * tuck * inside
    lower_inner = middle + 0.7 * round_gap * (1 - 0.7 * tuck)
    pressed = np.maximum(1 - opening / 0.05, 0)
    fullness = 1 + 0.3 * protrusion - 0.15 * opening - 0.25 * pressed
    bow = 1 - face.bow * np.exp(-np.square(x / 3.2)) + 0.12 * np.exp(-np.square((np.abs(x) - 6) / 4))
    teeth = level + 1.8 - 2.5 * np.square(u)
    lower_teeth = teeth + 0.6 + drop
    upper_outer = upper_inner - face.upper_lip * fullness * bow * arch
    thickness = face.lower_lip * (fullness - 0.45 * tuck) * np.sign(arch) * np.abs(arch) ** 0.75
    lower_outer = lower_inner + thickness
    rows = slice(max(0, int(upper_outer.min()) - _MARGIN), min(SIZE, int(lower_outer.max()) + _MARGIN))
    return Mouth(
        rows=rows,
        columns=columns,
        y=_PIXELS[rows, None],
        x=x,
        u=u,
        middle=middle,
        upper_outer=upper_outer,
        upper_inner=upper_inner,
        lower_inner=lower_inner,
        lower_outer=lower_outer,
        upper_teeth=teeth,
        lower_teeth=lower_teeth,
        tongue=teeth + 0.5 + (0.4 * drop + 1.5) * (1 - tongue) + 4 * np.square(u),
        tongue_tip=np.clip((tongue - 0.8) / 0.2, 0, 1),
        half_width=half_width,
        drop=drop,
        head=head,
    )


def paint(picture: np.ndarray, face: Face, mouth: Mouth) -> None:
    """Paints the mouth over the skin ``(T, 96, 96)``, in place."""
    window = picture[:, mouth.rows, mouth.columns]
    _paint_lips(window, face, mouth)
    _paint_inside(window, face, mouth)


def _paint_lips(picture: np.ndarray, face: Face, mouth: Mouth) -> None:
    softness = 1.6 * face.blur
    flat = (
        np.float32(face.skin * face.lips)
        * (1 + np.float32(face.light_x / SIZE * 2) * mouth.x)
        * (1 - 0.12 * np.square(mouth.u))
    )
    creases = 1 + 0.04 * np.sin(mouth.x * 2.1 + 3 * np.sin(mouth.x * 0.7))
    flat *= creases
    thickness = np.maximum(mouth.upper_inner - mouth.upper_outer, 0.5)
    upper = (mouth.upper_inner - mouth.y) * (np.float32(0.22) / thickness)
    upper += np.float32(0.70)
    upper *= flat
    _blend(picture, upper, _between(mouth.y, mouth.upper_outer, mouth.middle, softness))
    thickness = np.maximum(mouth.lower_outer - mouth.lower_inner, 0.5)
    lower = (mouth.y - mouth.lower_inner) * (1 / thickness) - np.float32(0.42)
    np.square(lower, out=lower)
    lower *= np.float32(-1.1)
    lower += np.float32(1.02)
    np.maximum(lower, np.float32(0.62), out=lower)
    lower *= flat
    _blend(picture, lower, _between(mouth.y, mouth.middle, mouth.lower_outer, softness))


def _paint_inside(picture: np.ndarray, face: Face, mouth: Mouth) -> None:
    softness = face.blur
    depth = (1 - 0.55 * np.square(mouth.u)).clip(0.15)
    # Closed lips leave a dark line.
    line = np.maximum(1 - np.abs(mouth.y - mouth.middle) / np.float32(1.8), 0)
    closed = np.clip(1 - (mouth.lower_inner - mouth.upper_inner) / 4, 0, 1) * step((1.04 - np.abs(mouth.u)) * 8)
    line *= np.float32(-0.5) * closed
    line += 1
    picture *= line

    inside = np.full_like(picture, 0.12 * face.skin)
    inside += (mouth.y - mouth.middle) * np.float32(0.004 * face.skin)
    soft = np.float32(1 / (2 * face.blur))
    tongue = step((mouth.y - mouth.tongue) * soft)
    _blend(inside, np.float32(face.tongue) * depth, tongue)
    lit = np.float32(face.teeth) * depth
    gaps = np.abs(mouth.x / face.tooth_width - np.rint(mouth.x / face.tooth_width))
    lit *= 1 - 0.22 * np.exp(-np.square((0.5 - gaps) / 0.12))
    lower = step((mouth.y - mouth.lower_teeth) * soft)
    _blend(inside, 0.8 * lit, lower)
    upper = step((mouth.upper_teeth - mouth.y) * soft)
    _blend(inside, lit, upper)
    tip = _between(mouth.y, mouth.upper_teeth - 1.5, mouth.upper_teeth + 5, 2 * softness)
    tip *= mouth.tongue_tip * step((0.45 - np.abs(mouth.u)) * 6)
    _blend(inside, np.float32(1.15 * face.tongue), tip)
    # The upper lip throws a shadow.
    shadow = (mouth.y - mouth.upper_inner) * np.float32(0.12)
    shadow += np.float32(0.55)
    np.clip(shadow, 0.4, 1, out=shadow)
    inside *= shadow
    _blend(picture, inside, _between(mouth.y, mouth.upper_inner, mouth.lower_inner, 1.4 * softness))


def step(x: np.ndarray) -> np.ndarray:
    """From 0 to 1 where x passes from -0.5 to 0.5."""
    return np.clip(x + np.float32(0.5), 0, 1)


def _between(y: np.ndarray, top: np.ndarray, bottom: np.ndarray, softness: float) -> np.ndarray:
    """``(T, 96, 96)``: 1 between two curves, 0 elsewhere, also where the curves cross over."""
    scale = np.float32(1 / softness)
    cover = step((y - top) * scale)
    cover *= step((bottom - y) * scale)
    cover *= np.clip((bottom - top) * scale, 0, 1)
    return cover


def _blend(picture: np.ndarray, tone: np.ndarray | np.floating, cover: np.ndarray) -> None:
    """Brings the picture to ``tone`` as far as ``cover`` says, in place."""
    change = tone - picture
    change *= cover
    picture += change
