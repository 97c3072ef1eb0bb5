"""Sound files and the sound of videos, of any format that is read: whole, in one channel, at the rate of the file."""

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from lrsms.data.recordings import mp3, whole
from lrsms.data.recordings.media import film, opened, refuse_missing

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.video.stream import VideoStream

_CONTAINERS = (".avi", ".m4a", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "FLAC", "OGG")
"""As libsndfile calls them: those of which ``whole.py`` knows how long they should be."""
_READ = f"read are WAV, FLAC, OGG (Opus, Vorbis), MP3, AIFF, AU, CAF, SPHERE and the sound of {', '.join(_CONTAINERS)}"
_LONGEST_DELAY = 60.0
"""Seconds of silence that are put before a sound that begins later than its pictures."""
_LARGEST_GAP = 0.04
"""Seconds by which the times of a sound may differ from what its samples last."""
_CANCELLED = 0.25
"""Share of the power that independent channels keep in their mean. With less than this, they are of opposite phase."""


@dataclass(frozen=True)
class Sound:
    """The sound of a file."""

    wave: np.ndarray
    """``(S,)`` float32, one channel, full scale 1."""
    rate: int
    """Samples per second."""
    lead: float = 0.0
    """Seconds by which it begins before the first picture of its file; 0 where there are none."""
    notes: tuple[str, ...] = ()
    """Changes that were made in reading, a phrase for each."""


