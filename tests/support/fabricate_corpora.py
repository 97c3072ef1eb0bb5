"""Tiny corpora in the exact layout of the real ones: real mp4, mpg, wav and flac files, made on the spot."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

SAMPLE_RATE = 16_000
NUM_FRAMES = 10
"""Of every clip, at 25 a second: 0.4 s."""
UNITS = ("<unk>", "'", "S", "▁BIN", "▁BLUE", "▁LAY", "▁RED", "▁SET", "▁WHITE")
"""As in Auto-AVSR's list, whose first is the unknown one; token 4 is '▁BIN'."""
GRID_VERBS = {"b": "bin", "l": "lay", "p": "place", "s": "set"}
GRID_COLOURS = {"b": "blue", "g": "green", "r": "red", "w": "white"}


def sound(seed: str, rate: int = SAMPLE_RATE) -> np.ndarray:
    """``(S,)`` float32 of noise as long as the pictures, another for every seed."""
    random = np.random.default_rng(list(seed.encode()))
    return (0.1 * random.standard_normal(round(rate * NUM_FRAMES / 25))).astype(np.float32)


def pictures(seed: str, height: int, width: int) -> np.ndarray:
    """``(NUM_FRAMES, height, width)`` uint8: grey squares, other ones for every seed."""
    random = np.random.default_rng(list(seed.encode()))
    coarse = random.integers(30, 220, (NUM_FRAMES, -(-height // 32), -(-width // 32)), dtype=np.uint8)
    return coarse.repeat(32, axis=1).repeat(32, axis=2)[:, :height, :width]


def write_grid(root: Path, talkers: Mapping[str, Sequence[str]]) -> None:
    """GRID's archives unpacked: ``<talker>/<sentence>.mpg``, and ``<talker>/align/<sentence>.align``."""
    for talker, sentences in talkers.items():
        folder = root / talker / "align"
        folder.mkdir(parents=True)
        for sentence in sentences:
            write_mpg(root / talker / f"{sentence}.mpg")
            (folder / f"{sentence}.align").write_text(alignment(sentence))


def alignment(sentence: str) -> str:
    """A GRID sentence of two words, which are spelt by the first two letters of its name."""
    verb, colour = GRID_VERBS[sentence[0]], GRID_COLOURS[sentence[1]]
    return f"0 2000 sil\n2000 4000 {verb}\n4000 5000 sp\n5000 8000 {colour}\n8000 9500 sil\n"


def write_mpg(path: Path) -> None:
    """GRID's format: MPEG-1 pictures of 360x288 and MPEG audio of two channels at 44.1 kHz."""
    with av.open(str(path), "w", format="mpeg") as container:
        video = container.add_stream("mpeg1video", rate=25)
        video.width, video.height, video.pix_fmt, video.bit_rate = 360, 288, "yuv420p", 1_000_000
        audio = container.add_stream("mp2", rate=44_100, layout="stereo")
        samples = np.stack([sound(path.stem, 44_100)] * 2, axis=1)
        heard = AudioFrame.from_ndarray(
            (samples * 32_767).astype(np.int16).reshape(1, -1), format="s16", layout="stereo"
        )
        heard.sample_rate = 44_100
        for index, picture in enumerate(pictures(path.stem, 288, 360)):
            seen = VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")
            seen.pts, seen.time_base = index, Fraction(1, 25)
            container.mux(video.encode(seen))
        container.mux(video.encode(None))
        fifo = av.AudioFifo()
        fifo.write(heard)
        while (chunk := fifo.read(1152)) is not None:
            container.mux(audio.encode(chunk))
        container.mux(audio.encode(None))


def write_auto_avsr(root: Path, lists: Mapping[str, Sequence[str]], recorded: bool = True) -> None:
    """Auto-AVSR's root: ``labels/<list>`` of the given lines, units, and an ``.mp4`` and a ``.wav`` for each line."""
    (root / "labels").mkdir(parents=True)
    (root / "units.txt").write_text("".join(f"{unit} {number}\n" for number, unit in enumerate(UNITS, start=1)))
    for name, lines in lists.items():
        (root / "labels" / name).write_text("\n".join(lines))
        for dataset, path, *_ in (line.split(",") for line in lines if recorded):
            clip = root / dataset / path
            clip.parent.mkdir(parents=True, exist_ok=True)
            write_mp4(clip)
            soundfile.write(clip.with_suffix(".wav"), sound(path), SAMPLE_RATE, subtype="PCM_16")


def write_mp4(path: Path) -> None:
    """A mouth as Auto-AVSR's preparation leaves it: coloured format, 96x96, 25 a second, no sound."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 96, "yuv420p"
        for picture in pictures("/".join(path.parts[-3:]), 96, 96):
            container.mux(video.encode(VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")))
        container.mux(video.encode(None))


def write_librispeech(root: Path, subsets: Mapping[str, Mapping[str, str]]) -> None:
    """LibriSpeech's folders: for each subset the text of each recording, by ``<speaker>-<chapter>-<number>``."""
    for subset, texts in subsets.items():
        for name, text in texts.items():
            speaker, chapter, _ = name.split("-")
            folder = root / subset / speaker / chapter
            folder.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / f"{name}.flac", sound(name), SAMPLE_RATE)
            with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as file:
                file.write(f"{name} {text}\n")
