"""Video files: any container and codec that FFmpeg opens, to grey 96x96 mouths at 25 pictures a second and back."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lrsms.data.recordings.media import film, opened
from lrsms.data.recordings.upright import Turn, turn
from lrsms.study.frames import FRAMES_PER_SECOND

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane
    from av.video.stream import VideoStream

SIZE = 96
"""Height and width of a stored mouth, in pixels."""

Box = tuple[int, int, int, int]
"""x and y of the upper left corner, width and height, in pixels of the picture as it is shown."""

RATE_TOLERANCE = 0.01
_RATES = (1.0, 240.0)
"""Frames per second that a container may mean; others (some of GRID's say 1,875) only tell how it was made."""
_UNEVEN = 0.1
"""Largest deviation of the time between two frames from the usual one, as a share of it."""
_NEUTRAL = 128
_COLOUR = 3
"""Largest deviation of a grey picture's chroma from neutral; not every codec keeps it exactly."""
_EIGHT_BIT_LUMA = {"gray", "yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"}
_FULL_RANGE = np.rint(np.clip((np.arange(256) - 16) * (255 / 219), 0, 255)).astype(np.uint8)
"""The full-range value of each luma of limited range, in which 16 is black and 235 is white."""
_ENCODER = {"preset": "superfast", "crf": "18", "threads": "1"}
"""One thread, so that the bytes do not depend on how many there are."""


@dataclass(frozen=True)
class Video:
    """The pictures of a file."""

    frames: np.ndarray
    """``(T, 96, 96)`` uint8, 0 black and 255 white, one for every 40 ms."""
    notes: tuple[str, ...] = ()
    """Assumptions and changes that were made in reading, a phrase for each."""
    rate: float | None = None
    """Frames per second as the file has it; None where it says nothing that can be meant."""


def read(path: Path, box: Box | None = None) -> Video:
    """Reads a video of a mouth, or the mouth in a video, turned as players turn it.

    The frame rate is taken as 25 whatever the container says. Colour becomes luma. Luma of limited range is stretched
    to 0 to 255. Luma whose range is not given is taken as limited in a coloured video, as players do, and as full in
    one without colour, where grey levels were most likely put in as they were: so it is in the mouth crops of GRID,
    which agree with their originals in no other way.

    Args:
        path: a file with a video stream.
        box: where the mouth is, brought to 96x96 by averaging areas; None: the pictures are 96x96 and all mouth.

    Raises:
        ValueError: one line that names the file: it is missing, not a video, damaged or cut short; it holds no frames;
            their size is not 96x96 without a ``box``, or the box lies outside; their rate varies, or they are turned by
            part of a quarter.
    """
    from av.video.reformatter import ColorRange

    crops: list[np.ndarray] = []
    timestamps: list[int | None] = []
    is_coloured = is_turned = False
    with opened(path, "video") as container:
        stream = film(container)
        if stream is None:
            cover = " but a picture, such as of a cover" if container.streams.video else ""
            raise ValueError(f"{path}: has no video stream{cover}")
        stream.codec_context.options = {"err_detect": "explode"}  # where FFmpeg would guess what is missing
        tick, rate_stated, aspect = stream.time_base, stream.average_rate, stream.sample_aspect_ratio
        for frame in _decoded(path, container, stream):
            turned = turn(path, frame)
            if frame.format.name not in _EIGHT_BIT_LUMA:
                frame = frame.reformat(format="yuv444p", dst_color_range=ColorRange.MPEG)
            luma, *chroma = map(_pixels, frame.planes)
            shown = turned.apply(luma)
            x, y, width, height = _checked_box(path, shown, box)
            crops.append(shown[y : y + height, x : x + width].copy())
            timestamps.append(frame.pts)
            is_turned = is_turned or turned != Turn()
            is_coloured = is_coloured or any(_is_coloured(plane) for plane in chroma)
            range_ = ColorRange(frame.color_range)
    if not crops:
        raise ValueError(f"{path}: holds no video frames")
    _check_spacing(path, timestamps)
    frames = np.stack(crops)
    is_unmarked = range_ == ColorRange.UNSPECIFIED
    if range_ == ColorRange.MPEG or (is_unmarked and is_coloured):
        frames = _FULL_RANGE[frames]
    if frames.shape[1:] != (SIZE, SIZE):
        frames = _resized(frames)
    notes = ["colour read as grey"] if is_coloured else ["unmarked luma read as of full range"] if is_unmarked else []
    if is_turned:
        notes.append("turned upright, as the file says")
    if box is not None and aspect not in (None, 0, 1):
        notes.append(f"pixels {aspect.numerator}:{aspect.denominator} wide, which 'box' counts as they are stored")
    rate = _rate(timestamps, tick, rate_stated)
    if rate is not None and abs(rate - FRAMES_PER_SECOND) > RATE_TOLERANCE:
        notes.append(f"{rate:.4g} frames a second read as {FRAMES_PER_SECOND}")
    return Video(frames, tuple(notes), rate)


def write(path: Path, frames: np.ndarray) -> None:
    """Writes an H.264 MP4 of 25 frames a second that is hard to tell from the original; the same bytes every time.

    Args:
        path: its folder exists.
        frames: ``(T, 96, 96)`` uint8.
    """
    assert frames.ndim == 3 and frames.shape[1:] == (SIZE, SIZE) and frames.dtype == np.uint8, frames.shape
    import av
    from av.video.frame import VideoFrame
    from av.video.reformatter import ColorRange

    # Grey levels go into the luma plane as they are, and the file says so. A stream without chroma would be smaller,
    # but few players know it.
    planes = np.full((len(frames), SIZE * 3 // 2, SIZE), _NEUTRAL, np.uint8)
    planes[:, :SIZE] = frames
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=_ENCODER)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_range = ColorRange.JPEG
        for index, picture in enumerate(planes):
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.color_range = ColorRange.JPEG
            frame.pts, frame.time_base = index, Fraction(1, FRAMES_PER_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _decoded(path: Path, container: "InputContainer", stream: "VideoStream") -> "Iterator[VideoFrame]":
    # Packets are counted, not frames: a file that was cut without encoding it anew holds some that are not to be shown.
    num_packets = num_frames = 0
    for packet in container.demux(stream):
        frames = packet.decode()
        num_packets += packet.size > 0
        num_frames += len(frames)
        if packet.is_corrupt or any(frame.is_corrupt for frame in frames):
            raise ValueError(f"{path}: damaged at frame {num_frames}")
        yield from frames
    if num_packets < stream.frames:
        raise ValueError(f"{path}: damaged; only {num_packets} of its {stream.frames} frames are there")


def _checked_box(path: Path, shown: np.ndarray, box: Box | None) -> Box:
    shown_height, shown_width = shown.shape
    if box is None:
        if (shown_width, shown_height) != (SIZE, SIZE):
            raise ValueError(
                f"{path}: pictures are {shown_width}x{shown_height}, not {SIZE}x{SIZE}; "
                "say where the mouth is with 'box' (x, y, width, height)"
            )
        return 0, 0, SIZE, SIZE
    x, y, width, height = box
    if min(x, y) < 0 or min(width, height) < 1 or x + width > shown_width or y + height > shown_height:
        raise ValueError(f"{path}: 'box' {list(box)} reaches outside the picture of {shown_width}x{shown_height}")
    return box


def _pixels(plane: "VideoPlane") -> np.ndarray:
    """``(height, width)`` uint8, without the bytes that pad each line."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def _is_coloured(chroma: np.ndarray) -> bool:
    return bool(chroma.min() < _NEUTRAL - _COLOUR or chroma.max() > _NEUTRAL + _COLOUR)


def _intervals(timestamps: list[int | None]) -> np.ndarray:
    """``(T - 1,)`` ticks between frames; empty where the container does not time them: it may give all the same."""
    known = [timestamp for timestamp in timestamps if timestamp is not None]
    intervals = np.diff(np.array(known, dtype=np.int64))
    return intervals if len(known) == len(timestamps) and intervals.any() else intervals[:0]


def _check_spacing(path: Path, timestamps: list[int | None]) -> None:
    intervals = _intervals(timestamps)
    if len(intervals) == 0:
        return
    usual = float(np.median(intervals))
    # A tick is as exact as a timestamp can be; where it is as long as a frame, none is missing and none comes twice.
    uneven = np.flatnonzero(np.abs(intervals - usual) > max(min(1, usual / 2), _UNEVEN * usual))
    if len(uneven):
        raise ValueError(
            f"{path}: frame rate varies (after frame {uneven[0]}); convert it to {FRAMES_PER_SECOND} frames a second"
        )


def _rate(timestamps: list[int | None], tick: Fraction | None, stated: Fraction | None) -> float | None:
    """Frames per second as the container has it; None where it says nothing that can be meant."""
    intervals = _intervals(timestamps)
    if len(intervals) and tick is not None:
        rate = 1 / (float(intervals.mean()) * float(tick))
    elif stated is not None:
        rate = float(stated)
    else:
        return None
    return rate if _RATES[0] <= rate <= _RATES[1] else None


def _resized(frames: np.ndarray) -> np.ndarray:
    """``(T, H, W)`` -> ``(T, 96, 96)`` uint8: each new pixel is the mean of the area that it covers."""
    rows, columns = (_area_weights(size) for size in frames.shape[1:])
    return np.rint(rows @ frames.astype(np.float32) @ columns.T).astype(np.uint8)


def _area_weights(size: int) -> np.ndarray:
    """``(96, size)`` float32: the share that each old pixel has of each new one."""
    edges = np.arange(SIZE + 1) * (size / SIZE)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(overlap, 0) * (SIZE / size)).astype(np.float32)
