"""Initial weights: each tensor is drawn from its own stream, named after it, so one seed gives every variant of a
model bit-identical values wherever the variants agree in names and shapes."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from lrsms.base.random_streams import stream

Scheme = Literal["default", "glorot", "he"]


def fill_matrix(weight: Tensor, scheme: Scheme, generator: torch.Generator) -> None:
    """Fills a matrix ``(m, n)`` in place.

    Args:
        weight: the matrix.
        scheme: ``default``: uniform within 1/sqrt(n), as ``nn.Linear``; ``glorot``: uniform, variance 2/(m+n) (Glorot
            and Bengio 2010); ``he``: normal, variance 2/n (He et al. 2015).
        generator: source of randomness.
    """
    match scheme:
        case "default":
            bound = 1 / math.sqrt(weight.shape[1])
            nn.init.uniform_(weight, -bound, bound, generator=generator)
        case "glorot":
            nn.init.xavier_uniform_(weight, generator=generator)
        case "he":
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


@torch.no_grad()
def initialise(model: nn.Module, seed: int, scheme: Scheme) -> None:
    """Fills every parameter of a dense model in place: matrices by ``scheme``, the rest as PyTorch does.

    Biases and convolution kernels are uniform within 1/sqrt(fan-in), embeddings standard normal, norms the identity,
    and bare parameters (position biases) Glorot uniform.
    """
    modules = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        owner, _, leaf = name.rpartition(".")
        module = modules[owner]
        generator = stream(seed, "weights", name)
        if isinstance(module, nn.Linear) and leaf == "weight":
            fill_matrix(parameter, scheme, generator)
        elif isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(parameter, generator=generator)
        elif leaf in ("weight", "bias"):
            parameter.fill_(1.0 if leaf == "weight" else 0.0)
        else:
            nn.init.xavier_uniform_(parameter, generator=generator)
