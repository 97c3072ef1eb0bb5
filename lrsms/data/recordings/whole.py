"""Whether a recording is as long as its own header says: libraries that decode it read what is there and do not ask.

Of each format, only the outermost structure is walked: chunks of WAV, AIFF, AVI and their like, pages of Ogg, boxes of
MP4, elements of Matroska, packets of an MPEG program stream, frames of MP3. FLAC counts and hashes its own samples,
which ``sound.py`` checks.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from lrsms.data.recordings import mp3

Bytes = bytes | mmap.mmap

_BOXES = {b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"free", b"skip", b"wide", b"pnot"}
_SEGMENT = 0x18538067
_PACK, _END_OF_PROGRAM = 0xBA, 0xB9
_ENDLESS = 0x7FFF_0000
"""Lengths from here on are what a writer puts that does not know it yet: 2 GiB of speech is no utterance."""


def check(path: Path, content: Bytes | None = None) -> None:
    """Refuses a file that ends before, or goes on after, what it says itself; one of unknown format passes.

    Args:
        path: the file, which exists.
        content: its bytes, where they have been read.

    Raises:
        ValueError: one line that names the file.
    """
    if content is None:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                return check(path, mapped)
    try:
        for end in _ends(content):
            if end > len(content):
                raise ValueError(f"it should go on to byte {end:,} at least, and has {len(content):,}")
    except ValueError as error:
        raise ValueError(f"{path}: damaged or cut short ({error}); fetch or write it again") from None
    return None


def with_length(content: bytes) -> bytes:
    """A WAV, AIFF or AU whose header leaves the length of its sound open, with the length that it has.

    Programs that write to a pipe put 0, or as much as fits, where they would have to come back.
    """
    at = _open_length(content)
    if at is None:
        return content
    order = ">" if content[:4] in (b"RIFX", b"FORM", b".snd") else "<"
    begin = struct.unpack(">I", content[4:8])[0] if content[:4] == b".snd" else at + 4
    return content[:at] + struct.pack(f"{order}I", len(content) - begin) + content[at + 4 :]


def _ends(data: Bytes) -> Iterator[int]:
    """The ends of parts as the file states them, up to the first end that lies beyond the file.

    Raises:
        ValueError: what is wrong otherwise, as a phrase.
    """
    head = data[:12]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] in (b"WAVE", b"AVI "):
        return _chunks(data, 12, ">I" if head[:4] == b"RIFX" else "<I")
    if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return _chunks(data, 12, ">I")
    if head[:4] == b"caff":
        return _chunks(data, 8, ">q")
    if head[:4] == b"riff":
        return _wave64(data)
    if head[:4] == b".snd":
        return _au(data)
    if head[:8] == b"NIST_1A\n":
        return _sphere(data)
    if head[:4] == b"OggS":
        return _pages(data)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _elements(data)
    if head[:4] == bytes((0, 0, 1, _PACK)):
        return _packets(data)
    if head[4:8] in _BOXES:
        return _boxes(data)
    return mp3.ends(data) if mp3.is_mp3(data) else iter(())


def _chunks(data: Bytes, at: int, length_format: str) -> Iterator[int]:
    """A kind of four letters, a length, content; in all but CAF padded to an even length."""
    width = struct.calcsize(length_format)
    open_length, long_length = _open_length(data), 0
    while at + 4 + width <= len(data):
        kind, body = data[at : at + 4], at + 4 + width
        (length,) = struct.unpack(length_format, data[at + 4 : body])
        if not (kind.isascii() and kind.decode().isprintable()):
            _refuse_rest(data, at)
            return
        if kind == b"ds64":
            (long_length,) = struct.unpack("<8xQ", data[body : body + 16].ljust(16, b"\0"))
        if kind == b"data" and data[:4] == b"RF64" and length == 0xFFFF_FFFF and 0 < long_length < 2**63:
            length = long_length
        elif length < 0 or at + 4 == open_length or (data[:4] == b"RF64" and length >= _ENDLESS):
            return
        yield body + length
        at = body + length + (length % 2 if width == 4 else 0)


def _open_length(data: Bytes) -> int | None:
    """Where the length of the samples of a WAV, AIFF or AU stands, if it is not given; None if it is."""
    if data[:4] == b".snd":
        given = data[8:12] not in (b"\xff" * 4, bytes(4))
        return None if given or len(data) < 24 else 8
    if data[8:12] not in (b"WAVE", b"AVI ", b"AIFF", b"AIFC") or data[:4] == b"RF64":
        return None
    order = ">" if data[:4] in (b"RIFX", b"FORM") else "<"
    at = 12
    while at + 8 <= len(data):
        kind, (length,) = data[at : at + 4], struct.unpack(f"{order}I", data[at + 4 : at + 8])
        is_sound = kind in (b"data", b"SSND") or data[at + 8 : at + 12] == b"movi"
        if is_sound and (length >= _ENDLESS or (length == 0 and not _is_chain(data, at + 8, f"{order}I"))):
            return at + 4
        at += 8 + length + length % 2
    return None


def _is_chain(data: Bytes, at: int, length_format: str) -> bool:
    """Whether what is there, if anything, are chunks up to the end."""
    while at + 8 <= len(data) and data[at : at + 4].isalnum():
        (length,) = struct.unpack(length_format, data[at + 4 : at + 8])
        at += 8 + length + length % 2
    return len(data) <= at <= len(data) + 1


def _wave64(data: Bytes) -> Iterator[int]:
    """Sony's: a kind of 16 bytes, a length that counts all, content, padded to 8 bytes."""
    at = 40
    while at + 24 <= len(data):
        (length,) = struct.unpack("<q", data[at + 16 : at + 24])
        if length < 24:
            _refuse_rest(data, at)
            return
        yield at + length
        at += -(-length // 8) * 8


def _au(data: Bytes) -> Iterator[int]:
    if len(data) >= 24 and _open_length(data) is None:
        end = sum(struct.unpack(">II", data[4:12]))
        yield end
        _refuse_rest(data, end)


def _sphere(data: Bytes) -> Iterator[int]:
    """NIST SPHERE: a header of text, whose lines are ``name -type value``."""
    lines = [line.split() for line in bytes(data[:1024]).decode("ascii", "replace").splitlines()]
    values = {line[0]: line[2] for line in lines if len(line) == 3}
    counts = [values.get(name, "") for name in ("sample_count", "channel_count", "sample_n_bytes")]
    if len(lines) > 1 and all(count.isdecimal() for count in (*counts, *lines[1][:1])):
        samples, channels, width = map(int, counts)
        end = int(lines[1][0]) + samples * channels * width
        yield end
        _refuse_rest(data, end)


def _pages(data: Bytes) -> Iterator[int]:
    """Ogg (RFC 3533): the last page of each stream says that it is, and pages are numbered."""
    at, numbers, ended = 0, dict[bytes, int](), False
    while at < len(data):
        if data[at : at + 4] != b"OggS"[: len(data) - at]:
            raise ValueError(f"what stands at byte {at:,} is no page of Ogg")
        if at + 27 > len(data):
            yield at + 27
        flags, serial, (number,) = data[at + 5], data[at + 14 : at + 18], struct.unpack("<I", data[at + 18 : at + 22])
        if flags & 2 and ended:
            raise ValueError(f"another recording begins at byte {at:,}; each needs a file of its own")
        if number != numbers.get(serial, number - 1) + 1:
            raise ValueError(f"pages are missing before byte {at:,}")
        numbers[serial] = number
        if flags & 4:
            del numbers[serial]
            ended = True
        table = data[at + 27 : at + 27 + data[at + 26]]
        at += 27 + data[at + 26] + sum(table)
        yield at
    if numbers:
        raise ValueError("its last page does not say that it is the last")


def _elements(data: Bytes) -> Iterator[int]:
    """Matroska and WebM (RFC 8794); an element of unknown length, as in a live stream, ends where the next begins."""
    at = 0
    while at < len(data) and data[at]:
        kind, _, begin = _number(data, at)
        length, width, body = _number(data, begin)
        if body > len(data):
            yield body
        if width > 8:
            raise ValueError(f"what stands at byte {at:,} is no element of Matroska")
        length -= 1 << 7 * width
        is_unknown = length == (1 << 7 * width) - 1
        if not is_unknown:
            yield body + length
        at = body if is_unknown or kind == _SEGMENT else body + length


def _number(data: Bytes, at: int) -> tuple[int, int, int]:
    """A number of variable width with its marker, the width in bytes, and where it ends."""
    width = 9 - data[at].bit_length() if at < len(data) else 1
    return int.from_bytes(data[at : at + width], "big"), width, at + width


def _boxes(data: Bytes) -> Iterator[int]:
    """MP4, M4A and MOV (ISO/IEC 14496-12): a length that counts all, a kind, content."""
    at = 0
    while any(data[at : at + 4]):  # 0: up to the end of the file
        if at + 8 > len(data):
            yield at + 8
        length, large = struct.unpack(">I4xQ", data[at : at + 16].ljust(16, b"\0"))
        length = large if length == 1 else length
        if length < 8:
            raise ValueError(f"what stands at byte {at:,} is no box of MP4")
        at += length
        yield at


def _packets(data: Bytes) -> Iterator[int]:
    """An MPEG program stream (ISO/IEC 11172-1, 13818-1); what lies between packets is passed over."""
    at = data.find(b"\0\0\1")
    while at >= 0:
        code, *rest = data[at + 3 : at + 14].ljust(11, b"\0")
        if code == _PACK:
            at += 12 if rest[0] >> 4 == 2 else 14 + (rest[9] & 7)
        else:
            at += 4 if code <= _END_OF_PROGRAM else 6 + 256 * rest[0] + rest[1]
        yield at
        at = data.find(b"\0\0\1", at)


def _refuse_rest(data: Bytes, end: int) -> None:
    """Zeros may follow, by which some systems fill up a block."""
    rest = len(data) - end
    if rest > 8 and any(data[end:]):
        raise ValueError(f"{rest:,} bytes follow byte {end:,}, where by its header it ends")
