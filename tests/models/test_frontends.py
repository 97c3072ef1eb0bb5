"""Front ends: exact frame counts, independence of batch and padding, Auto-AVSR's size."""

import pytest
import torch
from small import lived_in, small_inputs

from lrsms.models.frontends import LogMelFrontend, WaveFrontend, padding_mask
from lrsms.models.initial import initialise


def make(kind: str) -> torch.nn.Module:
    frontend = LogMelFrontend(mels=20, channels=4, dim=6) if kind == "logmel" else WaveFrontend(channels=4, dim=6)
    initialise(frontend, 2, "default")
    return lived_in(frontend).eval()


KINDS = pytest.mark.parametrize("kind", ["logmel", "wave"])


def test_padding_mask_is_true_at_padding():
    assert padding_mask(torch.tensor([1, 3]), 3).tolist() == [[False, True, True], [False, False, False]]


@KINDS
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_a_frame_is_40_ms(kind, frames):
    """T frames from 4T features or 640 T samples, even and odd."""
    assert make(kind)(small_inputs(kind, 2, frames), torch.tensor([frames, 1])).shape == (2, frames, 6)


@pytest.mark.parametrize("mels", [5, 6, 7, 8, 80])
def test_any_number_of_mel_bands(mels):
    frontend = LogMelFrontend(mels, channels=2, dim=6)
    assert frontend(torch.zeros(1, 8, mels), torch.tensor([2])).shape == (1, 2, 6)


@KINDS
def test_output_does_not_depend_on_batch_or_padding(kind):
    frontend, inputs = make(kind), small_inputs(kind, 2, 7)
    output = frontend(inputs, torch.tensor([7, 4]))
    per_frame = inputs.shape[1] // 7
    alone = frontend(inputs[1:, : 4 * per_frame], torch.tensor([4]))
    torch.testing.assert_close(output[1:, :4], alone, rtol=0, atol=1e-12)
    garbage = inputs.clone()
    garbage[1, 4 * per_frame :] = 1e3
    torch.testing.assert_close(frontend(garbage, torch.tensor([7, 4]))[1, :4], alone[0], rtol=0, atol=1e-12)


@KINDS
def test_a_frame_looks_at_its_neighbourhood(kind):
    """A change reaches no further than its neighbours: the ResNet sees 252 samples around, log-mel 3 features."""
    frontend, inputs = make(kind), small_inputs(kind, 1, 12)
    per_frame = inputs.shape[1] // 12
    changed = inputs.clone()
    changed[:, 6 * per_frame : 7 * per_frame] += 1
    lengths = torch.tensor([12])
    difference = (frontend(changed, lengths) - frontend(inputs, lengths)).abs().amax(-1)[0]
    assert difference[6] > 1e-3
    assert difference[:5].max() == 0 and difference[8:].max() == 0


def test_the_wave_front_end_has_the_parameters_of_auto_avsr():
    with torch.device("meta"):
        frontend = WaveFrontend(channels=64, dim=768)
    total = sum(parameter.numel() for parameter in frontend.parameters())
    assert total - sum(parameter.numel() for parameter in frontend.projection.parameters()) == 3_848_576
