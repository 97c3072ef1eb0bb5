"""Audio: reads a file into a 16 kHz wave, and turns waves into a front end's input: log-mel features or normalised
waves.

A frame is 640 samples (40 ms) throughout the project; four log-mel feature frames (10 ms each) make one frame.
"""

import warnings
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lrsms.data.recordings import sound
from lrsms.data.recordings.sound import Sound
from lrsms.data.torchaudio_import import torchaudio
from lrsms.study.frames import FEATURES_PER_FRAME, SAMPLE_RATE, SAMPLES_PER_FRAME

_RATES = 4_000, 768_000
"""Below, speech cannot be recognised; above, there are no recorders: the header is wrong."""
_WINDOW = 400
_HOP = 160
_FFT = 512
_LOWEST_HZ = 20.0
_FLOOR = 2.0**-24  # of a band's power for samples in [-1, 1]: keeps digital silence finite
_VARIANCE_FLOOR = 1e-5


def read(path: Path) -> np.ndarray:
    """The wave that ``hear`` reads."""
    return hear(path).wave


def hear(path: Path) -> Sound:
    """Reads any sound file or the sound of a video, at any rate and number of channels.

    Returns:
        A wave ``(S,)`` float32 at 16 kHz; ``rate`` is that of the file.

    Raises:
        ValueError: one line: it cannot be read (``sound.read``), is empty, has an impossible rate, or has a sample that
            is not finite.
    """
    heard = sound.read(path)
    if len(heard.wave) == 0:
        raise ValueError(f"{path}: holds no samples")
    if not np.isfinite(heard.wave).all():
        raise ValueError(f"{path}: holds samples that are NaN or infinite")
    lowest, highest = _RATES
    if not lowest <= heard.rate <= highest:
        raise ValueError(f"{path}: sample rate is {heard.rate} Hz; it must lie between {lowest} and {highest}")
    if heard.rate == SAMPLE_RATE:
        return heard
    return replace(heard, wave=_resampler(heard.rate)(torch.from_numpy(heard.wave)).numpy())


@lru_cache(maxsize=8)
def _resampler(rate: int) -> torch.nn.Module:
    # The kernel grows with both terms of the reduced ratio: 44,099 Hz would take gigabytes. The limit leaves every
    # usual rate exact (11,025 Hz is 441/640) or within a hundred-thousandth (5,512 Hz). An odd one moves by 0.05% at
    # most.
    ratio = Fraction(rate, SAMPLE_RATE).limit_denominator(1000)
    return torchaudio.transforms.Resample(ratio.numerator, ratio.denominator)


def log_mel(waves: Tensor, lengths: Tensor, mels: int) -> Tensor:
    """Log-mel features at 100 Hz, each band normalised over the utterance to zero mean and unit variance.

    25 ms Hann windows every 10 ms, centred on their 10 ms. Samples beyond an utterance's length count as silence, so
    its features depend neither on its batch nor on the padding.

    Args:
        waves: ``(B, 640 T)`` samples in [-1, 1], of a floating type, on any device.
        lengths: ``(B,)`` frames.
        mels: number of mel bands.

    Returns:
        ``(B, 4 T, mels)`` of the type of ``waves``; padded frames are 0.

    Raises:
        ValueError: there are so many ``mels`` that a band has no frequency.
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
        raise ValueError(f"'mels' is {mels}: a band has no frequency of a {_FFT}-point transform; use at most 126")
    return torch.hann_window(_WINDOW, dtype=dtype, device=device), bands.to(device, dtype)


def normalise_waves(waves: Tensor, lengths: Tensor) -> Tensor:
    """Scales each utterance to zero mean and unit variance over its own samples (Auto-AVSR); padding is 0.

    Args:
        waves: ``(B, 640 T)``.
        lengths: ``(B,)`` frames.
    """
    counts = (SAMPLES_PER_FRAME * lengths).unsqueeze(1)
    valid = torch.arange(waves.shape[1], device=waves.device) < counts
    waves = waves.masked_fill(~valid, 0.0)
    centred = (waves - waves.sum(1, keepdim=True) / counts) * valid
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / counts + 1e-8)
