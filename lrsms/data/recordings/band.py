"""Whether a recording has the whole frequency band that networks use: telephone speech ends at 4 kHz."""

import numpy as np

from lrsms.study.frames import SAMPLE_RATE

_EDGE = 5_000
"""Hertz: a telephone's band ends at 4,000, and resamplers leave images just above."""
_SHARE = 1e-6
"""Least share of the power of speech that lies above, where it was recorded: with less, nothing was."""
_WINDOW = 512


def note(wave: np.ndarray, rate: int) -> str | None:
    """A note on a recording with a narrow band; None if its band is complete.

    Args:
        wave: ``(S,)`` at 16 kHz.
        rate: samples per second of the file that it comes from.
    """
    if rate < SAMPLE_RATE:
        return f"sampled at {rate} Hz: it has nothing above {rate // 2} Hz"
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (0, _WINDOW)), _WINDOW)[:: _WINDOW // 2]
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(_WINDOW)))).sum(axis=0)
    above = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE) >= _EDGE
    if power[above].sum() < _SHARE * power.sum():
        return f"sampled at {rate} Hz, but it has almost nothing above 4000 Hz, as on a telephone"
    return None
