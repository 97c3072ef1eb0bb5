"""Makes the optimizer of a run, and works out its cost, from the file of ``optimizers`` that has its name."""

import importlib
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Any, Protocol, cast

import torch
from torch import nn

from lrsms.methods.linear import factor_pairs
from lrsms.study.files_as_values import ADAMW, PLAIN, all_options
from lrsms.study.files_as_values import OPTIMIZERS as NAMES
from lrsms.study.method import LEFT, Method
from lrsms.study.run import Train
from lrsms.training import optimizers
from lrsms.training.groups import Cost, Group

Options = Mapping[str, float]


class Kind(Protocol):
    """A file of ``optimizers``."""

    def groups(self, model: nn.Module, options: Options) -> list[Group]:
        """Groups that hold every parameter of the model exactly once; the model may be on the meta device."""

    def build(self, groups: list[dict[str, Any]], train: Train, options: Options) -> torch.optim.Optimizer:
        """The optimizer for these groups, each with ``params``, ``lr``, ``weight_decay`` and its own options."""


OPTIMIZERS = {name: cast(Kind, importlib.import_module(f"{optimizers.__name__}.{name}")) for name in NAMES}


def make_optimizer(train: Train, model: nn.Module, method: Method = PLAIN) -> torch.optim.Optimizer:
    """The optimizer of a run for a model as it is now. After a change of the structure, the model needs a new one.

    Args:
        train: the training settings of the run.
        model: the model as it is now.
        method: the method of the run; the decay of factors may be its task.

    Raises:
        ValueError: the optimizer's file leaves a parameter out, or has it twice.
    """
    kind, options = _of_run(train)
    groups = kind.groups(model, options)
    _check_groups(train, model, groups)
    param_groups = [_param_group(train, group) for group in groups if group.parameters]
    if method.decays_factors:
        param_groups = [part for group in param_groups for part in _decay_left(group, model)]
    return kind.build(param_groups, train, options)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Sets the learning rate of this step; each group takes its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_share"]


def update_cost(train: Train, model: nn.Module) -> Cost:
    """The state that the optimizer of a run keeps for a model, and the cost of an update; also on the meta device."""
    kind, options = _of_run(train)
    costs = (group.cost(each.shape) for group in kind.groups(model, options) for each in group.parameters)
    return sum(costs, Cost())


def _of_run(train: Train) -> tuple[Kind, dict[str, float]]:
    name = train.optimizer or ADAMW
    return OPTIMIZERS[name], all_options(name, train.optimizer_options)


def _param_group(train: Train, group: Group) -> dict[str, Any]:
    return {
        "params": list(group.parameters),
        "lr": train.lr * group.lr,
        "lr_share": group.lr,
        "weight_decay": train.weight_decay * group.decay,
        **group.options,
    }


def _decay_left(group: dict[str, Any], model: nn.Module) -> list[dict[str, Any]]:
    """Splits a group: the others, and its factors, which do not decay. A part without parameters is left out."""
    factors = set(chain.from_iterable(factor_pairs(model)))
    others = group | {"params": [each for each in group["params"] if each not in factors]}
    own = group | {"params": [each for each in group["params"] if each in factors]}
    own |= {"weight_decay": 0.0, LEFT: group["weight_decay"]}
    return [part for part in (others, own) if part["params"]]


def _check_groups(train: Train, model: nn.Module, groups: list[Group]) -> None:
    found = Counter(id(parameter) for group in groups for parameter in group.parameters)
    for name, parameter in model.named_parameters():
        if (times := found[id(parameter)]) != 1:
            file = f"lrsms/training/optimizers/{train.optimizer or ADAMW}.py"
            raise ValueError(f"{file}: '{name}' is in {times} groups; each parameter belongs in exactly one")
