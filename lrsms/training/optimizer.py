"""The optimizer of a run."""

import torch
from torch import nn

from lrsms.study.run import Run


def build_optimizer(model: nn.Module, run: Run) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) over all parameters, its update in one kernel where there is one."""
    train = run.train
    return torch.optim.AdamW(model.parameters(), train.lr, train.betas, weight_decay=train.weight_decay, fused=True)
