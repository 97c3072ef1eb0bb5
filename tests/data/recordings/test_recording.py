"""Facts about what is kept of a recording: right values, or one line that says why not; short ones; notes."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from talking import BOTH, pictures_of, samples_of, write_film, write_sound

from lrsms.data import audio, video
from lrsms.data.recordings import recording, sound
from lrsms.data.utterance import Utterance
from lrsms.study.run import Modality

SPEECH = np.random.default_rng(3).standard_normal(16_000).astype(np.float32) * np.float32(0.1)


def read(heard: Path | None, seen: Path | None = None, min_duration: float | None = None) -> recording.Recording:
    modalities: tuple[Modality, ...] = BOTH if heard and seen else ("audio",) if heard else ("video",)
    return recording.read(Utterance("u", "train", heard, seen, "", "a"), modalities, min_duration)


def refusal(heard: Path | None, seen: Path | None = None, min_duration: float | None = None) -> str:
    with pytest.raises(ValueError) as caught:
        read(heard, seen, min_duration)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Level


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_recording_in_which_nothing_was_recorded_is_refused(tmp_path, value):
    soundfile.write(tmp_path / "a.wav", np.full((16_000, 2), value), 16_000)
    assert refusal(tmp_path / "a.wav") == f"{tmp_path / 'a.wav'}: is silent"


@pytest.mark.parametrize(("subtype", "level"), [("FLOAT", 1e-5), ("PCM_24", 2e-4), ("FLOAT", 1e-6)])
def test_a_quiet_recording_keeps_its_shape(tmp_path, subtype, level):
    soundfile.write(tmp_path / "a.wav", level * SPEECH / 0.1, 16_000, subtype=subtype)
    read_ = read(tmp_path / "a.wav")
    assert read_.notes == ("too quiet for 16 bit: made louder",)
    assert 16_384 <= np.abs(read_.samples).max() <= 32_767
    kept = read_.samples / np.linalg.norm(read_.samples.astype(float))
    assert kept @ (SPEECH / np.linalg.norm(SPEECH)) > 0.9999 if subtype == "FLOAT" else 0.99


def test_what_16_bit_holds_is_kept_bit_by_bit_however_quiet(tmp_path):
    quiet = np.random.default_rng(1).integers(-3, 4, 16_000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", quiet, 16_000)
    read_ = read(tmp_path / "a.wav")
    np.testing.assert_array_equal(read_.samples, quiet)
    assert read_.notes == ()


@pytest.mark.parametrize("rate", [3_000, 800_000])
def test_a_rate_that_no_recorder_has_is_refused(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", SPEECH, rate)
    assert f"sample rate is {rate} Hz; it must lie between 4000 and 768000" in refusal(tmp_path / "a.wav")


# Channels


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("balance", [0.99, 0.8])
def test_channels_of_opposite_phase_are_not_cancelled(tmp_path, name, balance):
    soundfile.write(tmp_path / name, np.stack([-balance * SPEECH, SPEECH], axis=1), 16_000)
    heard = sound.read(tmp_path / name)
    np.testing.assert_allclose(heard.wave, SPEECH, atol=4e-5)  # of 16 bit
    assert heard.notes == ("channels of opposite phase, which cancel out: the loudest is read alone",)


def test_other_channels_are_averaged_without_a_word(tmp_path):
    other = np.random.default_rng(9).standard_normal(16_000).astype(np.float32) * 0.1
    for channels in ([SPEECH, other], [SPEECH, 0 * SPEECH], [SPEECH, SPEECH], [SPEECH, other, 0 * other, other[::-1]]):
        soundfile.write(tmp_path / "a.wav", np.stack(channels, axis=1), 16_000, subtype="FLOAT")
        heard = sound.read(tmp_path / "a.wav")
        np.testing.assert_allclose(heard.wave, np.mean(channels, axis=0), atol=1e-6)
        assert heard.notes == ()


# FLAC


def flac(path: Path, bits: str = "PCM_16") -> tuple[bytearray, np.ndarray]:
    soundfile.write(path, np.stack([SPEECH, SPEECH[::-1]], axis=1), 16_000, subtype=bits)
    return bytearray(path.read_bytes()), soundfile.read(path, dtype="float32")[0].mean(axis=1)


def with_count(content: bytearray, count: int) -> bytearray:
    """The number of samples is the last 36 bits of the 8 bytes at 18 (RFC 9639, 8.2)."""
    rest = int.from_bytes(content[18:26], "big") >> 36 << 36
    return content[:18] + (rest | count).to_bytes(8, "big") + content[26:]


@pytest.mark.parametrize("bits", ["PCM_S8", "PCM_16", "PCM_24"])
def test_flac_is_read_as_libsndfile_reads_it_and_its_checksum_holds(tmp_path, bits):
    content, expected = flac(tmp_path / "a.flac", bits)
    np.testing.assert_array_equal(sound.read(tmp_path / "a.flac").wave, expected)
    content[26] ^= 1
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.flac: damaged; its samples are not those whose checksum"):
        sound.read(tmp_path / "a.flac")


@pytest.mark.parametrize("count", [0, 100, 15_999])
def test_all_of_flac_is_read_whatever_its_header_counts(tmp_path, count):
    content, expected = flac(tmp_path / "a.flac")
    (tmp_path / "a.flac").write_bytes(with_count(content, count))
    heard = sound.read(tmp_path / "a.flac")
    np.testing.assert_array_equal(heard.wave, expected)
    assert heard.notes == (("all samples are read, of which its header counts a part",) if count else ())


def test_flac_that_has_less_or_no_proof_of_more_is_refused(tmp_path):
    content, _ = flac(tmp_path / "a.flac")
    unproven = with_count(content, 100)
    unproven[26:42] = bytes(16)
    for changed in (with_count(content, 16_001), unproven):
        (tmp_path / "a.flac").write_bytes(changed)
        with pytest.raises(ValueError, match=r"a\.flac: damaged; its header says [\d,]+ samples, and there are 16,000"):
            sound.read(tmp_path / "a.flac")


# Formats


@pytest.mark.parametrize("name", ["a.raw", "a.RAW", "a.pcm"])
def test_samples_without_a_header_are_refused_with_the_way_to_one(tmp_path, name):
    (tmp_path / name).write_bytes(samples_of(1).tobytes())
    assert refusal(tmp_path / name).endswith(f"such as with ffmpeg -f s16le -ar 16000 -ac 1 -i {name} a.wav)")


def test_a_format_that_is_not_read_is_refused_with_those_that_are(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"no sound")
    soundfile.write(tmp_path / "a.voc", SPEECH, 16_000, format="VOC", subtype="PCM_16")
    for name in ("a.xyz", "a.voc"):
        assert "; read are WAV, FLAC, OGG (Opus, Vorbis), MP3, AIFF" in refusal(tmp_path / name)


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "gone.wav")
    assert refusal(tmp_path / "a.wav").endswith(f"is a symbolic link to {tmp_path / 'gone.wav'}, which is not there")


# Sound and pictures


@pytest.mark.parametrize("name", ["a.mov", "a.mkv"])
@pytest.mark.parametrize("early", [0.36, 0.02])
def test_sound_before_the_pictures_is_left_out_where_both_are_wanted(tmp_path, name, early):
    begin = round(16_000 * early)
    samples = samples_of(1, begin + 640 * 25)
    write_film(tmp_path / name, pictures_of(1, 25), samples, pictures_at=early)
    both = read(tmp_path / name, tmp_path / name)
    assert both.frames == 25
    np.testing.assert_array_equal(both.samples, samples[begin : begin + 640 * 25])
    note = "sound before the first picture is left out"
    assert (note in both.notes) == (early > 0.04)
    alone = read(tmp_path / name).samples  # nothing to be aligned with
    np.testing.assert_array_equal(alone[: len(samples)], samples)
    np.testing.assert_array_equal(recording.read_samples(tmp_path / name, False), samples)
    np.testing.assert_array_equal(recording.read_samples(tmp_path / name, True), both.samples)


def test_sound_after_the_pictures_follows_silence(tmp_path):
    samples = samples_of(1, 640 * 16)
    write_film(tmp_path / "a.mov", pictures_of(1, 25), samples, sound_at=0.36)
    both = read(tmp_path / "a.mov", tmp_path / "a.mov")
    assert both.frames == 25 and not both.samples[: 640 * 9].any()
    np.testing.assert_array_equal(both.samples[640 * 9 :], samples)


def test_a_gap_in_the_sound_is_refused(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for index in (0, 1, 2, 8, 9):
            frame = av.AudioFrame.from_ndarray(samples_of(index, 640)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 640 * index
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert "its sound has a gap of 0.20 s, 0.12 s after its beginning" in refusal(tmp_path / "a.mkv")


def test_pictures_of_another_rate_are_told_by_their_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", samples_of(1, 16_000), 16_000)
    write_film(tmp_path / "a.mov", pictures_of(1, 30), samples_of(1, 16_000), rate=30)
    message = refusal(tmp_path / "a.wav", tmp_path / "a.mov")
    assert re.search(r"a\.mov: has (30|29\.99) frames a second \(30 frames beside 1\.00 s of sound\); 25 are", message)
    assert message.endswith("convert it, such as with ffmpeg -i a.mov -r 25 new.mov")
    # GRID's way: 25 pictures a second that say to be others. The sound tells.
    soundfile.write(tmp_path / "a.wav", samples_of(1, 19_200), 16_000)
    assert read(tmp_path / "a.wav", tmp_path / "a.mov").notes[-1].endswith(" frames a second read as 25")


def test_a_cover_is_no_video(tmp_path):
    import av

    write_sound(tmp_path / "plain.m4a", samples_of(1, 16_000), "ipod", "aac")
    with av.open(str(tmp_path / "plain.m4a")) as plain, av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as covered:
        heard = covered.add_stream_from_template(plain.streams.audio[0])
        cover = covered.add_stream("png", rate=1)
        cover.width = cover.height = 96
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        covered.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((96, 96, 3), np.uint8), format="rgb24")))
        covered.mux(cover.encode(None))
        for packet in plain.demux():
            if packet.dts is not None:
                packet.stream = heard
                covered.mux(packet)
    assert refusal(None, tmp_path / "a.m4a").endswith("has no video stream but a picture, such as of a cover")
    np.testing.assert_array_equal(audio.read(tmp_path / "a.m4a"), audio.read(tmp_path / "plain.m4a"))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("turned", [90, -90, 180])
def test_a_mouth_is_upright_as_players_show_it(tmp_path, name, turned):
    stored = np.tile(np.uint8(np.add.outer(np.arange(64), 2 * np.arange(96)))[None], (8, 1, 1))
    shown = np.rot90(stored, turned // 90, axes=(1, 2))
    write_film(tmp_path / name, stored, samples_of(1), turned=turned)
    x, y, width, height = box = (10, 20, 40, 30)
    film = video.read(tmp_path / name, box)
    expected = shown[:, y : y + height, x : x + width].astype(float)
    assert film.frames.mean() == pytest.approx(expected.mean(), abs=1.5)
    corners = film.frames[:, [2, 2, -3, -3], [2, -3, 2, -3]].mean(axis=0)
    np.testing.assert_allclose(corners, expected[0, [0, 0, -1, -1], [0, -1, 0, -1]], atol=8)
    assert "turned upright, as the file says" in film.notes
    if turned % 180:
        with pytest.raises(ValueError, match=r"'box' \[60, 0, 30, 30\] reaches outside the picture of 64x96"):
            video.read(tmp_path / name, (60, 0, 30, 30))


def test_a_box_counts_pixels_as_they_are_stored_and_says_so_where_they_are_wide(tmp_path):
    for name, aspect in (("square.mp4", None), ("wide.mp4", Fraction(64, 45))):
        write_film(tmp_path / name, pictures_of(1), samples_of(1), aspect=aspect)
    square, wide = (video.read(tmp_path / name, (8, 8, 64, 64)) for name in ("square.mp4", "wide.mp4"))
    np.testing.assert_array_equal(square.frames, wide.frames)
    assert set(wide.notes) - set(square.notes) == {"pixels 64:45 wide, which 'box' counts as they are stored"}


def test_a_slanted_picture_is_refused(tmp_path):
    write_film(tmp_path / "a.mp4", pictures_of(1), samples_of(1), turned=30)
    with pytest.raises(ValueError, match=r"a\.mp4: is to be shown turned by \d+ degrees; write it anew, upright"):
        video.read(tmp_path / "a.mp4")


# Short words


@pytest.mark.parametrize("seconds", [0.01, 0.15, 0.19])
def test_short_clips_are_kept_where_the_corpus_says_so_and_padded_with_silence(tmp_path, seconds):
    samples = samples_of(1, round(16_000 * seconds))
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    assert "at least 0.2 s is needed where the corpus does not say 'min_duration'" in refusal(tmp_path / "a.wav")
    assert "the corpus's 'min_duration' is 0.3 s" in refusal(tmp_path / "a.wav", min_duration=0.3)
    for least in (0.0, seconds):
        kept = read(tmp_path / "a.wav", min_duration=least)
        assert kept.frames == 5
        np.testing.assert_array_equal(kept.samples[: len(samples)], samples)
        assert len(kept.samples) == 3_200 and not kept.samples[len(samples) :].any()


def test_a_short_film_stands_still_at_its_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", samples_of(1, 640 * 3), 16_000)
    video.write(tmp_path / "a.mp4", pictures_of(1, 3))
    assert "too short (3 frames" in refusal(None, tmp_path / "a.mp4")
    both = read(tmp_path / "a.wav", tmp_path / "a.mp4", 0.1)
    assert both.frames == len(both.pictures) == 5 and len(both.samples) == 3_200
    np.testing.assert_array_equal(both.pictures[3:], both.pictures[[2, 2]])


# Narrow band


def test_a_narrow_band_is_noted(tmp_path):
    spectrum = np.random.default_rng(0).standard_normal(4_001) / np.arange(1, 4_002)  # falls as that of speech does
    soundfile.write(tmp_path / "a.wav", 3 * np.fft.irfft(spectrum * 1j**0.5) * 100, 8_000, subtype="FLOAT")
    assert read(tmp_path / "a.wav").notes == ("sampled at 8000 Hz: it has nothing above 4000 Hz",)
    soundfile.write(tmp_path / "b.wav", audio.read(tmp_path / "a.wav"), 16_000)
    (note,) = read(tmp_path / "b.wav").notes
    assert note == "sampled at 16000 Hz, but it has almost nothing above 4000 Hz, as on a telephone"
    soundfile.write(tmp_path / "c.wav", SPEECH, 16_000)
    assert read(tmp_path / "c.wav").notes == ()
