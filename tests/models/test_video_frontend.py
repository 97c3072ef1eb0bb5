"""The video front end: Auto-AVSR's layers, frame by frame after the first, blind to padding."""

import pytest
import torch
import torch.nn.functional as F
from small import lived_in, small_video
from torch import nn

from lrsms.models.initial import initialise
from lrsms.models.norm import MaskedBatchNorm, update_running_statistics
from lrsms.models.video_frontend import VideoFrontend

LENGTHS = torch.tensor([7, 4])
SHRINKS = pytest.mark.parametrize("shrink", [None, 2])


def make(shrink: int | None = None) -> VideoFrontend:
    frontend = VideoFrontend(channels=2, shrink=shrink, dim=6)
    initialise(frontend, 2, "default")
    lived_in(frontend).eval()
    return frontend


def test_equals_its_definition_in_three_dimensions():
    """Conv3d, batch norm, SiLU and 3-D max pooling of whole videos, then a ResNet-18 written out layer by layer."""
    frontend, video = make(), small_video(2, 5)

    def normalise(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    x = F.conv3d(video[:, None], frontend.stem.weight, stride=(1, 2, 2), padding=(2, 3, 3))
    x = F.max_pool3d(F.silu(normalise(x, frontend.norm)), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    x = x.transpose(1, 2).flatten(0, 1)
    for index, block in enumerate(frontend.blocks):
        stride = 2 if index in (2, 4, 6) else 1
        y = F.silu(normalise(F.conv2d(x, block.conv1.weight, stride=stride, padding=1), block.norm1))
        y = normalise(F.conv2d(y, block.conv2.weight, padding=1), block.norm2)
        if stride == 2:
            x = normalise(F.conv2d(x, block.shortcut.weight, stride=2), block.shortcut_norm)
        x = F.silu(x + y)
    expected = frontend.projection(F.adaptive_avg_pool2d(x, 1).flatten(1)).unflatten(0, (2, 5))
    torch.testing.assert_close(frontend(video, torch.tensor([5, 5])), expected, rtol=0, atol=1e-12)


def test_has_the_parameters_of_auto_avsr():
    """Its VSR system has 250,383,410; all but this is the encoder, the decoder, the CTC head and the projection."""
    with torch.device("meta"):
        frontend = VideoFrontend(channels=64, shrink=None, dim=768)
    total = sum(parameter.numel() for parameter in frontend.parameters())
    rest = 170_451_456 + 64_472_505 + 3_882_681
    assert total == 250_383_410 - rest
    assert sum(parameter.numel() for parameter in frontend.projection.parameters()) == 512 * 768 + 768


@SHRINKS
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_a_picture_is_a_frame(shrink, frames):
    assert make(shrink)(small_video(2, frames), torch.tensor([frames, 1])).shape == (2, frames, 6)


@SHRINKS
def test_output_does_not_depend_on_batch_or_padding(shrink):
    frontend, video = make(shrink), small_video(2, 7)
    output = frontend(video, LENGTHS)
    alone = frontend(video[1:, :4], LENGTHS[1:])
    torch.testing.assert_close(output[1:, :4], alone, rtol=0, atol=1e-12)
    garbage = video.clone()
    garbage[1, 4:] = 1e3
    torch.testing.assert_close(frontend(garbage, LENGTHS)[1, :4], alone[0], rtol=0, atol=1e-12)


def test_a_frame_looks_two_frames_to_either_side():
    frontend, video = make(), small_video(1, 12)
    changed = video.clone()
    changed[:, 6] += 1
    lengths = torch.tensor([12])
    difference = (frontend(changed, lengths) - frontend(video, lengths)).abs().amax(-1)[0]
    assert (difference[4:9] > 1e-4).all()
    assert difference[:4].max() < 1e-12 and difference[9:].max() < 1e-12


def test_in_training_padding_is_in_no_statistic():
    """More padding changes nothing, and the statistics are those of the valid frames."""
    video = small_video(2, 7)
    padded, longer = make().train(), make().train()
    output = padded(video, LENGTHS)
    more = longer(F.pad(video, (0, 0, 0, 0, 0, 3), value=9.0), LENGTHS)
    torch.testing.assert_close(more[0, :7], output[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(more[1, :4], output[1, :4], rtol=0, atol=1e-10)
    stem = torch.cat([padded.stem(video[:1, None]), padded.stem(video[1:, None, :4])], dim=2)  # all 11 valid frames
    for frontend, x in ((padded, output), (longer, more)):
        (x[0, :7].square().sum() + x[1, :4].square().sum()).backward()
        update_running_statistics(frontend)
        expected = 0.9 * make().norm.running_mean + 0.1 * stem.mean((0, 2, 3, 4))
        torch.testing.assert_close(frontend.norm.running_mean, expected, rtol=0, atol=1e-12)
    for one, other in zip(padded.parameters(), longer.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-9)
    for one, other in zip(padded.buffers(), longer.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_every_batch_norm_counts_one_group():
    frontend = make().train()
    frontend(small_video(2, 7), LENGTHS)
    counts = [norm.group_statistics[2] for norm in frontend.modules() if isinstance(norm, MaskedBatchNorm)]
    assert len(counts) == 1 + 8 * 2 + 3 and all((count == 1).all() for count in counts)


def test_shrinking_averages_over_squares():
    """Of pictures whose pixels are repeated, it is the network on the pictures before that."""
    video = small_video(2, 5)
    large = video.repeat_interleave(3, 2).repeat_interleave(3, 3)
    torch.testing.assert_close(make(3)(large, LENGTHS - 2), make()(video, LENGTHS - 2), rtol=0, atol=1e-12)


def test_shapes_are_known_without_memory():
    with torch.device("meta"):
        output = VideoFrontend(4, 2, 6)(torch.empty(2, 7, 88, 88), torch.tensor([7, 4]))
    assert output.shape == (2, 7, 6)
