from itertools import combinations
from random import Random

import numpy as np
import pytest

from lrsms.data.synthetic import grammar, visemes
from lrsms.data.synthetic.espeak import Synthesizer
from lrsms.data.synthetic.visemes import ARTICULATORS, trajectories
from lrsms.data.synthetic.voice import ACCENTS, VARIANTS, Voice

FRAME = 0.04


def say(*names: str, seconds: float = 0.12, before: float = 0.2) -> tuple[list[tuple[str, float]], float]:
    """Phonemes one after another, all of one length, and their end."""
    return [(name, before + index * seconds) for index, name in enumerate(names)], before + len(names) * seconds


def mouth(*names: str, seconds: float = 0.12) -> dict[str, np.ndarray]:
    """What each articulator does while they are said, with silence around."""
    phonemes, end = say(*names, seconds=seconds)
    return dict(zip(ARTICULATORS, trajectories(phonemes, end, int((end + 0.2) / FRAME)).T, strict=True))


def at(names: tuple[str, ...], index: int) -> dict[str, float]:
    """The articulators in the middle of the phoneme ``index``, which is held for 0.4 s."""
    path = mouth(*names, seconds=0.4)
    return {name: float(values[int((0.2 + (index + 0.5) * 0.4) / FRAME)]) for name, values in path.items()}


def test_every_phoneme_of_both_grammars_in_every_accent_has_a_viseme_of_its_own() -> None:
    known = {name for entry in visemes.VISEMES.values() for name in entry.phonemes.split()}
    assert sum(len(entry.phonemes.split()) for entry in visemes.VISEMES.values()) == len(known), "in two visemes"
    neutral = {name for name in known if visemes.visemes(name) == ("mid central",)}
    said: set[str] = set()
    with Synthesizer() as synthesizer:
        for name in grammar.GRAMMARS:
            source = grammar.grammar(name)
            sentences = grammar.sample(source, Random(1), 25)
            for accent in ACCENTS:
                voice = Voice(accent, VARIANTS[0], rate=400)
                for sentence in sentences:
                    said |= {name for name, _ in synthesizer.speak(source.spoken(sentence), voice).phonemes}
    assert len(said) > 90
    defaulted = {name for name in said if visemes.visemes(name) == ("mid central",)}
    assert {name.lstrip("',").rstrip("0123456789#-") for name in defaulted} <= {"@", "a"} | neutral


@pytest.mark.parametrize("group", ["pbm", "fv", "tdn", "sz", "kgN"])
def test_sounds_that_lip_readers_confuse_look_the_same(group: str) -> None:
    phonemes, end = say("'aI", "X", "'u:", "s", "X", "I")
    films = [
        trajectories([(sound if name == "X" else name, time) for name, time in phonemes], end, 40) for sound in group
    ]
    assert all(np.array_equal(film, films[0]) for film in films)


def test_sounds_that_lip_readers_tell_apart_differ() -> None:
    for names in (["p", "f", "T", "t", "s", "S", "w"], ["i:", "E", "a", "A:", "u:", "O:", "U"]):
        middles = {name: np.array(list(at(("@", name, "@"), 1).values())) for name in names}
        for (one, first), (other, second) in combinations(middles.items(), 2):
            assert np.abs(first - second).max() > 0.1, (one, other)


@pytest.mark.parametrize("neighbour", ["'A:", "'i:", "'u:", "s", "t"])
@pytest.mark.parametrize("seconds", [0.03, 0.05, 0.08])
@pytest.mark.parametrize("offset", [0.0, 0.01, 0.02, 0.03])
def test_lips_meet_in_a_picture_of_every_bilabial(neighbour: str, seconds: float, offset: float) -> None:
    start = 0.4 + offset
    phonemes = [(neighbour, 0.2), ("b", start), (neighbour, start + seconds)]
    opening = trajectories(phonemes, 0.9, 30)[:, 0]
    nearest = round((start + seconds / 2) / FRAME - 0.5)
    assert opening[nearest - 1 : nearest + 2].min() < 0.02
    if neighbour != "'u:":
        assert opening[7] > 0.2 and opening[17] > 0.2


def test_vowels_open_as_they_are_low_spread_as_they_are_front_and_round_as_they_are_round() -> None:
    shapes = {name: at(("t", name, "t"), 1) for name in ["i:", "E", "a", "A:", "O:", "u:"]}
    opening = {name: shape["opening"] for name, shape in shapes.items()}
    assert opening["u:"] < opening["i:"] < opening["E"] < opening["a"] < opening["A:"]
    assert opening["O:"] < opening["A:"]
    assert shapes["i:"]["width"] > shapes["A:"]["width"] > shapes["O:"]["width"] > shapes["u:"]["width"]
    assert shapes["u:"]["protrusion"] > 0.9 > shapes["O:"]["protrusion"] > 0.5 > shapes["i:"]["protrusion"]


def test_a_diphthong_moves_from_its_first_vowel_to_its_second() -> None:
    path = mouth("'aU", seconds=0.4)
    first, last = int(0.28 / FRAME), int(0.55 / FRAME)
    assert path["opening"][first] > 0.7 > 0.4 > path["opening"][last]
    assert path["protrusion"][first] < 0.2 < 0.5 < path["protrusion"][last]


def test_neighbours_colour_a_consonant() -> None:
    rounded, spread = (at((vowel, "t", vowel), 1) for vowel in ("u:", "i:"))
    short_rounded, short_spread = (mouth(vowel, "t", vowel, seconds=0.06) for vowel in ("u:", "i:"))
    middle = int((0.2 + 0.09) / FRAME)
    assert short_spread["width"][middle] - short_rounded["width"][middle] > 0.4
    assert rounded["width"] == pytest.approx(spread["width"], abs=0.1)  # given time, it is itself


def test_silence_is_a_mouth_at_rest() -> None:
    rest = trajectories([], 1.0, 25)
    assert (rest == rest[0]).all() and rest[0, 0] == pytest.approx(0.05)
    spoken, end = say("'A:", "_:", "_")
    path = trajectories(spoken, end, 40)
    assert path[[0, 1, -1, -2]] == pytest.approx(rest[[0, 0, 0, 0]], abs=0.02)


def test_every_value_lies_between_0_and_1_and_moves_without_jumps() -> None:
    rng = Random(1)
    names = [name for entry in visemes.VISEMES.values() for name in entry.phonemes.split()]
    phonemes, end = say(*[rng.choice(names) for _ in range(200)], seconds=0.07)
    path = trajectories(phonemes, end, int(end / FRAME) + 5)
    assert path.shape == (int(end / FRAME) + 5, len(ARTICULATORS)) and path.dtype == np.float32
    assert path.min() >= 0 and path.max() <= 1
    assert np.abs(np.diff(path[:, 1:3], axis=0)).max() < 0.8


def test_a_trajectory_does_not_depend_on_how_long_the_silence_after_it_is() -> None:
    phonemes, end = say("b", "'I", "n")
    assert trajectories(phonemes, end, 40)[:25] == pytest.approx(trajectories(phonemes, end, 25), abs=1e-6)


def test_a_name_that_is_not_known_is_a_neutral_vowel() -> None:
    assert visemes.visemes("qq") == ("mid central",)
    assert visemes.visemes(",I2") == visemes.visemes("I") == ("near-close front",)
    assert visemes.visemes("_|") == (visemes.REST,)
