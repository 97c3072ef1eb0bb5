"""The state of a run: its model, the sum of its snapshots, and the state of its optimizer, of any kind.

A checkpoint says after which step it was written, and the run's configuration says which structure the network has
then. So ``State.at`` builds a network that the checkpoint fits, also where the structure changes during training.

An optimizer's kernels may read a parameter and its moments in the order of memory. So a tensor with a parameter's shape
is restored in the parameter's memory layout, which may not be row by row: for factors from an SVD it is not.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lrsms.methods.build import build_model, change_structure
from lrsms.methods.plan import Matrix
from lrsms.models.recognizer import Recognizer
from lrsms.study.run import Run
from lrsms.training.checkpoint import Checkpoint
from lrsms.training.graphs import use_graphs, without_graphs
from lrsms.training.optimizer import make_optimizer, set_learning_rate
from lrsms.training.step import take_step

_NO_OPTIONS = ("params", "param_names", "foreach", "fused", "capturable", "differentiable")
"""Keys of an optimizer's groups that are no options, or that choose kernels, which depends on the device."""
_ADAMW = ("step", "exp_avg", "exp_avg_sq")
"""State of AdamW, the only optimizer in old checkpoints, which have no note on it."""


@dataclass
class State:
    """A run in training.

    Attributes:
        run: the run.
        model: its network, in the structure of the present step.
        plan: the plan of its last structure.
        optimizer: the optimizer of the model's parameters.
        total_weights: sum of the snapshots that are averaged, so far, by the names of the model's state dict.
        step: number of steps done.
        total: number of steps of the training.
        changes: the steps after which the structure changes.
        graphs: whether steps run as CUDA graphs, where they can.
    """

    run: Run
    model: Recognizer
    plan: list[Matrix]
    optimizer: torch.optim.Optimizer
    total_weights: dict[str, Tensor]
    step: int
    total: int
    changes: Sequence[int] = ()
    graphs: bool = False

    @classmethod
    def at(
        cls,
        run: Run,
        size: int,
        device: torch.device,
        step: int,
        total: int,
        graphs: bool = False,
        weights: Mapping[str, Tensor] | None = None,
    ) -> "State":
        """A run in the structure that it has after ``step`` of ``total`` steps; at step 0 with its initial weights.

        These are ``weights``, of the dense network, where the run begins from some.

        Raises:
            ValueError: one line: low rank does not fit the network, or its changes do not fit the training.
        """
        changes = run.changes_at(total)
        model, plan = build_model(run, size, sum(change <= step for change in changes), weights)
        model.to(device).train()
        if graphs:
            use_graphs(model, device)
        optimizer = make_optimizer(run.train, model, run.method)
        return cls(run, model, plan, optimizer, zeros_of(model), step, total, changes, graphs)

    def update(self, lr: float) -> None:
        """Moves the weights by the gradients of a whole step, and changes the structure if this is the step for it."""
        set_learning_rate(self.optimizer, lr)
        take_step(self.run, self.model, self.plan, self.optimizer, self.step, self.total)
        self.step += 1
        if self.step in self.changes:
            self._change(1 + self.changes.index(self.step))

    def _change(self, phase: int) -> None:
        """Goes on in the structure of ``phase``. The sum of snapshots begins again: only the last structure counts."""
        before = dict(self.model.named_parameters())
        without_graphs(self.model)  # they belong to the old weights
        change_structure(self.model, self.plan, self.run, phase)
        if self.graphs:
            use_graphs(self.model, next(self.model.parameters()).device)
        earlier, self.optimizer = self.optimizer, make_optimizer(self.run.train, self.model, self.run.method)
        self.total_weights = zeros_of(self.model)
        if self.run.method.keeps_moments:
            for name, parameter in self.model.named_parameters():
                if name in before and before[name].shape == parameter.shape and before[name] in earlier.state:
                    self.optimizer.state[parameter] = earlier.state[before[name]]

    def add_snapshot(self) -> None:
        """Adds the present weights to the sum of snapshots."""
        for name, tensor in self.model.state_dict().items():
            self.total_weights[name] += tensor

    def mean(self, num_snapshots: int) -> dict[str, Tensor]:
        """The mean over the snapshots, of which there are so many in the sum."""
        return {name: tensor / num_snapshots for name, tensor in self.total_weights.items()}


def zeros_of(model: nn.Module) -> dict[str, Tensor]:
    """The sum before any snapshot: zeros."""
    return {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}


def capture(
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    total_weights: Mapping[str, Tensor],
    extra: dict[str, Any],
) -> Checkpoint:
    """Everything that a run needs to continue after ``step`` steps. Random numbers depend only on seed and counters.

    The tensors are the run's own, not copies. ``extra`` also gets a note of the optimizer: its kind, its options, state
    that is not a tensor, the number of tensors for each key of its state, and shapes that are not a parameter's.

    Raises:
        ValueError: the optimizer holds something that a checkpoint cannot hold.
    """
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"sum/{name}": tensor for name, tensor in total_weights.items()}
    note: dict[str, Any] = {"kind": type(optimizer).__name__, "tensors": {}, "shapes": {}, "values": {}}
    note["groups"] = [{key: _plain(key, value) for key, value in _options(group)} for group in optimizer.param_groups]
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    for parameter, state in optimizer.state.items():
        if parameter not in names:
            raise ValueError("the optimizer has state for a tensor that is not a parameter of the model")
        for key, value in state.items():
            place = f"{key}/{names[parameter]}"
            if not isinstance(value, Tensor):
                note["values"][place] = _plain(key, value)
                continue
            tensors[f"optimizer/{place}"] = value
            note["tensors"][key] = note["tensors"].get(key, 0) + 1
            if value.ndim and value.shape != parameter.shape:
                note["shapes"][place] = list(value.shape)
    return Checkpoint(step, tensors, extra | {"optimizer": note})


