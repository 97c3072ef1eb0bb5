"""The frames of an MP3 file: their number, and the number that the first frame states."""

import mmap
from collections.abc import Iterator
from typing import NamedTuple

Bytes = bytes | mmap.mmap

_KBITS = {  # by whether it is MPEG-1: of layer III
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")


class _Frame(NamedTuple):
    length: int
    side: int
    """Bytes between the header and what an encoder may note in an otherwise empty first frame."""


def is_mp3(data: Bytes) -> bool:
    """Whether a frame stands where the first must, and another where it ends, if anything does."""
    begin = _after_tag(data)
    first = _frame(data, begin)
    if first is None:
        return False
    end = begin + first.length
    return end >= len(data) or _frame(data, end) is not None


def ends(data: Bytes) -> Iterator[int]:
    """The ends of frames, up to the first end that lies beyond the file.

    Raises:
        ValueError: a phrase: the frames are another number than the first says, or something else stands among them.
    """
    at, number = _after_tag(data), 0
    first = _frame(data, at)
    promised = _promised(data, at, first) if first is not None else None
    while (frame := _frame(data, at)) is not None:
        at += frame.length
        number += 1
        yield at
    rest = data[at:]
    if any(rest) and not rest.startswith(_TAGS):
        raise ValueError(f"the data at byte {at:,} are not a frame of MP3")
    if promised is not None and number not in (promised, promised + 1):  # some count the frame that says it
        raise ValueError(f"its header states {promised:,} frames, but it has {number:,}")


def _after_tag(data: Bytes) -> int:
    """The length of an ID3v2 tag at the beginning, and of zeros that follow it."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = sum((data[6 + place] & 127) << 7 * (3 - place) for place in range(4))
    end = 10 + size + (10 if data[5] & 16 else 0)
    return len(data) - len(data[end:].lstrip(b"\0"))


def _frame(data: Bytes, at: int) -> _Frame | None:
    head = int.from_bytes(data[at : at + 4], "big")
    version, layer = head >> 19 & 3, head >> 17 & 3
    kbits, rate = head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or version == 1 or layer != 1 or kbits in (0, 15) or rate == 3:
        return None
    is_first_version, is_mono = version == 3, head >> 6 & 3 == 3
    hertz = _RATES[rate] // (1 if is_first_version else 2 if version == 2 else 4)
    length = (144_000 if is_first_version else 72_000) * _KBITS[is_first_version][kbits] // hertz + (head >> 9 & 1)
    side = (17 if is_mono else 32) if is_first_version else (9 if is_mono else 17)
    checksum = 0 if head >> 16 & 1 else 2
    return _Frame(length, side + checksum)


def _promised(data: Bytes, at: int, frame: _Frame) -> int | None:
    """The number of frames that follow, as Xing's and LAME's headers and those of others give it."""
    note = at + 4 + frame.side
    if data[note : note + 4] not in (b"Xing", b"Info") or not data[note + 7 : note + 8] or not data[note + 7] & 1:
        return None
    return int.from_bytes(data[note + 8 : note + 12], "big")