def read(path: Path) -> Sound:
    """Reads the sound of a file; of several channels their mean, or the loudest where they would cancel out.

    Silence comes first where the sound of a video begins after its pictures.

    Raises:
        ValueError: one line that names the file: it is missing, of no format that is read, damaged, or not as long as
            it says itself; its sound begins more than a minute after its pictures, or has a gap.
    """
    refuse_missing(path)
    if path.suffix.lower() in _CONTAINERS:
        return _track(path)
    content = path.read_bytes()
    if mp3.is_mp3(content):
        return _track(path)
    whole.check(path, content)
    flac = content.find(b"fLaC", 0, None if content[:3] == b"ID3" else 4)
    if flac >= 0:
        return _flac(path, content, flac)
    try:
        with soundfile.SoundFile(io.BytesIO(whole.with_length(content))) as file:
            if file.format not in _FORMATS:
                raise ValueError(f"its format is {file.format}; {_READ}")
            channels, expected = file.read(dtype="float32", always_2d=True).T, file.frames
            rate = file.samplerate
    except (OSError, RuntimeError, MemoryError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: cannot be read as audio ({_reason(path, error)})") from None
    if channels.shape[1] < expected:
        raise ValueError(f"{path}: damaged; only {channels.shape[1]:,} of its {expected:,} samples can be read")
    return _mixed(channels, rate)


def _reason(path: Path, error: Exception) -> str:
    reason = " ".join(str(getattr(error, "error_string", None) or error).split())
    if "SF_INFO" in reason:
        return "its header gives a sample rate that is none"
    if "not recogni" not in reason:
        return reason
    if path.suffix.lower() in (".raw", ".pcm"):
        return (
            "it has no header that says its rate and format; put one before it, such as with "
            f"ffmpeg -f s16le -ar 16000 -ac 1 -i {path.name} {path.stem}.wav"
        )
    return f"its format is not recognised; {_READ}"


def _flac(path: Path, content: bytes, begin: int) -> Sound:
    """FLAC (RFC 9639), whose header counts its samples and hashes them; either may be left open, as 0."""
    header = int.from_bytes(content[begin + 18 : begin + 26], "big")
    promised, bits = header & (1 << 36) - 1, (header >> 36 & 31) + 1
    digest = content[begin + 26 : begin + 42]
    # libsndfile would stop where the header ends the sound.
    samples, rate = _decoded(path, "s32p")[:2]
    found = samples.shape[1]
    is_proven = hashlib.md5(_packed(samples, bits), usedforsecurity=False).digest() == digest
    if promised not in (0, found) and not (is_proven and found > promised):
        raise ValueError(
            f"{path}: damaged; its header says {promised:,} samples, and there are {found:,}; fetch or write it again"
        )
    if any(digest) and not is_proven:
        raise ValueError(f"{path}: damaged; its samples are not those whose checksum is in its header; fetch it again")
    sound = _mixed(samples.astype(np.float32) / np.float32(1 << 31), rate)
    if promised in (0, found):
        return sound
    return replace(sound, notes=(*sound.notes, "all samples are read, of which its header counts a part"))


def _packed(samples: np.ndarray, bits: int) -> bytes:
    """Samples as FLAC hashes them: little-endian, in as many bytes as they need."""
    width = -(-bits // 8)
    numbers = np.ascontiguousarray(samples.T >> (32 - bits)).astype("<i4")
    return numbers.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()


def _track(path: Path) -> Sound:
    """The sound of a video, and MP3, of which libsndfile drops what its header does not count."""
    channels, rate, frames, begin = _decoded(path, "fltp")
    _refuse_gap(path, frames, rate)
    sound = _mixed(channels, rate)
    if begin is None or frames[0].time is None:
        return sound
    lead = begin - frames[0].time
    if -lead > _LONGEST_DELAY:
        raise ValueError(f"{path}: its sound begins {-lead:.0f} s after its pictures; cut what comes before")
    silence = np.zeros(max(0, round(-lead * rate)), np.float32)
    return replace(sound, wave=np.concatenate([silence, sound.wave]), lead=max(0.0, lead))


def _decoded(path: Path, sample_format: str) -> "tuple[np.ndarray, int, list[AudioFrame], float | None]":
    """Reads with FFmpeg: samples ``(C, S)`` of that format, their rate, their frames, and when the pictures begin."""
    import av

    with opened(path, "audio") as container:
        if not container.streams.audio:
            raise ValueError(f"{path}: has no audio stream")
        # Where there are several, the others are versions for other players.
        stream, pictures = container.streams.audio[0], film(container)
        stream.codec_context.options = {"err_detect": "explode"}
        resampler = av.AudioResampler(format=sample_format)
        frames = list(container.decode(stream))
        chunks = [part.to_ndarray() for frame in [*frames, None] for part in resampler.resample(frame)]
        rate, begin = stream.rate, _begin(pictures)
    if not chunks:
        raise ValueError(f"{path}: its audio stream holds no samples")
    return np.concatenate(chunks, axis=1), rate, frames, begin


def _begin(pictures: "VideoStream | None") -> float | None:
    """When the first picture is shown, in seconds; None where there is none, or no time is given."""
    if pictures is None or pictures.start_time is None or pictures.time_base is None:
        return None
    return float(pictures.start_time * pictures.time_base)


def _refuse_gap(path: Path, frames: "list[AudioFrame]", rate: int) -> None:
    """Refuses gaps and overlaps: sound after one would be heard at another time than it is seen."""
    num_samples = 0
    for frame in frames:
        if frame.time is None or frames[0].time is None:
            return
        apart = frame.time - frames[0].time - num_samples / rate
        if abs(apart) > _LARGEST_GAP:
            what = "has a gap" if apart > 0 else "overlaps itself"
            raise ValueError(
                f"{path}: its sound {what} of {abs(apart):.2f} s, {num_samples / rate:.2f} s after its beginning; "
                f"write it again, such as with ffmpeg -i {path.name} -af aresample=async=1 new{path.suffix}"
            )
        num_samples += frame.samples


def _mixed(channels: np.ndarray, rate: int) -> Sound:
    """One channel of ``(C, S)``: the mean, or where that would cancel out what was said, the loudest."""
    if len(channels) == 1:
        return Sound(channels[0], rate)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused later
        mean = channels.mean(axis=0)
        powers = np.square(channels - channels.mean(axis=1, keepdims=True), dtype=np.float64).sum(axis=1)
        kept = np.square(mean - mean.mean(), dtype=np.float64).sum() * len(channels)
        is_cancelled = kept < _CANCELLED * powers.mean()
    if not is_cancelled:
        return Sound(mean, rate)
    note = "channels of opposite phase, which cancel out: the loudest is read alone"
    return Sound(channels[powers.argmax()], rate, notes=(note,))
