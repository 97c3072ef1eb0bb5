"""A corpus that needs no download: sentences from a grammar, spoken by espeak-ng in many voices, each with a face.

The splits share no sentence and no speaker: a variant of espeak-ng (the larynx and mouth) is heard in one split only,
so a test voice is new in more than its accent. Test and valid are drawn before train, so a larger train leaves them as
they are. The same config gives the same sentences, voices and phoneme times everywhere, and the same bytes on one
machine; an utterance's randomness is a function of the corpus's seed and the utterance's id.
"""

import json
import math
import os
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from random import Random

import numpy as np
import torch

from lrsms.base.random_streams import stream_seed
from lrsms.data import video
from lrsms.data.synthetic import faces, film, grammar, visemes
from lrsms.data.synthetic.espeak import Speech, Synthesizer
from lrsms.data.synthetic.voice import ACCENTS, VARIANTS, Voice
from lrsms.data.torchaudio_import import torchaudio
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Synthetic
from lrsms.study.frames import SAMPLE_RATE, SAMPLES_PER_FRAME

PHONEMES = "phonemes.jsonl"
"""Lines of ``{"id", "phonemes": [[name, start], ...], "end"}``, in seconds from the start of the recording.

Starts never fall; a phoneme that melts into the next one has no length.
"""

_VARIANTS_SET_ASIDE = {"test": 12, "valid": 6, "train": len(VARIANTS) - 18}
"""In the order in which the splits are drawn."""
_RATES = (130, 180)
_PITCHES = (35, 65)
_SILENCE = (0.1, 0.25)
"""Seconds before and after the speech."""
_LEVEL = (-29.0, -23.0)
"""Range of the speech level, in dB of full scale (root mean square)."""
_LARGEST_PEAK = 0.98
_LOWEST_NOISE_HZ = 50.0
_NOISE_SAMPLES = 2**19
"""Half a minute of noise per split, of which every recording takes a stretch of its own."""
_RESAMPLED_AT_ONCE = 8192


@dataclass(frozen=True)
class Line:
    """One utterance of the script: what is said and by whom."""

    id: str
    split: str
    text: str
    voice: Voice


