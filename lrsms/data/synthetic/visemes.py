"""From phonemes and their times to what lips, jaw and tongue do: targets for each viseme, blended over time.

Speech sounds that look alike share a viseme: /p b m/, /f v/, /t d n/ and so on, as lip-readers confuse them (Fisher
1968, "Confusions among visually perceived consonants"; Jeffers and Barley 1971, "Speechreading"). Neighbours blend
by dominance, as in Cohen and Massaro 1993 ("Modeling coarticulation in synthetic visual speech"), which falls as a
Gaussian of the distance in time.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from lrsms.study.frames import FRAMES_PER_SECOND

ARTICULATORS = ("opening", "width", "protrusion", "jaw", "tongue", "tuck")
"""Columns of a trajectory, each from 0 to 1: gap between the lips; how far the corners are drawn apart, 0.5 at rest;
lips pushed forward and rounded; gap between the teeth; tongue raised and forward, between the teeth at 1; lower lip
against the upper teeth."""


@dataclass(frozen=True)
class Pose:
    """A viseme's target, in the order of ``ARTICULATORS``."""

    opening: float
    width: float
    protrusion: float = 0.0
    jaw: float = 0.0
    tongue: float = 0.3
    tuck: float = 0.0


@dataclass(frozen=True)
class Dominance:
    """How much a viseme insists on its target, in the order of ``ARTICULATORS``; a plain vowel's is 1."""

    opening: float = 1.0
    width: float = 1.0
    protrusion: float = 1.0
    jaw: float = 1.0
    tongue: float = 1.0
    tuck: float = 1.0


@dataclass(frozen=True)
class Viseme:
    """A group of phonemes that look alike."""

    pose: Pose
    dominance: Dominance
    phonemes: str
    """Names in espeak-ng's notation, without stress; empty for parts of diphthongs only."""


_VOWEL = Dominance()
_REDUCED = Dominance(0.5, 0.5, 0.5, 0.5, 0.5, 1)
_LIPS_FREE = Dominance(0.7, 0.25, 0.25, 0.8, 1.5, 1)
"""Made by the tongue: the lips take the shape of the neighbours."""
_HIDDEN = Dominance(0.25, 0.1, 0.1, 0.25, 0.5, 1)
"""Made where nobody can see."""

REST = "rest"
VISEMES: dict[str, Viseme] = {
    REST: Viseme(Pose(0.05, 0.5, 0.1, 0.05, 0.3), Dominance(0.6, 0.6, 0.6, 0.6, 0.6, 1), ""),
    # Consonants, from the lips inwards. Targets beyond 0 and 1 are pressed lips and the like: reached beside any vowel.
    "bilabial": Viseme(Pose(-0.3, 0.5, 0.15, 0.15, 0.3), Dominance(4, 0.3, 0.3, 1, 0.3, 3), "p b m m-"),
    "labiodental": Viseme(Pose(0.18, 0.55, 0.0, 0.12, 0.2, 1.3), Dominance(4, 0.6, 0.6, 2, 0.5, 4), "f v"),
    "dental": Viseme(Pose(0.36, 0.55, 0.0, 0.28, 1.2), Dominance(1.5, 0.4, 0.4, 2, 5, 1), "T D"),
    "alveolar": Viseme(Pose(0.30, 0.55, 0.0, 0.18, 0.75), _LIPS_FREE, "t d n t# t2 t[ d[ n- d#"),
    "sibilant": Viseme(Pose(0.30, 0.72, 0.0, 0.03, 0.45), Dominance(1.5, 0.6, 0.6, 4, 1, 1), "s z z/2 z#"),
    "lateral": Viseme(Pose(0.42, 0.55, 0.0, 0.36, 0.85), Dominance(0.9, 0.3, 0.3, 1, 3, 1), "l l/2"),
    "postalveolar": Viseme(Pose(0.34, 0.28, 0.7, 0.05, 0.4), Dominance(2, 2, 2.5, 4, 1, 1), "S Z tS dZ"),
    "rhotic": Viseme(Pose(0.26, 0.3, 0.55, 0.2, 0.35), Dominance(1, 1, 1.2, 1, 1, 1), "r r- r/"),
    "labial-velar": Viseme(Pose(0.10, 0.05, 1.0, 0.2, 0.1), Dominance(3, 3, 3, 1, 1, 1), "w w#"),
    "palatal": Viseme(Pose(0.25, 0.8, 0.0, 0.2, 0.6), Dominance(0.7, 0.7, 0.5, 0.7, 1, 1), "j ;"),
    "velar": Viseme(Pose(0.35, 0.5, 0.0, 0.3, 0.15), _HIDDEN, "k g N h ? x"),
    # Vowels, by height, then from front to back.
    "close front": Viseme(Pose(0.28, 0.95, 0.0, 0.22, 0.55), _VOWEL, "i: i"),
    "near-close front": Viseme(Pose(0.36, 0.78, 0.0, 0.3, 0.45), Dominance(0.8, 0.8, 0.8, 0.8, 0.8, 1), "I"),
    "mid front": Viseme(Pose(0.55, 0.78, 0.0, 0.5, 0.4), _VOWEL, "E e"),
    "open front": Viseme(Pose(0.80, 0.75, 0.0, 0.8, 0.25), _VOWEL, "a aa"),
    "mid central": Viseme(Pose(0.38, 0.52, 0.05, 0.35, 0.3), _REDUCED, "@ a#"),
    "rounded central": Viseme(Pose(0.40, 0.38, 0.4, 0.35, 0.3), _VOWEL, "3 3: VR IR"),
    "open central": Viseme(Pose(0.64, 0.55, 0.0, 0.62, 0.2), _VOWEL, "V"),
    "open back": Viseme(Pose(0.92, 0.5, 0.0, 0.95, 0.1), _VOWEL, "A: A"),
    "open rounded": Viseme(Pose(0.66, 0.36, 0.45, 0.65, 0.1), _VOWEL, "0 O2"),
    "mid rounded": Viseme(Pose(0.52, 0.2, 0.75, 0.55, 0.1), _VOWEL, "O: O o"),
    "near-close rounded": Viseme(Pose(0.30, 0.25, 0.65, 0.3, 0.1), _VOWEL, "U"),
    "close rounded": Viseme(Pose(0.16, 0.05, 1.0, 0.22, 0.1), Dominance(1.5, 1.5, 1.5, 1, 1, 1), "u: u"),
}
"""By name; shapes after Jeffers and Barley's descriptions, with vowels placed by height, backness and rounding."""

