from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from lrsms.data import video
from lrsms.data.recordings import sound

GRID = Path(__file__).parents[3] / "shared/data/grid_s1"
MOUTH = (114, 165, 96, 96)


def waves(num_frames: int = 30) -> np.ndarray:
    """``(T, 96, 96)``: a smooth pattern that moves, from black to white."""
    time = np.arange(num_frames)[:, None, None]
    row, column = np.mgrid[:96, :96]
    return np.rint(127.5 + 127.5 * np.sin(row / 9 + column / 13 + time / 5)).astype(np.uint8)


def encode(
    path: Path, pictures: np.ndarray, codec: str = "libx264", rate: int = 25, times: list[int] | None = None
) -> None:
    """Writes grey ``(T, H, W)`` or coloured ``(T, H, W, 3)`` pictures, at ``times`` in milliseconds where given.

    Grey levels are put into the luma plane as they are, and the file does not say so.
    """
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options={"crf": "4"} if codec == "libx264" else {})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        tick = Fraction(1, 1000 if times else rate)
        stream.codec_context.time_base = tick
        for index, picture in enumerate(pictures):
            if picture.ndim == 3:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            else:
                chroma = np.full((len(picture) // 2, picture.shape[1]), 128, np.uint8)
                frame = av.VideoFrame.from_ndarray(np.concatenate([picture, chroma]), format="yuv420p")
            frame.pts, frame.time_base = times[index] if times else index, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def coloured(grey: np.ndarray) -> np.ndarray:
    """``(T, H, W, 3)``: the same luma (ITU-R 601) with a red cast."""
    others = grey - 20 * 0.299 / 0.701
    return np.clip(np.stack([grey + 20.0, others, others], axis=-1), 0, 255).astype(np.uint8)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    frames = waves()
    video.write(tmp_path / "film.mp4", frames)
    film = video.read(tmp_path / "film.mp4")
    assert film.frames.dtype == np.uint8 and film.frames.shape == frames.shape and film.notes == ()
    assert np.abs(film.frames.astype(float) - frames).mean() < 2
    assert film.frames.min() <= 3 and film.frames.max() >= 252


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.mp4", "second.mp4"):
        video.write(tmp_path / name, waves())
    assert (tmp_path / "first.mp4").read_bytes() == (tmp_path / "second.mp4").read_bytes()


def test_a_player_is_told_rate_length_and_range(tmp_path: Path) -> None:
    video.write(tmp_path / "film.mp4", waves(31))
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate, stream.frames) == ("h264", 25, 31)
        assert stream.codec_context.pix_fmt in ("yuv420p", "yuvj420p")
        assert next(container.decode(stream)).color_range == 2


@pytest.mark.parametrize(("name", "codec"), [("film.mp4", "libx264"), ("film.avi", "mjpeg"), ("film.mkv", "libx264")])
def test_colour_becomes_luma_of_the_full_range(tmp_path: Path, name: str, codec: str) -> None:
    frames = waves()
    encode(tmp_path / name, coloured(frames), codec)
    film = video.read(tmp_path / name)
    assert film.notes == ("colour read as grey",)
    middle = (frames > 30) & (frames < 225)  # where the cast is not cut off
    assert np.abs(film.frames.astype(float) - frames)[middle].mean() < 5


def test_the_rate_is_25_whatever_the_container_says(tmp_path: Path) -> None:
    encode(tmp_path / "film.mp4", waves(30), rate=30)
    film = video.read(tmp_path / "film.mp4")
    assert len(film.frames) == 30 and film.notes[-1] == "30 frames a second read as 25"


def test_a_rate_that_varies_is_refused(tmp_path: Path) -> None:
    times = [40 * index + (80 if index >= 10 else 0) for index in range(20)]
    encode(tmp_path / "film.mkv", waves(20), times=times)
    with pytest.raises(ValueError, match=r"film\.mkv: frame rate varies \(after frame 9\); convert it to 25"):
        video.read(tmp_path / "film.mkv")


@pytest.mark.parametrize("times", [[0, 1, 2, 4, 5], [0, 1, 1, 2, 3]])
def test_a_frame_that_is_missing_or_there_twice_is_found_where_a_tick_is_a_frame(
    tmp_path: Path, times: list[int]
) -> None:
    with pytest.raises(ValueError, match=r"film: frame rate varies \(after frame [12]\)"):
        video._check_spacing(tmp_path / "film", list(times))
    video._check_spacing(tmp_path / "film", [0, 1, 2, 3])


def test_even_times_may_be_rounded_to_milliseconds(tmp_path: Path) -> None:
    encode(tmp_path / "film.mkv", waves(20), times=[round(index * 1000 / 60) for index in range(20)])
    note = video.read(tmp_path / "film.mkv").notes[-1]
    assert note.endswith(" frames a second read as 25") and 59 < float(note.split()[0]) < 61


def test_a_box_of_the_right_size_is_cut_out_unchanged(tmp_path: Path) -> None:
    pictures = np.tile(waves(5), (1, 2, 2))
    encode(tmp_path / "film.mp4", pictures)
    whole = [video.read(tmp_path / "film.mp4", (x, 30, 96, 96)).frames for x in (0, 50)]
    assert np.array_equal(whole[0][:, :, 50:], whole[1][:, :, :46])
    assert np.abs(whole[0].astype(float) - pictures[:, 30:126, :96]).mean() < 4


def test_a_box_of_another_size_is_averaged_over_areas(tmp_path: Path) -> None:
    encode(tmp_path / "film.mp4", np.tile(waves(5), (1, 2, 2)))
    large = video.read(tmp_path / "film.mp4", (0, 0, 192, 192)).frames
    parts = [[video.read(tmp_path / "film.mp4", (x, y, 96, 96)).frames for x in (0, 96)] for y in (0, 96)]
    full = np.concatenate([np.concatenate(row, axis=2) for row in parts], axis=1).astype(float)
    means = full.reshape(5, 96, 2, 96, 2).mean((2, 4))
    assert np.abs(large - means).max() <= 0.51
    assert np.abs(video.read(tmp_path / "film.mp4", (0, 0, 131, 77)).frames.mean() - full[:, :77, :131].mean()) < 0.5


def test_without_a_box_only_mouths_are_read(tmp_path: Path) -> None:
    encode(tmp_path / "film.mp4", np.zeros((3, 98, 100), np.uint8))
    with pytest.raises(ValueError, match=r"film\.mp4: pictures are 100x98, not 96x96; .*'box' \(x, y, width, height\)"):
        video.read(tmp_path / "film.mp4")


@pytest.mark.parametrize("box", [(10, 0, 96, 96), (0, 3, 96, 96), (0, 0, 0, 5)])
def test_a_box_outside_the_picture_is_refused(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    encode(tmp_path / "film.mp4", np.zeros((3, 98, 100), np.uint8))
    with pytest.raises(ValueError, match=r"'box' \[.*\] reaches outside the picture of 100x98"):
        video.read(tmp_path / "film.mp4", box)


def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a film")
    soundfile.write(tmp_path / "sound.wav", np.zeros(1600), 16_000)
    for path, message in [
        (tmp_path / "absent.mp4", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "text.mp4", "cannot be read as video, or damaged"),
        (tmp_path / "sound.wav", "has no video stream"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            video.read(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_grey_levels_of_a_range_that_is_not_marked_are_left_alone(tmp_path: Path) -> None:
    encode(tmp_path / "film.mp4", waves())
    film = video.read(tmp_path / "film.mp4")
    assert film.notes == ("unmarked luma read as of full range",)
    assert np.abs(film.frames.astype(float) - waves()).mean() < 2


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "empty.mkv"), "w") as container:
        container.add_stream("libx264", rate=25, width=96, height=96, pix_fmt="yuv420p")
        sound: Any = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(sound.encode(frame))
    with pytest.raises(ValueError, match=r"empty\.mkv: holds no video frames"):
        video.read(tmp_path / "empty.mkv")


def test_damage_is_found(tmp_path: Path) -> None:
    video.write(tmp_path / "film.mp4", waves())
    content = (tmp_path / "film.mp4").read_bytes()
    flipped = bytearray(content)
    for index in range(2000, 3000, 50):
        flipped[index] ^= 0x55
    for damaged in (content[: len(content) // 2], bytes(flipped)):
        (tmp_path / "damaged.mp4").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"damaged\.mp4: .*damaged"):
            video.read(tmp_path / "damaged.mp4")


@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_a_download_that_broke_off_is_found_where_the_index_comes_first(tmp_path: Path, share: float) -> None:
    video.write(tmp_path / "film.mp4", waves())
    options = {"movflags": "faststart"}
    with av.open(str(tmp_path / "film.mp4")) as film, av.open(str(tmp_path / "web.mp4"), "w", options=options) as web:
        copy = web.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                web.mux(packet)
    content = (tmp_path / "web.mp4").read_bytes()
    assert len(video.read(tmp_path / "web.mp4").frames) == 30
    (tmp_path / "web.mp4").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"web\.mp4: .*damaged"):
        video.read(tmp_path / "web.mp4")


def test_sound_is_read_from_a_video_file(tmp_path: Path) -> None:
    tone = np.sin(np.arange(44_100) * 2 * np.pi * 300 / 44_100).astype(np.float32)
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=44_100, layout="stereo")
        samples = np.rint(np.stack([tone, 0 * tone], 1).reshape(1, -1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    heard = sound.read(tmp_path / "film.mkv")
    assert heard.rate == 44_100 and heard.wave.dtype == np.float32
    assert heard.wave == pytest.approx(tone / 2, abs=1e-4)


def test_a_silent_film_has_no_sound(tmp_path: Path) -> None:
    video.write(tmp_path / "film.mp4", waves(3))
    with pytest.raises(ValueError, match=r"film\.mp4: has no audio stream"):
        sound.read(tmp_path / "film.mp4")


@pytest.mark.skipif(not GRID.is_dir(), reason="real GRID videos are not beside the checkout")
def test_mouths_cut_from_grids_originals_agree_with_the_crops_made_of_them() -> None:
    for path in sorted((GRID / "mpg").glob("*.mpg")):
        original = video.read(path, MOUTH)
        crops = video.read(GRID / "mouth96" / f"{path.stem}.mp4")
        assert original.notes == ("colour read as grey",) and len(crops.notes) == 1
        assert original.frames.shape == crops.frames.shape == (75, 96, 96)
        difference = original.frames.astype(float) - crops.frames
        assert np.abs(difference).mean() < 2.5 and abs(difference.mean()) < 0.5
        assert np.corrcoef(original.frames.ravel(), crops.frames.ravel())[0, 1] > 0.995
        heard = sound.read(path)
        assert heard.rate == 44_100 and 2.9 < len(heard.wave) / heard.rate < 3.05