def utterances(corpus: Synthetic, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Renders the corpus into ``rendered``: ``<split>/<id>.wav`` (16 kHz, 16 bit, mono) and ``phonemes.jsonl``.

    An utterance's ``<split>/<id>.mp4`` is made by its ``render``, in any thread and order: with a frame for every
    640 samples of the recording, the last of which may be cut short.

    Args:
        corpus: what to render.
        root: not used, there is nothing to read.
        rendered: folder to write into.

    Returns:
        Each utterance as soon as it is rendered, test first and train last.

    Raises:
        ValueError: more voices or sentences asked than there are (at the call, before anything is rendered).
    """
    return render(corpus, script(corpus), rendered)


def script(corpus: Synthetic) -> list[Line]:
    """The sentences with their speakers, in the order of rendering.

    Raises:
        ValueError: more voices or sentences asked than there are, or an SNR range upside down.
    """
    check(corpus)
    source = grammar.grammar(corpus.grammar)
    lines: list[Line] = []
    for split, voices in voices_by_split(corpus).items():
        rng = Random(stream_seed(corpus.seed, "synthetic", "sentences", split))
        sentences = grammar.sample(source, rng, getattr(corpus, split), exclude={line.text for line in lines})
        lines += [
            Line(f"{split}-{index:05d}", split, text, voices[index % len(voices)])
            for index, text in enumerate(sentences)
        ]
    return lines


def check(corpus: Synthetic) -> None:
    """Raises what ``script`` would, without drawing anything."""
    where = f"corpus '{corpus.name}'"
    for split, num_variants in _VARIANTS_SET_ASIDE.items():
        num_voices, num_sentences = getattr(corpus, f"{split}_voices"), getattr(corpus, split)
        available = num_variants * len(ACCENTS)
        if num_voices > available:
            raise ValueError(
                f"{where}: '{split}_voices' is {num_voices}, at most {available} are set aside for {split}"
            )
        if num_voices > num_sentences:
            raise ValueError(f"{where}: '{split}_voices' is {num_voices}, more than the {num_sentences} of '{split}'")
    asked, available = corpus.train + corpus.valid + corpus.test, grammar.grammar(corpus.grammar).num_derivations
    if asked > available:
        raise ValueError(
            f"{where}: 'train', 'valid' and 'test' sum to {asked}, but '{corpus.grammar}' has {available} sentences"
        )
    if corpus.snr is not None and corpus.snr[0] > corpus.snr[1]:
        raise ValueError(f"{where}: 'snr' is {list(corpus.snr)}; the lower end comes first")


def voices_by_split(corpus: Synthetic) -> dict[str, list[Voice]]:
    """The voices of each split: no two share accent and variant, no two splits share a variant."""
    rng = Random(stream_seed(corpus.seed, "synthetic", "speakers"))
    variants = _shuffled(VARIANTS, rng)
    accents = _shuffled(tuple(ACCENTS), rng)
    voices: dict[str, list[Voice]] = {}
    for split, num_variants in _VARIANTS_SET_ASIDE.items():
        own, variants = variants[:num_variants], variants[num_variants:]
        rng = Random(stream_seed(corpus.seed, "synthetic", "voices", split))
        # Every round over the variants moves each of them on to its next accent.
        rounds_and_columns = (divmod(index, num_variants) for index in range(getattr(corpus, f"{split}_voices")))
        voices[split] = [
            Voice(
                accents[(column + round_) % len(accents)],
                own[column],
                rate=rng.randrange(_RATES[0], _RATES[1] + 1),
                pitch=rng.randrange(_PITCHES[0], _PITCHES[1] + 1),
            )
            for round_, column in rounds_and_columns
        ]
    return voices


def variant_of(speaker: str) -> str:
    """The variant (larynx and mouth) of a voice, from its name."""
    return speaker.split("_")[1]


def _shuffled(names: tuple[str, ...], rng: Random) -> list[str]:
    # Random.shuffle's values may change between versions of Python, those of random() do not.
    return sorted(names, key=lambda _: rng.random())


def render(corpus: Synthetic, lines: Sequence[Line], rendered: Path) -> Iterator[Utterance]:
    """Renders utterances with the grammar, noise and seed of a corpus, as ``utterances`` does; see there."""
    source = grammar.grammar(corpus.grammar)
    noises: dict[str, np.ndarray] = {}
    for split in dict.fromkeys(line.split for line in lines):
        (rendered / split).mkdir(parents=True, exist_ok=True)
        if corpus.snr is not None:
            noises[split] = pink_noise(_NOISE_SAMPLES, stream_seed(corpus.seed, "synthetic", "noise", split))
    with Synthesizer() as synthesizer, (rendered / PHONEMES).open("w", encoding="utf-8") as phonemes:
        for line in lines:
            speech = synthesizer.speak(source.spoken(line.text), line.voice)
            rng = Random(stream_seed(corpus.seed, "synthetic", line.id))
            recording, start = _record(_to_sample_rate(speech), noises.get(line.split), corpus.snr, rng)
            path = (rendered / line.split / f"{line.id}.wav").absolute()
            _write(path, recording)
            times = [(name, round(start + time, 4)) for name, time in speech.phonemes]
            end = round(start + speech.duration, 4)
            phonemes.write(json.dumps({"id": line.id, "phonemes": times, "end": end}) + "\n")
            render = partial(
                _render_video,
                path.with_suffix(".mp4"),
                faces.face(stream_seed(corpus.seed, "synthetic", "face", line.voice.name)),
                times,
                end,
                math.ceil(len(recording) / SAMPLES_PER_FRAME),
                stream_seed(corpus.seed, "synthetic", "film", line.id),
            )
            yield Utterance(
                line.id, line.split, path, path.with_suffix(".mp4"), line.voice.name, line.text, render=render
            )


def _record(
    speech: np.ndarray, noise: np.ndarray | None, snr: tuple[float, float] | None, rng: Random
) -> tuple[np.ndarray, float]:
    """Puts speech into a recording: silence around it, a level, noise.

    Args:
        speech: ``(S,)`` float samples.
        noise: ``(N,)`` of unit power, from which the recording takes a stretch; None is clean.
        snr: range of the ratio, in dB, of the mean power of the speech to that of the noise.
        rng: the utterance's.

    Returns:
        ``(S',)`` int16 samples, and the second at which the speech starts.
    """
    num_before, num_after = (int(SAMPLE_RATE * rng.uniform(*_SILENCE)) for _ in range(2))
    level = rng.uniform(*_LEVEL)
    loud = speech * np.float32(10 ** (level / 20) / math.sqrt(np.mean(np.square(speech))))
    recording = np.pad(loud, (num_before, num_after))
    if noise is not None and snr is not None:
        gain = 10 ** ((level - rng.uniform(*snr)) / 20)
        begin = rng.randrange(len(noise) - len(recording) + 1)
        recording += np.float32(gain) * noise[begin : begin + len(recording)]
    recording *= min(1.0, _LARGEST_PEAK / np.abs(recording).max())
    return np.rint(recording * 32767).astype("<i2"), num_before / SAMPLE_RATE


def pink_noise(num_samples: int, seed: int) -> np.ndarray:
    """Noise whose power falls by 3 dB per octave above 50 Hz, as in rooms and streets.

    Returns:
        ``(num_samples,)`` float32 of unit mean power.
    """
    frequencies = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)
    amplitudes = np.where(frequencies < _LOWEST_NOISE_HZ, 0, np.maximum(frequencies, _LOWEST_NOISE_HZ) ** -0.5)
    # The old generator is the one whose values NumPy promises never to change.
    phases = 2 * np.pi * np.random.RandomState(seed % 2**32).random_sample(len(frequencies))
    noise = np.fft.irfft(amplitudes * np.exp(1j * phases), num_samples)
    return (noise / np.sqrt(np.mean(np.square(noise)))).astype(np.float32)


@lru_cache(maxsize=1)
def _resampler(rate: int) -> torch.nn.Module:
    return torchaudio.transforms.Resample(rate, SAMPLE_RATE)


def _to_sample_rate(speech: Speech) -> np.ndarray:
    """``(S,)`` float32 at 16 kHz."""
    num_samples = len(speech.samples)
    # A convolution is prepared anew for every new length, which takes longer than running it: keep lengths few.
    padded = torch.zeros(math.ceil(num_samples / _RESAMPLED_AT_ONCE) * _RESAMPLED_AT_ONCE)
    padded[:num_samples] = torch.from_numpy(speech.samples / np.float32(32768))
    return _resampler(speech.rate)(padded).numpy()[: math.ceil(num_samples * SAMPLE_RATE / speech.rate)]


def _write(path: Path, recording: np.ndarray) -> None:
    # Not soundfile: it waits for the disk after every file.
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(recording.tobytes())


def _render_video(
    path: Path, face: faces.Face, phonemes: Sequence[tuple[str, float]], end: float, num_frames: int, seed: int
) -> None:
    if path.exists():
        return
    trajectory = visemes.trajectories(phonemes, end, num_frames, stream_seed(seed, "articulation"))
    temporary = path.with_name(path.name + ".tmp")
    video.write(temporary, film.draw(face, trajectory, seed))
    os.replace(temporary, path)
