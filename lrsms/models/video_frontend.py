"""The video front end: it maps mouth crops to one vector per frame."""

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsms.models.frontends import ResidualBlock, padding_mask, residual_blocks
from lrsms.models.norm import MaskedBatchNorm


class VideoFrontend(nn.Module):
    """Auto-AVSR's front end: a convolution over 5 frames and 7x7 pixels, a ResNet-18 with SiLU per frame, one matrix.

    Only the first convolution uses neighbouring frames. After it the padding is removed, so that it affects no
    statistic and takes no time.

    Args:
        channels: channels of the first convolution and stage, doubled at each of the next three (64 in Auto-AVSR).
        shrink: pictures are first averaged over squares of this many pixels; None keeps every pixel.
        dim: width D of the output.
    """

    def __init__(self, channels: int, shrink: int | None, dim: int) -> None:
        super().__init__()
        self.shrink = shrink
        self.stem = nn.Conv3d(1, channels, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False)
        self.norm = MaskedBatchNorm(channels)
        self.blocks = residual_blocks(channels, nn.Conv2d)
        self.projection = nn.Linear(8 * channels, dim)

    def forward(self, video: Tensor, lengths: Tensor) -> Tensor:
        """``video (B, T, H, W)``, ``lengths (B,)`` in frames -> ``(B, T, D)``.

        If the lengths are on the CPU, nothing waits for a GPU to count the packed frames.
        """
        places = valid_places(lengths, video.shape[1], video.device)
        mask = padding_mask(lengths, video.shape[1]).to(video.device, non_blocking=True)
        video = video.masked_fill(mask[:, :, None, None], 0.0)
        if self.shrink is not None:
            video = F.avg_pool2d(video, self.shrink)
        # Packing gives channels last without another copy, and the next layers are faster with this layout.
        pictures = self.stem(video.unsqueeze(1)).permute(0, 2, 3, 4, 1)[places].permute(0, 3, 1, 2)
        # Frame by frame, since 3-D max pooling has no deterministic kernel on a GPU.
        pictures = F.max_pool2d(F.silu(self.norm(pictures, None)), 3, stride=2, padding=1)
        for block in cast("Iterable[ResidualBlock]", self.blocks):
            pictures = block(pictures)
        vectors = pictures.mean((2, 3))
        return self.projection(vectors.new_zeros(*mask.shape, vectors.shape[1]).index_put(places, vectors))


def valid_places(lengths: Tensor, time: int, device: torch.device) -> tuple[Tensor, ...]:
    """Utterances and times ``(N,)``, on ``device``, of the N frames that are not padding.

    It is an index instead of a mask, because the program must wait for a GPU to know how many frames a mask selects. On
    the meta device, which has no lengths, all frames are valid.
    """
    if lengths.is_meta:
        lengths = torch.full(lengths.shape, time, device="cpu")
    places = (~padding_mask(lengths, time)).nonzero(as_tuple=True)
    return tuple(index.to(device, non_blocking=True) for index in places)
