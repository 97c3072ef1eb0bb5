"""Speech from text by espeak-ng, with the name and start of every phoneme.

espeak-ng keeps state in static variables that nothing resets, not even ``espeak_Terminate``: the phase of the voice's
flutter, the gain control, the count of glottal cycles, the random generator of breath noise. A sentence would sound
different after another one. So each sentence gets a freshly loaded copy of the library, which is unloaded afterwards;
with a data folder that holds English only, that costs a third of a millisecond.
"""

import _ctypes
import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrsms.data.synthetic.voice import ACCENTS, Voice

_SHARED_DATA = ("phondata", "phonindex", "phontab", "intonations", "en_dict")

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS_OUTPUT = 2
_PHONEME_EVENTS = 0x0001
_DO_NOT_EXIT = 0x8000
_EVENT_LIST_END, _EVENT_PHONEME = 0, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_POSITION_CHARACTER = 1
_UTF8_TEXT = 0x0001
_PHONEMES_IN_BRACKETS = 0x0100
_BREATH_SEED = 1


@dataclass(frozen=True)
class Speech:
    """Spoken audio with its phonemes."""

    samples: np.ndarray
    """``(S,)`` int16."""
    rate: int
    """Samples per second; espeak-ng's is 22,050."""
    phonemes: tuple[tuple[str, float], ...]
    """Name in espeak-ng's notation and start in seconds; names that start with ``_`` are pauses."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.rate


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """``espeak_EVENT``; ``audio_position`` is in milliseconds."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class Synthesizer:
    """Speaks sentences. Open one at a time, in one thread: espeak-ng is global to its process.

    Raises:
        RuntimeError: on entering, something else in this process has loaded espeak-ng.
    """

    def __enter__(self) -> "Synthesizer":
        import espeakng_loader  # ten megabytes that recorded corpora do without

        self._library_path = str(espeakng_loader.get_library_path())
        self._refuse_loaded_library()
        self._data = tempfile.TemporaryDirectory(prefix="espeak-")
        self._installed = espeakng_loader.get_data_path()
        _link_english_data(Path(self._installed), Path(self._data.name))
        return self

    def __exit__(self, *_: object) -> None:
        self._data.cleanup()

    def speak(self, text: str, voice: Voice) -> Speech:
        """Speaks one sentence; the same samples whatever was spoken before.

        Args:
            text: English, in which ``[[...]]`` holds phonemes in espeak-ng's notation.
            voice: who speaks.

        Raises:
            RuntimeError: espeak-ng failed.
        """
        pcm: list[bytes] = []
        phonemes: list[tuple[str, float]] = []

        def collect(samples: int | None, num_samples: int, events: Any) -> int:
            if samples and num_samples > 0:
                pcm.append(ctypes.string_at(samples, 2 * num_samples))
            index = 0
            while events[index].type != _EVENT_LIST_END:
                if events[index].type == _EVENT_PHONEME:
                    phonemes.append((events[index].id.string.decode(), events[index].audio_position / 1000))
                index += 1
            return 0

        callback = _Callback(collect)
        content = text.encode() + b"\0"
        flags = _UTF8_TEXT | _PHONEMES_IN_BRACKETS
        with self._fresh_library() as (library, rate):
            library.espeak_SetSynthCallback(callback)
            failed = library.espeak_SetVoiceByName(f"{voice.accent}+{voice.variant}".encode())
            for parameter, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.range)):
                failed = failed or library.espeak_SetParameter(parameter, value, 0)
            failed = failed or library.espeak_Synth(
                content, ctypes.c_size_t(len(content)), 0, _POSITION_CHARACTER, 0, flags, None, None
            )
        if failed:
            raise RuntimeError(f"espeak-ng failed (status {failed}) to speak '{text}' as {voice.name}")
        return Speech(np.frombuffer(b"".join(pcm), np.int16), rate, tuple(phonemes))

    @contextmanager
    def _fresh_library(self) -> Iterator[tuple[ctypes.CDLL, int]]:
        library = ctypes.CDLL(self._library_path)
        try:
            options = _PHONEME_EVENTS | _DO_NOT_EXIT
            rate = library.espeak_Initialize(_SYNCHRONOUS_OUTPUT, 0, self._data.name.encode(), options)
            if rate <= 0:
                raise RuntimeError(f"espeak-ng cannot read its data in {self._installed}")
            # Initialising seeds the breath noise with the time of day.
            library.espeak_ng_SetRandSeed(ctypes.c_long(_BREATH_SEED))
            yield library, rate
            library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)
            self._refuse_loaded_library()

    def _refuse_loaded_library(self) -> None:
        """A library that stays loaded keeps its state, and with it the sound of earlier sentences."""
        try:
            handle = _ctypes.dlopen(self._library_path, os.RTLD_NOW | os.RTLD_NOLOAD)
        except OSError:
            return
        _ctypes.dlclose(handle)
        raise RuntimeError("espeak-ng is loaded elsewhere in this process; render in a process of its own")


def _link_english_data(data: Path, folder: Path) -> None:
    """A data folder with English only.

    espeak-ng looks through all its languages for a voice, which takes longer than speaking a sentence; and it cuts
    off paths of more than 160 bytes, which a package's may well have.
    """
    for name in _SHARED_DATA:
        (folder / name).symlink_to(data / name)
    (folder / "voices").mkdir()
    (folder / "voices" / "!v").symlink_to(data / "voices" / "!v")
    (folder / "lang").mkdir()
    for accent, file in ACCENTS.items():
        (folder / "lang" / accent).symlink_to(data / "lang" / "gmw" / file)
