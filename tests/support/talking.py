"""A corpus of short noises and moving patterns on disk, with its manifest; and videos that are not as they must be."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from lrsms.data import video
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.study.corpus import Manifest
from lrsms.study.run import Modality, Tokenizer

CORPUS = Manifest(kind="manifest", name="mine")
CHARACTERS = Tokenizer(kind="characters")
AUDIO: tuple[Modality, ...] = ("audio",)
VIDEO: tuple[Modality, ...] = ("video",)
BOTH: tuple[Modality, ...] = ("audio", "video")

HEADER = "id\tsplit\taudio\tvideo\tspeaker\ttext\n"
SPLITS = ["train"] * 8 + ["valid", "test"]
FRAMES = 8
"""Of every utterance: 5,000 samples are 7.8 of them."""


def samples_of(number: int, count: int = 5_000) -> np.ndarray:
    return np.random.default_rng(number).integers(-9_000, 9_000, count).astype(np.int16)


def pictures_of(number: int, count: int = FRAMES) -> np.ndarray:
    """``(count, 96, 96)`` uint8: a soft pattern that moves."""
    phase, x, y, t = number, np.arange(96) / 15, np.arange(96)[:, None] / 20, np.arange(count)[:, None, None]
    return np.uint8(128 + 60 * np.sin(x + 0.3 * t + phase) + 50 * np.cos(y - 0.2 * t + 2 * phase))


def make(root: Path, num_utterances: int = 20, audio: bool = True, pictures: bool = False, **texts: str) -> Path:
    """Utterances ``u0``, ``u1``, ...; eight train, one valid, one test in turn; two speakers."""
    root.mkdir()
    lines = []
    for number in range(num_utterances):
        name = f"u{number}"
        if audio:
            soundfile.write(root / f"{name}.wav", samples_of(number), 16_000)
        if pictures:
            video.write(root / f"{name}.mp4", pictures_of(number))
        cells = (f"{name}.wav" if audio else "", f"{name}.mp4" if pictures else "", f"s{number % 2}")
        lines.append("\t".join((name, SPLITS[number % 10], *cells, texts.get(name, "ab cd"))) + "\n")
    (root / "manifest.tsv").write_text(HEADER + "".join(lines), encoding="utf-8")
    return root


def prepared_from(
    root: Path,
    folder: Path,
    tokenizer: Tokenizer = CHARACTERS,
    modalities: tuple[Modality, ...] = AUDIO,
    **options: Any,
) -> Prepared:
    """Prepares a corpus of ``make`` and opens it."""
    prepare(CORPUS, tokenizer, modalities, root, folder, **options)
    return Prepared(folder)


def write_any(path: Path, pictures: np.ndarray, ticks: Sequence[int] | None = None) -> None:
    """Writes ``(T, H, W)`` grey or ``(T, H, W, 3)`` coloured pictures of any size, each at its tick (of 1/1000 s)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1", "crf": "18"})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray" if picture.ndim == 2 else "rgb24")
            frame.pts = ticks[index] if ticks is not None else index * 1000 // 25
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def write_sound(
    path: Path, samples: np.ndarray, container: str = "mov", codec: str = "pcm_s16le", late: float | None = None
) -> None:
    """Writes a container with these int16 samples at 16 kHz; with a picture, ``late`` seconds before them, if given."""
    with av.open(str(path), "w", format=container) as file:
        streams = [file.add_stream(codec, rate=16_000, layout="mono")]
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        frames = [frame]
        if late is not None:
            frame.pts = round(16_000 * late)
            streams.insert(0, file.add_stream("mpeg4", rate=25))
            streams[0].width = streams[0].height = 96
            frames.insert(0, av.VideoFrame.from_ndarray(np.zeros((144, 96), np.uint8), format="yuv420p"))
        for stream, each in zip(streams, frames, strict=True):
            file.mux(stream.encode(each))
            file.mux(stream.encode(None))


def write_film(
    path: Path,
    pictures: np.ndarray,
    samples: np.ndarray,
    sound_at: float = 0.0,
    pictures_at: float = 0.0,
    rate: int = 25,
    turned: int = 0,
    aspect: Fraction | None = None,
) -> None:
    """Writes luma ``(T, H, W)`` as it is and int16 samples at 16 kHz, which begin at these times.

    Players turn the pictures counterclockwise by ``turned`` degrees, and show pixels ``aspect`` times as wide as high.
    """
    with av.open(str(path), "w") as file:
        seen = file.add_stream("libx264", rate=rate, options={"threads": "1", "crf": "10", "bf": "0"})
        seen.height, seen.width = pictures.shape[1:3]
        seen.pix_fmt = "yuv420p"
        seen.codec_context.time_base = Fraction(1, 1000)
        if aspect is not None:
            seen.codec_context.sample_aspect_ratio = aspect
        if turned:
            seen.set_display_rotation(turned)
        heard = file.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for index, picture in enumerate(pictures):
            grey = np.full((picture.shape[0] // 2, picture.shape[1]), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([picture, grey]), format="yuv420p")
            frame.pts, frame.time_base = round(1000 * (pictures_at + index / rate)), Fraction(1, 1000)
            file.mux(seen.encode(frame))
        file.mux(seen.encode(None))
        for begin in range(0, len(samples), 640):
            frame = av.AudioFrame.from_ndarray(samples[None, begin : begin + 640], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, round(16_000 * sound_at) + begin
            file.mux(heard.encode(frame))
        file.mux(heard.encode(None))


def damage(path: Path) -> None:
    """Overwrites the middle of a file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(bytes(content))
