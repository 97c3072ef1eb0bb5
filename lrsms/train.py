"""The training loop: one run, from its configuration and a prepared corpus to averaged weights and ``run.json``.

A run's folder holds::

    config.json            the run; refused if its content does not hash to the folder's name
    plan.json              every matrix, its role and its rank
    metrics.jsonl          loss, learning rate and gradient norm of every step; validation at snapshots
    timings.jsonl          milliseconds, waiting for data and frames of every step: apart, since timings never repeat
    checkpoints/           the newest two, from which an interrupted run goes on
    weights.safetensors    the mean over the last snapshots
    spectra.json           singular values of its matrices
    run.json               how it ended: finished or diverged; written last
"""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lrsms.beam import greedy
from lrsms.build import build_model, build_structure
from lrsms.checkpoint import save_checkpoint, write_tensors
from lrsms.config import Run, Train
from lrsms.cost import multiply_adds_per_second, plan_summary
from lrsms.data.batch import Batch, collate, in_batches, load_ahead, network_inputs, training_batch
from lrsms.data.prepared import Item, Prepared
from lrsms.data.schedule import Group, num_steps, steps
from lrsms.files import write_json
from lrsms.models.norm import update_running_statistics
from lrsms.models.recognizer import Losses, Recognizer
from lrsms.progress import progress
from lrsms.provenance import processor, provenance
from lrsms.resume import capture, resume
from lrsms.score import align, word_error_rate
from lrsms.spectra import spectra, write_spectra
from lrsms.steplog import log, open_log, sync
from lrsms.streams import stream_seed

WEIGHTS = "weights.safetensors"


def train(run: Run, prepared: Prepared, folder: Path, device: torch.device, checkpoint_seconds: float = 60.0) -> None:
    """Trains a run, from its last checkpoint if there is one.

    Args:
        run: what to train.
        prepared: its corpus.
        folder: where its files go.
        device: where it is trained.
        checkpoint_seconds: least time between checkpoints; when they are written does not change the result.

    Raises:
        ValueError: the corpus and the run do not fit, or the run was begun on other data.
        OSError: a file cannot be written.
    """
    began = time.monotonic()
    origin = provenance()  # now: the checkout may change while the run is on
    items, valid = prepared.items("train"), prepared.items("valid")
    frames = [item.frames for item in items]
    total = num_steps(frames, run.train, run.seed)
    snapshots = snapshot_steps(run.train, total)
    averaged = snapshots[-run.train.average :]

    model, plan = build_model(run, prepared.tokenizer.size)
    write_json(folder / "plan.json", plan_summary(model, plan))
    model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), run.train.lr, run.train.betas, weight_decay=run.train.weight_decay, fused=True
    )
    total_weights = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    start, seconds = resume(folder, prepared, model, optimizer, total_weights)

    def load(groups: list[Group]) -> list[Batch]:
        return [training_batch(prepared, [items[i] for i in group.members], run, group.epoch) for group in groups]

    loader = load_ahead(steps(frames, run.train, run.seed, start), load)
    diverged_at = None
    next_checkpoint = time.monotonic() + checkpoint_seconds
    metrics, timings = (open_log(folder / name, start) for name in ("metrics.jsonl", "timings.jsonl"))
    with closing(loader), metrics, timings, progress(run_title(folder), start) as show:
        for step in range(start, total):
            step_began = time.perf_counter()
            batches = next(loader)
            waited = time.perf_counter() - step_began
            lr = learning_rate(run.train, step, total)
            losses = accumulate(model, run, batches, step, device)
            norm = nn.utils.clip_grad_norm_(model.parameters(), run.train.clip).item()
            row = {"step": step + 1, "epoch": batches[0].epoch, **losses, "lr": lr, "gradient_norm": norm}
            if not is_finite(row):
                diverged_at = step + 1
                break
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            update_running_statistics(model)
            elapsed = time.perf_counter() - step_began

            if step + 1 in snapshots:
                row |= validate(model, run, prepared, valid, device)
                if not is_finite(row):
                    diverged_at = step + 1
                    break
                if step + 1 in averaged:
                    for name, tensor in model.state_dict().items():
                        total_weights[name] += tensor
            log(metrics, row)
            num_frames = sum(item.frames for batch in batches for item in batch.items)
            log(timings, {"step": step + 1, "ms": elapsed * 1e3, "waited_ms": waited * 1e3, "frames": num_frames})
            show(step + 1, total, note(row))
            if time.monotonic() >= next_checkpoint or step + 1 == total:
                sync(metrics, timings)
                now = time.monotonic()
                extra = {"data_hash": prepared.data_hash, "seconds": seconds + now - began}
                save_checkpoint(folder / "checkpoints", capture(step + 1, model, optimizer, total_weights, extra))
                done = time.monotonic()
                next_checkpoint = done + checkpoint_seconds * max(
                    1.0, (done - now) / 3
                )  # at most a twentieth of the time

    if diverged_at is None:
        weights = {name: tensor / len(averaged) for name, tensor in total_weights.items()}
        write_tensors(folder / WEIGHTS, weights)
        write_spectra(folder / "spectra.json", spectra(weights, plan))
    result = {
        "status": "finished" if diverged_at is None else "diverged",
        "diverged_at": diverged_at,
        "steps": total,
        "data_hash": prepared.data_hash,
        "corpus_hash": prepared.hash,
        "manifest_hash": prepared.manifest_hash,
        "macs_per_second": macs_per_second(run, prepared.tokenizer.size, items),
        "peak_memory_mb": peak_memory_mb(device),
        "seconds": seconds + time.monotonic() - began,
        "resumed_at": start,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "provenance": origin,
    }
    write_json(folder / "run.json", result)


