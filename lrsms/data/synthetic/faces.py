"""The faces of speakers: everything that differs between two people is a number in ``Face``."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Face:
    """Lengths in pixels, tones from 0 (black) to 255 (white)."""

    x: float
    """Position of the middle of the mouth."""
    y: float
    half_width: float
    """Half the width of the mouth at rest."""
    gap: float
    """Between the lips at their widest."""
    upper_lip: float
    """Thickness."""
    lower_lip: float
    bow: float
    """Depth of the Cupid's bow as a share of the upper lip."""
    smile: float
    """Height of the corners above the middle of the closed mouth."""
    skin: float
    lips: float
    """Tone as a share of the skin's."""
    teeth: float
    tongue: float
    light_x: float
    """Change of brightness from the middle to the right edge, as a share."""
    light_y: float
    """The same, to the lower edge."""
    relief: float
    """How deep the shadows of nose, chin and cheeks are."""
    beard: float
    """Darkness of a shaved or short beard, 0 for none."""
    tooth_width: float
    articulation: float
    """How far the mouth moves for the same speech."""
    motion: float
    """Standard deviation of the head's position."""
    blur: float
    """Softness of edges."""
    noise: float
    """Standard deviation of the camera's noise."""
    seed: int
    """Seed of pores and beard."""


_RANGES = {
    "x": (45, 51),
    "y": (44, 51),
    "half_width": (20, 26),
    "gap": (17, 23),
    "upper_lip": (4.0, 7.5),
    "lower_lip": (6.0, 10.0),
    "bow": (0.1, 0.45),
    "smile": (-1.0, 1.8),
    "skin": (95, 205),
    "lips": (0.62, 0.82),
    "teeth": (185, 235),
    "tongue": (75, 115),
    "light_x": (-0.18, 0.18),
    "light_y": (-0.12, 0.06),
    "relief": (0.6, 1.3),
    "beard": (-0.3, 0.3),
    "tooth_width": (3.6, 5.0),
    "articulation": (0.6, 1.05),
    "motion": (0.4, 1.4),
    "blur": (0.7, 1.6),
    "noise": (2.0, 5.0),
}


def face(seed: int) -> Face:
    """Somebody's face; the same for the same seed."""
    rng = Random(seed)
    numbers = {name: low + (high - low) * rng.random() for name, (low, high) in _RANGES.items()}
    numbers["beard"] = max(0.0, numbers["beard"])
    return Face(**numbers, seed=seed)
