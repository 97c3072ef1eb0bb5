"""Audio: from a file to a 16 kHz wave, from waves to log-mel features, and SpecAugment's masks over either.

A frame is 640 samples (40 ms) throughout the project; four log-mel feature frames (10 ms each) make one frame.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from lrsms import config
from lrsms.data.torchaudio_import import torchaudio

SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = 640
FEATURES_PER_FRAME = 4
FRAMES_PER_SECOND = SAMPLE_RATE // SAMPLES_PER_FRAME
FEATURES_PER_SECOND = FEATURES_PER_FRAME * FRAMES_PER_SECOND

_LOWEST_RATE = 4_000  # below it there is no speech to recognise, only a broken header
_WINDOW = 400
_HOP = 160
_FFT = 512
_LOWEST_HZ = 20.0
_FLOOR = 2.0**-24  # of a band's power for samples in [-1, 1]: keeps digital silence finite
_VARIANCE_FLOOR = 1e-5


def read(path: Path) -> np.ndarray:
    """Reads WAV, FLAC or OGG (Opus, Vorbis) at any rate and number of channels.

    Returns:
        ``(S,)`` float32 at 16 kHz, the mean of the channels; full scale is 1.

    Raises:
        ValueError: the file is missing, not audio, empty, or holds a sample that is not finite.
    """
    if not path.is_file():
        raise ValueError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError, MemoryError, ValueError) as error:
        reason = getattr(error, "error_string", None) or error
        raise ValueError(f"{path}: cannot be read as audio ({' '.join(str(reason).split())})") from None
    if len(samples) == 0:
        raise ValueError(f"{path}: holds no samples")
    if not np.isfinite(samples).all():
        raise ValueError(f"{path}: holds samples that are NaN or infinite")
    if rate < _LOWEST_RATE:
        raise ValueError(f"{path}: sample rate is {rate} Hz, at least {_LOWEST_RATE} is needed")
    wave = samples.mean(axis=1)
    if rate == SAMPLE_RATE:
        return wave
    return _resampler(rate)(torch.from_numpy(wave)).numpy()


@lru_cache(maxsize=8)
def _resampler(rate: int) -> torch.nn.Module:
    # The kernel grows with both terms of the reduced ratio. The limit leaves every usual rate exact (11,025 Hz is
    # 441/640) and moves an odd one by less than a millionth, where 44,099 Hz would otherwise take gigabytes.
    ratio = Fraction(rate, SAMPLE_RATE).limit_denominator(1000)
    return torchaudio.transforms.Resample(ratio.numerator, ratio.denominator)


def log_mel(waves: Tensor, lengths: Tensor, mels: int) -> Tensor:
    """Log-mel features at 100 Hz, each band normalised over the utterance to zero mean and unit variance.

    25 ms Hann windows every 10 ms, centred on the 10 ms they stand for. What lies beyond an utterance's length is
    silence to it, so its features depend neither on its batch nor on the padding.

    Args:
        waves: ``(B, 640 T)`` samples in [-1, 1], of a floating type, on any device.
        lengths: ``(B,)`` frames.
        mels: number of mel bands.

    Returns:
        ``(B, 4 T, mels)`` of the type of ``waves``; padded frames are 0.

    Raises:
        ValueError: so many ``mels`` that a band holds no frequency.
    """
    num_samples = waves.shape[1]
    assert num_samples % SAMPLES_PER_FRAME == 0, f"{num_samples} samples are not whole frames"
    sample_is_real = torch.arange(num_samples, device=waves.device) < SAMPLES_PER_FRAME * lengths[:, None]
    margin = (_FFT - _HOP) // 2
    padded = torch.nn.functional.pad(waves.masked_fill(~sample_is_real, 0), (margin, margin))
    window, bands = _window_and_bands(mels, waves.dtype, waves.device)
    with torch.autocast(waves.device.type, enabled=False):  # bfloat16 would ruin sums over a range of 100 dB
        spectrum = torch.stft(padded, _FFT, _HOP, _WINDOW, window, center=False, return_complex=True).mT
        power = spectrum.real.square() + spectrum.imag.square()
        features = (power @ bands).clamp_min(_FLOOR).log()
    frame_is_real = sample_is_real[:, ::_HOP, None]
    count = (FEATURES_PER_FRAME * lengths).clamp_min(1)[:, None, None]
    centred = (features - (features * frame_is_real).sum(1, keepdim=True) / count) * frame_is_real
    variance = centred.square().sum(1, keepdim=True) / count
    return centred * (variance + _VARIANCE_FLOOR).rsqrt()


@lru_cache(maxsize=16)
def _window_and_bands(mels: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """The Hann window ``(400,)`` and the triangular HTK mel filters ``(257, mels)``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an empty band is refused below
        bands = torchaudio.functional.melscale_fbanks(_FFT // 2 + 1, _LOWEST_HZ, SAMPLE_RATE / 2, mels, SAMPLE_RATE)
    if not (bands > 0).any(0).all():
        raise ValueError(f"'mels' is {mels}: a band holds no frequency of a {_FFT}-point transform; use at most 126")
    return torch.hann_window(_WINDOW, dtype=dtype, device=device), bands.to(device, dtype)


@dataclass(frozen=True)
class Masks:
    """What SpecAugment hides of one utterance: ``[start, end)`` in seconds, and in mel bands."""

    times: tuple[tuple[float, float], ...]
    mels: tuple[tuple[int, int], ...]


def draw_masks(frames: int, augment: config.Augment, mels: int, generator: torch.Generator) -> Masks:
    """Draws SpecAugment's masks (Park et al. 2019) for one utterance; the number of time masks grows with its length.

    Widths are uniform from 0 to the largest and never wider than what they mask; starts are uniform.

    Args:
        frames: length of the utterance.
        augment: how many masks, and how wide.
        mels: number of mel bands; 0 for waves, which have none to mask.
        generator: the utterance's own stream, so that its masks depend on nothing else.
    """
    seconds = frames / FRAMES_PER_SECOND
    times = []
    for width, start in torch.rand(round(augment.time_masks * seconds), 2, generator=generator).tolist():
        length = min(width * augment.time_width, seconds)
        first = start * (seconds - length)
        times.append((first, first + length))
    bands = []
    if mels:
        for width, start in torch.rand(augment.mel_masks, 2, generator=generator).tolist():
            num_bands = min(int(width * (augment.mel_width + 1)), mels)
            lowest = int(start * (mels - num_bands + 1))
            bands.append((lowest, lowest + num_bands))
    return Masks(tuple(times), tuple(bands))


def apply_masks(inputs: Tensor, masks: Sequence[Masks], rate: int) -> Tensor:
    """Sets what the masks hide to 0: the mean of normalised features, silence in a wave.

    Args:
        inputs: features ``(B, F, M)`` or waves ``(B, S)``.
        masks: one for each utterance.
        rate: steps of the second axis per second: ``FEATURES_PER_SECOND`` or ``SAMPLE_RATE``.
    """
    assert len(masks) == len(inputs), f"{len(masks)} masks for {len(inputs)} utterances"
    # Built on the CPU and moved once: a kernel for each span would cost more than the whole front end.
    hidden = torch.zeros(inputs.shape[:2], dtype=torch.bool)
    for row, mask in zip(hidden, masks, strict=True):
        for start, end in mask.times:
            row[round(start * rate) : round(end * rate)] = True
    if inputs.dim() == 2:
        return inputs.masked_fill(hidden.to(inputs.device), 0)
    hidden_bands = torch.zeros(len(inputs), 1, inputs.shape[2], dtype=torch.bool)
    for bands, mask in zip(hidden_bands, masks, strict=True):
        for low, high in mask.mels:
            bands[:, low:high] = True
    return inputs.masked_fill((hidden[:, :, None] | hidden_bands).to(inputs.device), 0)