def is_finite(row: Mapping[str, float]) -> bool:
    """Whether training goes on: no loss and no norm is infinite or NaN."""
    return all(math.isfinite(value) for value in row.values())


def macs_per_second(run: Run, size: int, items: Sequence[Item]) -> float:
    """Multiply-adds per second of speech, at the mean length of the training utterances and their transcripts."""
    frames = round(sum(item.frames for item in items) / len(items))
    tokens = round(sum(len(item.tokens) for item in items) / len(items))
    return multiply_adds_per_second(run, build_structure(run, size)[0], frames, tokens)


def snapshot_steps(train: Train, total: int) -> list[int]:
    """The evenly spaced steps after which the model is validated, the last one included.

    Raises:
        ValueError: training has fewer steps than snapshots (where its length is given in epochs, of this corpus).
    """
    if train.snapshots > total:
        raise ValueError(
            f"'train.snapshots' is {train.snapshots}, but training takes {total} steps; use at most {total}"
        )
    return [round((index + 1) * total / train.snapshots) for index in range(train.snapshots)]


def learning_rate(train: Train, step: int, total: int) -> float:
    """Linear warm-up to ``lr`` over the first ``warmup`` share of the steps, then a cosine to zero at the end."""
    warmup = train.warmup * total
    if step + 1 < warmup:
        return train.lr * (step + 1) / warmup
    return train.lr * 0.5 * (1 + math.cos(math.pi * (step + 1 - warmup) / max(total - warmup, 1)))


def accumulate(model: Recognizer, run: Run, batches: list[Batch], step: int, device: torch.device) -> dict[str, float]:
    """Adds up the gradients of a step's groups, one after another; the loss is the mean over the step's utterances.

    Returns:
        The mean joint, CTC and attention losses.
    """
    num_utterances = sum(len(batch.items) for batch in batches)
    sums: dict[str, Tensor] = {}
    for index, batch in enumerate(batches):
        torch.manual_seed(stream_seed(run.seed, "dropout", step, index))
        losses = group_losses(model, run, batch, device)
        loss = losses.joint(run.train.ctc_weight) / num_utterances
        loss.backward()
        parts = {"loss": loss, "ctc": losses.ctc / num_utterances}
        if losses.attention is not None:
            parts["attention"] = losses.attention / num_utterances
        for name, value in parts.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach()
    return {name: value.item() for name, value in sums.items()}


def group_losses(model: Recognizer, run: Run, batch: Batch, device: torch.device) -> Losses:
    """The losses of a group, summed over its utterances."""
    audio, video = network_inputs(batch, run.model, device)
    lengths, tokens, token_lengths = (x.to(device) for x in (batch.lengths, batch.tokens, batch.token_lengths))
    present = None if batch.present is None else batch.present.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=run.train.precision == "bfloat16"):
        return model(audio, video, lengths, tokens, token_lengths, run.train.label_smoothing, present)


@torch.no_grad()
def validate(
    model: Recognizer, run: Run, prepared: Prepared, items: list[Item], device: torch.device
) -> dict[str, float]:
    """Loss and greedy word error rate of the current weights on the valid split; the model is left in training mode."""
    model.eval()
    loss, counts = 0.0, []
    for members in in_batches(items, run.train.group_frames):
        batch = collate(prepared, members)
        losses = group_losses(model, run, batch, device)
        loss += losses.joint(run.train.ctc_weight).item()
        hypotheses = greedy(losses.log_probs, batch.lengths.to(device))
        for item, tokens in zip(members, hypotheses, strict=True):
            counts.append(align(item.text, prepared.tokenizer.decode(tokens)))
    model.train()
    return {"valid_loss": loss / len(items), "valid_wer": word_error_rate(counts)}


def note(row: Mapping[str, Any]) -> str:
    """The state of training in a few words."""
    text = f"loss {row['loss']:.3f}"
    return f"{text}, valid WER {row['valid_wer']:.1%}" if "valid_wer" in row else text


def run_title(folder: Path) -> str:
    """A run's folder without its digest."""
    return folder.name.rpartition("-")[0] or folder.name


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory held so far: allocated on the device, or resident in this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def device_name(device: torch.device) -> str:
    """The model of a GPU or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
