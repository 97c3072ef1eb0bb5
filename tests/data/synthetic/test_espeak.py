import ctypes
from collections.abc import Iterator
from itertools import pairwise

import espeakng_loader
import numpy as np
import pytest

from lrsms.data.synthetic import grammar
from lrsms.data.synthetic.espeak import Synthesizer
from lrsms.data.synthetic.voice import ACCENTS, VARIANTS, Voice


@pytest.fixture
def synthesizer() -> Iterator[Synthesizer]:
    with Synthesizer() as opened:
        yield opened


@pytest.mark.parametrize("variant", ["f3", "m5", "m1", "klatt", "Alicia"])
def test_a_sentence_sounds_the_same_whatever_was_spoken_before(synthesizer: Synthesizer, variant: str) -> None:
    voice = Voice("en-us", variant)
    first = synthesizer.speak("place red in b three soon", voice)
    synthesizer.speak("lay green with q seven please", Voice("en-gb-scotland", "m1", rate=180))
    again = synthesizer.speak("place red in b three soon", voice)
    assert np.array_equal(first.samples, again.samples)
    assert first.phonemes == again.phonemes


def test_phonemes_come_in_order_within_the_audible_speech(synthesizer: Synthesizer) -> None:
    speech = synthesizer.speak("place red in b three soon", Voice("en-us", "m3", rate=140))
    names = [name for name, _ in speech.phonemes if not name.startswith("_")]
    assert names == ["p", "l", "'eI", "s", "r", "'E", "d", "I", "n", "b", "'i:", "T", "r", "'i:", "s", "'u:", "n"]
    starts = [start for _, start in speech.phonemes]
    assert all(before < after for before, after in pairwise(starts))
    assert starts[0] >= 0 and starts[-1] < speech.duration
    assert speech.rate == 22_050
    # Where the times say "ay" and "s" of "place", a voice hums and a hiss crosses zero far more often.
    vowel, hiss = (speech.samples[int(a * speech.rate) : int(b * speech.rate)] for a, b in pairwise(starts[2:5]))
    crossings = [np.mean(np.diff(np.sign(span)) != 0) for span in (vowel, hiss)]
    assert crossings[1] > 3 * crossings[0]


def test_letters_are_called_by_their_names(synthesizer: Synthesizer) -> None:
    """The vowel of each letter's name, of which espeak-ng would otherwise take 'a' for the article."""
    commands = grammar.grammar("commands")
    vowels = {"'eI": "ahjk", "'i:": "bcdegptv", "'E": "flmnsx", "'aI": "iy", "'oU": "o", "'u:": "qu", "'A@": "r"}
    for vowel, letters in vowels.items():
        for letter in letters:
            speech = synthesizer.speak(commands.spoken(f"set white by {letter} nine again"), Voice("en-gb", "m3"))
            names = [name for name, _ in speech.phonemes]
            assert vowel in names[names.index("b") + 2 : -9], letter


def test_every_accent_and_variant_is_a_voice_of_its_own(synthesizer: Synthesizer) -> None:
    voices = [Voice("en-us", variant) for variant in VARIANTS] + [Voice(accent, "m3") for accent in ACCENTS]
    spoken = {voice: synthesizer.speak("place red again", voice) for voice in voices}
    assert len({speech.samples.tobytes() for speech in spoken.values()}) == len(set(voices)) == 62
    for voice, speech in spoken.items():
        assert speech.samples.astype(float).std() > 300, voice.name  # full scale is 32,768
        assert 0.5 < speech.duration < 2.5, voice.name


def test_rate_and_pitch_do_what_they_say(synthesizer: Synthesizer) -> None:
    slow, fast = (synthesizer.speak("lay green with q seven", Voice("en-us", "m3", rate=rate)) for rate in (100, 200))
    assert slow.duration / fast.duration == pytest.approx(2, rel=0.2)
    low, high = (_fundamental(synthesizer, pitch) for pitch in (20, 80))
    assert high > 1.3 * low


def _fundamental(synthesizer: Synthesizer, pitch: int) -> float:
    speech = synthesizer.speak("[['A:::]]", Voice("en-us", "m3", pitch=pitch, range=0))
    middle = speech.samples[len(speech.samples) // 3 :][:2205].astype(float)
    correlation = np.correlate(middle, middle, "full")[len(middle) :]
    shortest_period = speech.rate // 400
    return speech.rate / (1 + shortest_period + int(np.argmax(correlation[shortest_period : speech.rate // 50])))


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        ({"accent": "en-uk", "variant": "f3"}, "unknown accent 'en-uk'; did you mean 'en-us'"),
        ({"accent": "en-us", "variant": "f33"}, "unknown variant 'f33'; did you mean 'f3'"),
        ({"accent": "en-us", "variant": "f3", "rate": 20}, "rate is 20, outside 80 to 450"),
        ({"accent": "en-us", "variant": "f3", "pitch": 100}, "pitch is 100, outside 0 to 99"),
    ],
)
def test_impossible_voices_are_refused(voice: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Voice(**voice)


def test_a_library_loaded_elsewhere_is_noticed() -> None:
    import _ctypes

    other = ctypes.CDLL(str(espeakng_loader.get_library_path()))
    try:
        with pytest.raises(RuntimeError, match="loaded elsewhere"), Synthesizer():
            pass
    finally:
        _ctypes.dlclose(other._handle)
