"""Facts about recordings that pass as whole and are not: every format that is cut short, or says less than there is."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from talking import write_sound

from lrsms.data.recordings import sound, whole

SAMPLES = np.random.default_rng(1).integers(-9_000, 9_000, 16_000).astype(np.int16)

FORMATS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_U8"),
    ("WAV", "FLOAT"),
    ("WAV", "ULAW"),
    ("WAV", "IMA_ADPCM"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AIFF", "PCM_S8"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("NIST", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]
CONTAINERS = [
    ("a.mov", "mov", "pcm_s16le"),
    ("a.m4a", "ipod", "aac"),
    ("a.mp4", "mp4", "aac"),
    ("a.mkv", "matroska", "flac"),
    ("a.webm", "webm", "libopus"),
    ("a.avi", "avi", "pcm_s16le"),
    ("a.mpg", "mpeg", "mp2"),
]


def written(path: Path, kind: str, subtype: str, samples: np.ndarray = SAMPLES) -> bytes:
    soundfile.write(path, samples, 16_000, format=kind, subtype=subtype)
    return path.read_bytes()


def refuses_cuts(path: Path) -> None:
    """The file is read, and refused in one line when it ends at any of some places."""
    content = path.read_bytes()
    assert abs(len(sound.read(path).wave) / sound.read(path).rate - 1) < 0.1
    for length in (len(content) // 3 - 7, len(content) // 2 + 5, int(0.97 * len(content)), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged") as caught:
            sound.read(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
def test_a_sound_file_that_was_cut_short_is_refused(tmp_path, kind, subtype):
    written(tmp_path / "a.audio", kind, subtype)
    refuses_cuts(tmp_path / "a.audio")


@pytest.mark.parametrize(("name", "container", "codec"), CONTAINERS)
def test_the_sound_of_a_container_that_was_cut_short_is_refused(tmp_path, name, container, codec):
    write_sound(tmp_path / name, SAMPLES, container, codec)
    refuses_cuts(tmp_path / name)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_ogg_is_refused_also_where_it_was_cut_between_pages(tmp_path, share):
    content = written(tmp_path / "a.ogg", "OGG", "VORBIS", np.tile(SAMPLES, 8))
    pages = [at for at in range(len(content)) if content[at : at + 4] == b"OggS"]
    assert len(pages) > 5
    end = pages[round(share * len(pages))]
    (tmp_path / "a.ogg").write_bytes(content[:end])
    with pytest.raises(ValueError, match=r"a\.ogg: damaged .*last page does not say that it is the last"):
        sound.read(tmp_path / "a.ogg")
    (tmp_path / "a.ogg").write_bytes(content[:end] + content[pages[-1] :])
    with pytest.raises(ValueError, match=r"a\.ogg: damaged .*pages are missing before byte"):
        sound.read(tmp_path / "a.ogg")


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_two_recordings_in_one_file_are_refused(tmp_path, kind, subtype):
    one, other = (written(tmp_path / "a.audio", kind, subtype, each) for each in (SAMPLES, SAMPLES[::-1]))
    (tmp_path / "a.audio").write_bytes(one + other)
    with pytest.raises(ValueError, match=r"a\.audio: damaged .*(another recording begins|header states \d+ frames)"):
        sound.read(tmp_path / "a.audio")


def wav_length(content: bytes) -> int:
    return content.index(b"data") + 4


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000])
@pytest.mark.parametrize("form", [0, 36, 0xFFFF_FFFF])
@pytest.mark.parametrize("subtype", ["PCM_16", "ULAW"])
def test_a_streamed_wav_is_read_to_its_end(tmp_path, length, form, subtype):
    content = bytearray(written(tmp_path / "a.wav", "WAV", subtype))
    expected = sound.read(tmp_path / "a.wav").wave
    content[4:8] = struct.pack("<I", form)
    content[wav_length(content) : wav_length(content) + 4] = struct.pack("<I", length)
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_array_equal(sound.read(tmp_path / "a.wav").wave, expected)


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF])
@pytest.mark.parametrize(
    ("kind", "place"), [("AIFF", lambda content: content.index(b"SSND") + 4), ("AU", lambda content: 8)]
)
def test_other_streamed_files_are_read_to_their_end(
    tmp_path: Path, length: int, kind: str, place: Callable[[bytes], int]
) -> None:
    content = bytearray(written(tmp_path / "a.audio", kind, "PCM_16"))
    content[place(content) : place(content) + 4] = struct.pack(">I", length)
    (tmp_path / "a.audio").write_bytes(content)
    np.testing.assert_array_equal(sound.read(tmp_path / "a.audio").wave * 32_768, SAMPLES)


@pytest.mark.parametrize(
    ("kind", "order", "mark", "ahead"), [("WAV", "<", b"data", 4), ("AIFF", ">", b"SSND", 4), ("AU", ">", b".snd", 8)]
)
def test_sound_that_a_header_does_not_count_is_not_dropped(tmp_path, kind, order, mark, ahead):
    content = bytearray(written(tmp_path / "a.audio", kind, "PCM_16"))
    at = content.index(mark) + ahead
    content[at : at + 4] = struct.pack(f"{order}I", 8_000)
    (tmp_path / "a.audio").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.audio: damaged .*bytes follow byte .*where by its header it ends"):
        sound.read(tmp_path / "a.audio")


def test_what_stands_beside_the_sound_is_no_damage(tmp_path):
    content = written(tmp_path / "a.wav", "WAV", "PCM_16")
    note = b"LIST" + struct.pack("<I", 5) + b"INFO!\0"
    before = content[:12] + note + content[12:]
    for changed in (content + note, before, content + bytes(500), content + note[:-1]):
        (tmp_path / "a.wav").write_bytes(changed)
        np.testing.assert_array_equal(sound.read(tmp_path / "a.wav").wave * 32_768, SAMPLES)
    empty = written(tmp_path / "a.wav", "WAV", "PCM_16", SAMPLES[:0])
    (tmp_path / "a.wav").write_bytes(empty + note)
    assert len(sound.read(tmp_path / "a.wav").wave) == 0
    content = written(tmp_path / "a.mp3", "MP3", "MPEG_LAYER_III")
    expected = sound.read(tmp_path / "a.mp3").wave
    tag = b"ID3\4\0\0\0\0\0\14" + b"TIT2\0\0\0\2\0\0\0A"
    for changed in (tag + content, content + b"TAG" + bytes(125)):
        (tmp_path / "a.mp3").write_bytes(changed)
        np.testing.assert_array_equal(sound.read(tmp_path / "a.mp3").wave, expected)


def test_a_live_stream_of_unknown_length_is_walked(tmp_path):
    """WebM from a browser: the segment and its clusters do not know how long they are."""
    unknown = b"\x01" + b"\xff" * 7
    block = b"\xa3\x84abcd"
    live = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67" + unknown + 2 * (b"\x1f\x43\xb6\x75" + unknown + 3 * block)
    whole.check(tmp_path / "a.webm", live)
    for length in (len(live) - 1, len(live) - 5):
        with pytest.raises(ValueError, match=r"a\.webm: damaged or cut short"):
            whole.check(tmp_path / "a.webm", live[:length])


def test_any_bytes_are_accepted_or_refused_in_one_line(tmp_path):
    random = np.random.default_rng(5)
    heads = [content[:400] for content in (written(tmp_path / "a", *each) for each in FORMATS)]
    for name, container, codec in CONTAINERS:
        write_sound(tmp_path / name, SAMPLES, container, codec)
        heads.append((tmp_path / name).read_bytes()[:400])
    for head in heads:
        for _ in range(30):
            mangled = bytearray(head[: random.integers(4, len(head) + 1)])
            for at in random.integers(4, max(5, len(mangled)), 4):
                mangled[at % len(mangled)] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
            try:
                whole.check(tmp_path / "x", bytes(mangled))
            except ValueError as error:
                assert str(error).startswith(f"{tmp_path / 'x'}: ") and "\n" not in str(error)
