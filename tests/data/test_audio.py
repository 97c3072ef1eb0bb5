"""Facts about reading audio, log-mel features and normalised waves."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from talking import write_sound

from lrsms.base.random_streams import stream
from lrsms.data import audio


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def peak_hertz(wave: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * audio.SAMPLE_RATE / len(wave))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_099, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_duration_and_level_at_any_rate(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(1_000, 1.0, rate), rate)
    wave = audio.read(tmp_path / "a.wav")
    assert wave.dtype == np.float32
    assert abs(len(wave) - 16_000) <= 1
    assert peak_hertz(wave) == pytest.approx(1_000, abs=1)
    assert np.abs(wave[2_000:-2_000]).max() == pytest.approx(0.5, abs=0.005)


def test_16_khz_wav_and_flac_are_read_exactly(tmp_path):
    samples = np.random.default_rng(0).integers(-32_768, 32_768, 3_000).astype(np.int16)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, samples, 16_000)
        np.testing.assert_array_equal(audio.read(tmp_path / name) * 32_768, samples)


def test_opus_is_read(tmp_path):
    soundfile.write(tmp_path / "a.ogg", tone(500, 1.0, 16_000), 16_000, format="OGG", subtype="OPUS")
    wave = audio.read(tmp_path / "a.ogg")
    assert peak_hertz(wave) == pytest.approx(500, abs=2)


def test_the_sound_of_a_video_is_read(tmp_path):
    samples = np.random.default_rng(0).integers(-32_768, 32_768, 3_000).astype(np.int16)
    write_sound(tmp_path / "a.MOV", samples)
    np.testing.assert_array_equal(audio.read(tmp_path / "a.MOV") * 32_768, samples)


@pytest.mark.parametrize(
    "name, container, codec",
    [("a.m4a", "ipod", "alac"), ("a.m4v", "mp4", "aac"), ("a.webm", "webm", "libopus"), ("a.mkv", "matroska", "flac")],
)
def test_containers_of_other_makers_are_read(tmp_path, name, container, codec):
    samples = np.int16(32_767 * tone(500, 1.0, 16_000))
    write_sound(tmp_path / name, samples, container, codec)
    wave = audio.read(tmp_path / name)
    assert abs(len(wave) - 16_000) <= 2_048  # codecs work in blocks, and some put silence before and after
    assert peak_hertz(wave) == pytest.approx(500, abs=2)


@pytest.mark.parametrize("late", [0.0, 0.1, 2.0])
def test_sound_that_begins_after_the_pictures_follows_silence(tmp_path, late):
    samples = np.random.default_rng(0).integers(-32_768, 32_768, 3_000).astype(np.int16)
    write_sound(tmp_path / "a.mov", samples, late=late)
    wave = audio.read(tmp_path / "a.mov") * 32_768
    np.testing.assert_array_equal(wave, np.concatenate([np.zeros(round(16_000 * late)), samples]))


def test_sound_that_begins_much_after_the_pictures_is_refused(tmp_path):
    write_sound(tmp_path / "a.mov", np.zeros(3_000, np.int16), late=100.0)
    with pytest.raises(ValueError, match=r"a\.mov: its sound begins 100 s after its pictures; cut what comes before$"):
        audio.read(tmp_path / "a.mov")


def test_the_sound_of_a_real_recording_agrees_with_its_copy():
    folder = Path(__file__).parents[3] / "shared/data/grid_s1"
    if not folder.is_dir():
        pytest.skip("needs GRID's talker 1 in ../shared/data/grid_s1")
    originals = sorted((folder / "mpg").glob("*.mpg"))
    assert originals
    for path in originals:
        sound, copy = audio.read(path), audio.read(folder / "audio16k" / f"{path.stem}.ogg")
        assert len(sound) == len(copy)
        assert np.corrcoef(sound, copy)[0, 1] > 0.99


def test_channels_are_averaged(tmp_path):
    left, right = tone(300, 0.5, 16_000), tone(700, 0.5, 16_000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav"), (left + right) / 2, atol=1e-6)


def test_what_cannot_be_used_is_refused_in_one_line_that_names_the_file(tmp_path):
    (tmp_path / "text.wav").write_text("hello")
    (tmp_path / "nothing.wav").write_bytes(b"")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan, 0.0]), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "inf.wav", np.array([0.0, np.inf, 0.0]), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "slow.wav", np.zeros(100), 50)
    expected = {
        "absent.wav": "no such file",
        "text.wav": "cannot be read",
        "nothing.wav": "cannot be read",
        "empty.wav": "holds no samples",
        "nan.wav": "NaN or infinite",
        "inf.wav": "NaN or infinite",
        "slow.wav": "sample rate is 50 Hz",
    }
    for name, message in expected.items():
        with pytest.raises(ValueError, match=f"{name}: .*{message}") as caught:
            audio.read(tmp_path / name)
        assert "\n" not in str(caught.value)


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=stream(1, "test"), dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_features_depend_neither_on_the_batch_nor_on_padding(dtype, tolerance):
    lengths = torch.tensor([12, 30, 7])
    waves = noise(3, 30 * 640, dtype=dtype)  # noise in the padding too: it must not be heard
    together = audio.log_mel(waves, lengths, 40)
    for row, length in enumerate(lengths.tolist()):
        alone = audio.log_mel(waves[row : row + 1, : 640 * length], lengths[row : row + 1], 40)
        torch.testing.assert_close(together[row, : 4 * length], alone[0], rtol=0, atol=tolerance)
        assert (together[row, 4 * length :] == 0).all()


def test_there_are_four_feature_frames_to_a_frame_of_any_number_of_mels():
    for mels in (1, 40, 80, 126):
        assert audio.log_mel(noise(2, 640 * 9), torch.tensor([9, 9]), mels).shape == (2, 36, mels)


def test_each_band_of_an_utterance_has_zero_mean_and_unit_variance():
    features = audio.log_mel(noise(1, 640 * 40), torch.tensor([40]), 20)[0]
    torch.testing.assert_close(features.mean(0), torch.zeros(20, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(features.square().mean(0), torch.ones(20, dtype=torch.float64), rtol=0, atol=1e-3)


def test_features_do_not_depend_on_level():
    waves, lengths = noise(1, 640 * 20), torch.tensor([20])
    torch.testing.assert_close(audio.log_mel(waves, lengths, 40), audio.log_mel(4 * waves, lengths, 40))


def test_a_click_is_brightest_in_the_feature_frame_it_falls_in():
    wave = torch.full((1, 640 * 10), 1e-3, dtype=torch.float64)
    wave[0, 160 * 17 + 80] = 1.0
    assert audio.log_mel(wave, torch.tensor([10]), 20)[0].mean(1).argmax() == 17


def test_a_higher_tone_is_brightest_in_a_higher_band():
    def brightest(hertz: float) -> int:
        burst = np.concatenate([1e-3 * np.random.default_rng(0).standard_normal(6_400), tone(hertz, 0.4, 16_000)])
        features = audio.log_mel(torch.from_numpy(burst)[None], torch.tensor([20]), 40)[0]
        return int(features[45:75].mean(0).argmax())

    # The band of mel centre k lies at (k + 1) / 41 of the way from 20 Hz to 8 kHz on the mel scale.
    def mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)

    for hertz in (400.0, 1_500.0, 5_000.0):
        nearest = 41 * (mel(hertz) - mel(20)) / (mel(8_000) - mel(20)) - 1
        assert abs(brightest(hertz) - nearest) <= 1


def test_digital_silence_has_features_of_zero():
    features = audio.log_mel(torch.zeros(1, 6_400, dtype=torch.float64), torch.tensor([10]), 40)
    torch.testing.assert_close(features, torch.zeros_like(features), rtol=0, atol=1e-9)


def test_autocast_does_not_touch_features():
    waves, lengths = noise(1, 6_400, dtype=torch.float32), torch.tensor([10])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = audio.log_mel(waves, lengths, 40)
    assert torch.equal(inside, audio.log_mel(waves, lengths, 40))


def test_too_many_mels_are_refused():
    with pytest.raises(ValueError, match="'mels' is 200"):
        audio.log_mel(noise(1, 640), torch.tensor([1]), 200)
