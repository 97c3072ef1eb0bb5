"""One training step: the gradients and losses of its groups, over all devices that share it.

In our code, only ``clip_and_read`` waits for a GPU, since each wait empties the queue of work. PyTorch's CTC also
waits, because it copies its lengths. Several ranks wait when they agree on the tensors to sum.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lrsms.base.random_streams import stream_seed
from lrsms.data.batch import Batch, network_inputs
from lrsms.methods.plan import Matrix
from lrsms.models.norm import group_statistics, update_running_statistics
from lrsms.models.recognizer import Losses, Recognizer
from lrsms.study.run import Run
from lrsms.training.distributed import ALONE, Ranks
from lrsms.training.interrupt import Interrupted, Stop, never
from lrsms.training.memory import Memory, discard_step


def summed_step(
    model: Recognizer,
    run: Run,
    batches: list[Batch],
    step: int,
    num_utterances: int,
    ranks: Ranks,
    memory: Memory,
    stop: Stop,
) -> dict[str, Tensor]:
    """Computes the gradients and group statistics of a whole step, in the model of every rank.

    Args:
        model: the model in training mode, without gradients.
        run: the run to train.
        batches: this rank's groups.
        step: the step, counted from 0.
        num_utterances: utterances of the step over all ranks.
        ranks: the processes that share the step.
        memory: repeats the step if it does not fit.
        stop: asked before each group.

    Returns:
        The mean joint, CTC and attention losses over the step's utterances, still on the device.

    Raises:
        Interrupted: at all ranks, if one was asked to stop; the model is as it was before the step.
        ValueError: the step does not fit into the device's memory.
    """
    interrupted = False
    losses: dict[str, Tensor] = {}
    try:
        losses = memory.attempt(
            lambda: accumulate(model, run, batches, step, ranks.device, num_utterances, ranks, stop)
        )
    except Interrupted:
        interrupted = True
    if ranks.any(interrupted):
        discard_step(model)
        raise Interrupted
    if ranks.size > 1:
        losses = {name: value.double() for name, value in losses.items()}
        ranks.sum(losses.values())
    ranks.sum_gradients(model)
    ranks.sum(group_statistics(model))
    return losses


def clip_and_read(model: nn.Module, losses: Mapping[str, Tensor], clip: float) -> tuple[dict[str, float], float]:
    """Clips the gradients, and copies all numbers of a step to the host at once.

    Args:
        model: the model with the gradients of a whole step.
        losses: single numbers, by name.
        clip: largest allowed norm of all gradients together.

    Returns:
        The losses, and the norm before clipping.
    """
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    *values, norm_value = torch.stack([*losses.values(), norm]).tolist()
    return dict(zip(losses, values, strict=True)), norm_value


def take_step(
    run: Run, model: nn.Module, plan: Sequence[Matrix], optimizer: torch.optim.Optimizer, step: int, total: int
) -> None:
    """Moves the weights by the gradients of a whole step, as the optimizer and the method do, and ends the step.

    Args:
        run: the run to train.
        model: the model with clipped gradients, which are removed.
        plan: its matrices.
        optimizer: the optimizer of its parameters.
        step: the step, counted from 0.
        total: number of steps of the training.
    """
    run.method.before_step(model, plan, step, total)
    optimizer.step()
    with torch.no_grad():
        run.method.after_step(model, plan, optimizer, step, total)
    optimizer.zero_grad(set_to_none=True)
    update_running_statistics(model)


def accumulate(
    model: Recognizer,
    run: Run,
    batches: list[Batch],
    step: int,
    device: torch.device,
    num_utterances: int | None = None,
    ranks: Ranks = ALONE,
    stop: Stop = never,
) -> dict[str, Tensor]:
    """Adds up the gradients of one rank's groups, one after another; the loss is the mean over the step's utterances.

    Args:
        model: the model whose gradients grow.
        run: the run to train.
        batches: this rank's groups.
        step: the step, counted from 0.
        device: device of the model.
        num_utterances: utterances of the step over all ranks; None: those of these batches.
        ranks: the processes that share the step.
        stop: asked before each group.

    Returns:
        This rank's part of the mean joint, CTC and attention losses, on the device.

    Raises:
        Interrupted: the process was asked to stop.
    """
    num_utterances = num_utterances or sum(len(batch.items) for batch in batches)
    sums = {name: torch.zeros((), device=device) for name in loss_names(model)}
    for place, batch in enumerate(batches):
        if stop():
            raise Interrupted
        torch.manual_seed(stream_seed(run.seed, "dropout", step, ranks.rank + ranks.size * place))
        losses = group_losses(model, run, batch, device)
        loss = losses.joint(run.train.ctc_weight) / num_utterances
        loss.backward()
        parts: dict[str, Tensor] = {"loss": loss, "ctc": losses.ctc / num_utterances}
        if losses.attention is not None:
            parts["attention"] = losses.attention / num_utterances
        for name, value in parts.items():
            sums[name] = sums[name] + value.detach()
    return sums


def loss_names(model: Recognizer) -> tuple[str, ...]:
    """The losses that a model has."""
    return ("loss", "ctc") if model.decoder is None else ("loss", "ctc", "attention")


def group_losses(model: Recognizer, run: Run, batch: Batch, device: torch.device) -> Losses:
    """The losses of a group, summed over its utterances."""
    audio, video = network_inputs(batch, run.model, device)
    tokens = batch.tokens.to(device, non_blocking=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=run.train.precision == "bfloat16"):
        return model(audio, video, batch.lengths, tokens, batch.token_lengths, run.train.label_smoothing, batch.present)
