"""Dropout (Srivastava et al. 2014), with faster random masks on CPUs.

Except on Intel's CPUs, ``torch.nn.functional.dropout`` draws the numbers of its mask one after another, which takes a
fifth of a small network's training step. Here one draw of 64 bits decides four numbers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16
_LOWEST = torch.iinfo(torch.int64).min


class Dropout(nn.Module):
    """In training, sets each number to zero with a probability, and scales the others to keep the mean.

    Args:
        probability: probability of a zero, in [0, 1). On a CPU, it and the scale are rounded to whole 65,536ths.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Accepts any shape; in eval mode it returns ``x`` itself."""
        if not self.training or self.probability == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.probability)
        return x * keep_mask(x, self.probability)

    def extra_repr(self) -> str:
        """The probability, for ``print(model)``."""
        return f"{self.probability:g}"


def keep_mask(x: Tensor, probability: float) -> Tensor:
    """The factors of dropout, in the shape of ``x``: 0 with the given probability, else 1 / (1 - probability).

    The numbers are independent and come from PyTorch's own generator, on a CPU.
    """
    dropped = min(round(probability * _LEVELS), _LEVELS - 1)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(_LOWEST, None)  # all 64 bits
    levels = draws.view(torch.int16)[: x.numel()].view(x.shape)
    kept = levels >= dropped - _LEVELS // 2
    return kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))