# fmt: off
_SEQUENCES = {
    "aI": "a I", "eI": "E I", "OI": "O: I", "aU": "a U", "oU": "O: U", "aI@": "a I @", "aI3": "a I 3", "aU@": "a U @",
    "i@": "I @", "i@3": "I 3", "e@": "E @", "U@": "U @", "A@": "A: @", "O@": "O: @", "o@": "O: @", "@L": "@ l",
}
# fmt: on
"""Phonemes that move from one viseme to another, in equal parts."""

_STRESS = "',%="
_QUALIFIERS = "0123456789#-:/["
_BY_PHONEME = {name: viseme for viseme, entry in VISEMES.items() for name in entry.phonemes.split()}
_CLOSURES = ("bilabial", "labiodental", "labial-velar")
_SHORTEST_CLOSURE = 1 / FRAMES_PER_SECOND
"""Seconds: a picture is taken of every closure."""
_REACH = np.array([0.024, 0.055, 0.055, 0.035, 0.030, 0.024])
"""Seconds beyond a viseme's own time at which its dominance has fallen to 1/e; rounding is prepared earliest."""
_LAG = 0.03
"""Largest lead or lag, in seconds, of the lips in an utterance."""
_VARIATION = np.array([0.06, 0.08, 0.08, 0.08, 0.15, 0.05])
"""Standard deviation of what a viseme reaches around its target, in the order of ``ARTICULATORS``."""


def visemes(phoneme: str) -> tuple[str, ...]:
    """The visemes that a phoneme passes through; one, but for diphthongs.

    Args:
        phoneme: in espeak-ng's notation. One that is not known as it stands is taken without stress and then without
            its qualifiers (``I2`` as ``I``), and otherwise as a neutral vowel.
    """
    if phoneme.startswith("_"):
        return (REST,)
    plain = phoneme.lstrip(_STRESS)
    for name in (plain, plain.rstrip(_QUALIFIERS)):
        if name in _SEQUENCES:
            return tuple(_BY_PHONEME[part] for part in _SEQUENCES[name].split())
        if name in _BY_PHONEME:
            return (_BY_PHONEME[name],)
    return ("mid central",)


def segments(phonemes: Sequence[tuple[str, float]], end: float, num_frames: int) -> list[tuple[str, float, float]]:
    """Viseme, start and end of each stretch of a recording, in seconds, silence around the speech included."""
    times = [*(start for _, start in phonemes), end]
    result = [(REST, 0.0, times[0])]
    for (phoneme, start), stop in zip(phonemes, times[1:], strict=True):
        parts = visemes(phoneme)
        edges = np.linspace(start, stop, len(parts) + 1).tolist()
        result += [(part, edges[index], edges[index + 1]) for index, part in enumerate(parts)]
    return [*result, (REST, end, max(end, num_frames / FRAMES_PER_SECOND))]


def trajectories(
    phonemes: Sequence[tuple[str, float]], end: float, num_frames: int, seed: int | None = None
) -> np.ndarray:
    """The movements of the mouth during speech.

    Args:
        phonemes: names in espeak-ng's notation and starts in seconds, which never fall.
        end: of the last phoneme, in seconds.
        num_frames: number of frames T; frame t stands for the middle of its 40 ms.
        seed: of what differs each time the same is said: targets are missed, the lips are ahead of the voice or behind
            it. None: every target is aimed at exactly.

    Returns:
        ``(T, 6)`` float32, columns as in ``ARTICULATORS``.
    """
    names, starts, stops = zip(*segments(phonemes, end, num_frames), strict=True)
    start, stop = np.array(starts), np.array(stops)
    poses = np.array([astuple(VISEMES[name].pose) for name in names])
    if seed is not None:
        rng = np.random.RandomState(seed % 2**32)  # the old generator: its values will never change
        lag = _LAG * (2 * rng.random_sample() - 1)
        start, stop = start + lag, stop + lag
        poses = poses + _VARIATION * rng.standard_normal(poses.shape)
    is_closure = np.isin(names, _CLOSURES)
    missing = np.where(is_closure, np.maximum(_SHORTEST_CLOSURE - (stop - start), 0), 0)
    start, stop = start - missing / 2, stop + missing / 2
    strengths = np.array([astuple(VISEMES[name].dominance) for name in names])
    times = (np.arange(num_frames) + 0.5)[:, None] / FRAMES_PER_SECOND
    distance = np.maximum(np.maximum(start - times, times - stop), 0)
    dominance = strengths * np.exp(-np.square(distance[:, :, None] / _REACH))
    return np.clip((dominance * poses).sum(1) / dominance.sum(1), 0, 1).astype(np.float32)
