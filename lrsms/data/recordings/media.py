"""Opens files with FFmpeg: only complete files, the right streams, errors in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lrsms.data.recordings import whole

# PyAV is imported where a file is opened: FFmpeg takes a while to load, and most jobs open no video.
if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


def refuse_missing(path: Path) -> None:
    """Raises ``ValueError``, one line, unless there is a file called ``path``."""
    if path.is_file():
        return
    if path.is_symlink():
        raise ValueError(f"{path}: is a symbolic link to {path.readlink()}, which is not there")
    raise ValueError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")


@contextmanager
def opened(path: Path, kind: Literal["audio", "video"]) -> "Iterator[InputContainer]":
    """The container, whose errors inside the block become ValueErrors of one line that names the file.

    Raises:
        ValueError: it is missing, cut short or not what FFmpeg reads.
    """
    import av

    refuse_missing(path)
    whole.check(path)
    try:
        with av.open(str(path)) as container:
            yield container
    except (av.FFmpegError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path}: cannot be read as {kind}, or damaged ({' '.join(str(reason).split())})") from None


def film(container: "InputContainer") -> "VideoStream | None":
    """The first stream with moving pictures, if there is one: music files may have a cover picture as a stream.

    If there are several, the others are versions for other players.
    """
    from av.stream import Disposition

    moving = (one for one in container.streams.video if not one.disposition & Disposition.attached_pic)
    return next(moving, None)