def restore(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, total_weights: Mapping[str, Tensor]
) -> None:
    """Restores copies of a checkpoint's tensors, after a check that all of them fit.

    A parameter has no moments if it never had a gradient, because its modality was absent from every step so far.

    Raises:
        ValueError: one line: a tensor is missing, unknown or of another shape or type, or the optimizer is another.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "sum": {}, "optimizer": {}}
    for name, tensor in checkpoint.tensors.items():
        part, _, rest = name.partition("/")
        if part not in parts:
            raise ValueError(f"'{name}' is unknown")
        parts[part][rest] = tensor
    _check_fit("the model", parts["model"], model.state_dict())
    _check_fit("the sum of snapshots", parts["sum"], total_weights)
    note = checkpoint.extra.get("optimizer") or _first_note(parts["optimizer"], optimizer)
    _check_kind(note, optimizer)
    state = _optimizer_state(parts["optimizer"], note, dict(model.named_parameters()), optimizer)
    model.load_state_dict(parts["model"])
    for name, total in total_weights.items():
        total.copy_(parts["sum"][name])
    for group, options in zip(optimizer.param_groups, note["groups"], strict=True):
        for key, value in options.items():
            group[key] = tuple(value) if isinstance(group[key], tuple) else value
    optimizer.state.clear()
    optimizer.state.update(state)


def _check_fit(what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    if missing := sorted(set(expected) - set(found)):
        raise ValueError(f"'{missing[0]}' of {what} is missing")
    if unknown := sorted(set(found) - set(expected)):
        raise ValueError(f"{what} has no '{unknown[0]}'")
    for name, tensor in expected.items():
        mine, theirs = ((tuple(x.shape), x.dtype) for x in (tensor, found[name]))
        if mine != theirs:
            raise ValueError(f"'{name}' of {what} is {mine[0]}, {mine[1]}, but was {theirs[0]}, {theirs[1]}")


def _first_note(tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Makes the note that an old checkpoint lacks."""
    number = len({place.rpartition("/")[2] for place in tensors})
    groups = [dict(_options(group)) for group in optimizer.param_groups]
    return {"kind": "AdamW", "tensors": dict.fromkeys(_ADAMW, number), "shapes": {}, "values": {}, "groups": groups}


def _check_kind(note: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Checks that the optimizer and its switches are the same, and restores its numbers, which may change."""
    if note["kind"] != type(optimizer).__name__:
        raise ValueError(f"the optimizer is {type(optimizer).__name__}, but was {note['kind']}")
    if len(note["groups"]) != len(optimizer.param_groups):
        raise ValueError(f"the optimizer has {len(optimizer.param_groups)} groups, but had {len(note['groups'])}")
    for group, options in zip(optimizer.param_groups, note["groups"], strict=True):
        mine = dict(_options(group))  # there may be more now: later releases of PyTorch add some
        for key, value in options.items():
            if key not in mine:
                raise ValueError(f"the optimizer has no option '{key}', which was {value}")
            if mine[key] != value and not (_is_number(mine[key]) and _is_number(value)):
                raise ValueError(f"the optimizer's '{key}' is {mine[key]}, but was {value}")


def _optimizer_state(
    tensors: Mapping[str, Tensor],
    note: Mapping[str, Any],
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> dict[Tensor, dict[str, Any]]:
    """The state of an optimizer, by parameter."""
    groups = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    state: dict[Tensor, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    for place, value in (tensors | note["values"]).items():
        key, _, name = place.rpartition("/")
        if name not in parameters or parameters[name] not in groups:
            raise ValueError(f"'{key}' is of '{name}', which is no parameter of the optimizer")
        parameter = parameters[name]
        if isinstance(value, Tensor):
            counts[key] = counts.get(key, 0) + 1
            fitting = tuple(note["shapes"].get(place, parameter.shape))
            if value.ndim and value.shape != fitting:
                raise ValueError(f"'{key}' of '{name}' must be {fitting}, but is {tuple(value.shape)}")
            value = _placed(key, value, parameter, groups[parameter])
        state.setdefault(parameter, {})[key] = value
    for key in sorted({*counts, *note["tensors"]}):
        if (found := counts.get(key, 0)) != (expected := note["tensors"].get(key, 0)):
            raise ValueError(f"{found} parameters have '{key}', but {expected} had it")
    return state


def _placed(key: str, value: Tensor, parameter: nn.Parameter, group: Mapping[str, Any]) -> Tensor:
    """A copy of a state tensor, on the device and in the layout that the optimizer expects."""
    if value.ndim and value.shape == parameter.shape:
        placed = torch.empty_strided(
            parameter.shape, parameter.stride(), dtype=value.dtype, device=parameter.device
        ).copy_(value)
        assert placed.stride() == parameter.stride(), key
        return placed
    # As in ``Optimizer.load_state_dict``: only kernels on a device read the number of steps there.
    at_host = key == "step" and not (group.get("fused") or group.get("capturable"))
    return torch.clone(value).to("cpu" if at_host else parameter.device)


def _options(group: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names and values as JSON returns them, with lists for tuples."""
    options = ((key, value) for key, value in group.items() if key not in _NO_OPTIONS)
    return [(key, list(value) if isinstance(value, tuple) else value) for key, value in options]


def _plain(key: str, value: Any) -> Any:
    """The value, if JSON returns it unchanged.

    Raises:
        ValueError: it does not.
    """
    with suppress(TypeError, ValueError):
        if json.loads(json.dumps(value)) == value:
            return value
    raise ValueError(f"the optimizer's '{key}' is {type(value).__name__}, which a checkpoint cannot hold")


def _is_number(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
