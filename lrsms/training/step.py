"""One training step: the gradients and losses of its groups, over all the devices that share it."""

import torch
from torch import Tensor

from lrsms.config import Run
from lrsms.data.batch import Batch, network_inputs
from lrsms.models.norm import group_statistics
from lrsms.models.recognizer import Losses, Recognizer
from lrsms.streams import stream_seed
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
) -> dict[str, float]:
    """Leaves the gradients and group statistics of a whole step in the model of every rank.

    Args:
        model: in training mode, without gradients.
        run: what is trained.
        batches: this rank's groups.
        step: counted from 0.
        num_utterances: of the step, at all ranks.
        ranks: who shares it.
        memory: repeats it where it does not fit.
        stop: asked before each group.

    Returns:
        The mean joint, CTC and attention losses over the step's utterances.

    Raises:
        Interrupted: at all ranks, if one was asked to stop; the model is as it was before the step.
        ValueError: it does not fit into the device's memory.
    """
    names = loss_names(model)
    try:
        losses = memory.attempt(
            lambda: accumulate(model, run, batches, step, ranks.device, num_utterances, ranks, stop)
        )
        values = [*losses.values(), 0.0]
    except Interrupted:
        values = [0.0] * len(names) + [1.0]
    *totals, num_interrupted = ranks.totals(values)
    if num_interrupted:
        discard_step(model)
        raise Interrupted
    ranks.sum_gradients(model)
    ranks.sum(group_statistics(model))
    return dict(zip(names, totals, strict=True))


def accumulate(
    model: Recognizer,
    run: Run,
    batches: list[Batch],
    step: int,
    device: torch.device,
    num_utterances: int | None = None,
    ranks: Ranks = ALONE,
    stop: Stop = never,
) -> dict[str, float]:
    """Adds up the gradients of one rank's groups, one after another; the loss is the mean over the step's utterances.

    Args:
        model: its gradients are added to.
        run: what is trained.
        batches: this rank's groups.
        step: counted from 0.
        device: of the model.
        num_utterances: of the step, at all ranks; None: of these batches.
        ranks: who shares the step.
        stop: asked before each group.

    Returns:
        This rank's part of the mean joint, CTC and attention losses.

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
    return {name: value.item() for name, value in sums.items()}


def loss_names(model: Recognizer) -> tuple[str, ...]:
    """The losses that a model has."""
    return ("loss", "ctc") if model.decoder is None else ("loss", "ctc", "attention")


def group_losses(model: Recognizer, run: Run, batch: Batch, device: torch.device) -> Losses:
    """The losses of a group, summed over its utterances."""
    audio, video = network_inputs(batch, run.model, device)
    lengths, tokens, token_lengths = (x.to(device) for x in (batch.lengths, batch.tokens, batch.token_lengths))
    with torch.autocast(device.type, torch.bfloat16, enabled=run.train.precision == "bfloat16"):
        return model(audio, video, lengths, tokens, token_lengths, run.train.label_smoothing, batch.present)
