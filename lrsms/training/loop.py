"""The training loop: one run, from its configuration and a prepared corpus to averaged weights and ``run.json``.

A run's folder holds::

    config.json            the run; refused if its content does not hash to the folder's name
    plan.json              every matrix, its role and its rank, of the network that training ends with
    metrics.jsonl          loss, learning rate and gradient norm of every step; validation at snapshots
    timings.jsonl          milliseconds, waiting for data and frames of every step; a file of its own: timings differ
    checkpoints/           the newest two, from which an interrupted run goes on; after the end, how the run ended
    weights.safetensors    the mean over the last snapshots
    spectra.json           singular values of its matrices
    run.json               how it ended: finished or diverged, and in which sessions; written last
"""

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lrsms.base.devices import device_name
from lrsms.base.files import write_json
from lrsms.base.progress import progress
from lrsms.data.ahead import load_ahead
from lrsms.data.batch import Batch, training_batch
from lrsms.data.prepared import Item, Prepared
from lrsms.methods.build import build_structure
from lrsms.methods.operations import plan_summary
from lrsms.record.metric import Metric
from lrsms.record.metrics import metric_of
from lrsms.record.run_files import METRICS, PLAN, SPECTRA, TIMINGS, WEIGHTS, run_title
from lrsms.record.start import STARTS
from lrsms.study.run import Run, Train
from lrsms.training.checkpoint import save_checkpoint
from lrsms.training.distributed import Ranks
from lrsms.training.ending import Session, end, has_ended
from lrsms.training.interrupt import Interrupted, Stop, never
from lrsms.training.memory import Memory, out_of_memory
from lrsms.training.resume import resume
from lrsms.training.schedule import Group, num_steps, steps
from lrsms.training.state import State, capture
from lrsms.training.step import clip_and_read, summed_step
from lrsms.training.steplog import log, open_log, sync, waited_share
from lrsms.training.twin import dense_twin, take_over
from lrsms.training.validation import validate
from lrsms.training.weights import macs_per_second, write_weights


def train(
    run: Run,
    prepared: Prepared,
    folder: Path,
    device: torch.device,
    checkpoint_seconds: float = 60.0,
    ranks: Ranks | None = None,
    stop: Stop = never,
    graphs: bool = False,
    starts: Path = STARTS,
) -> None:
    """Trains a run, from its last checkpoint if there is one; a run that has ended is left as it is.

    Args:
        run: what to train.
        prepared: its corpus.
        folder: the folder for its files.
        device: the device to train on.
        checkpoint_seconds: least time between checkpoints. It does not change the result.
        ranks: the processes that train it together, each of which calls this; None: this process alone.
        stop: says whether to end early, with a checkpoint.
        graphs: whether steps run as CUDA graphs, which changes only the speed.
        starts: folders with weights that runs begin from, for a run that has ``init_from``.

    A run that only cuts what a dense run trains takes that run's training over, if it has ended beside it.

    Raises:
        Interrupted: ``stop`` asked for it; another call goes on where this one ended.
        ValueError: the corpus or the weights to begin from do not fit the run, the run was begun on other data, or it
            is too large.
        OSError: a file cannot be written, or another rank has ended.
    """
    ranks = ranks or Ranks(device=device)
    with out_of_memory(run):
        if has_ended(folder, prepared, ranks):
            return
        if (twin := dense_twin(run, prepared, folder, ranks)) is None:
            _train(run, prepared, folder, checkpoint_seconds, ranks, stop, graphs, starts)
        elif ranks.first:
            take_over(run, prepared, folder, twin)


def _train(
    run: Run,
    prepared: Prepared,
    folder: Path,
    checkpoint_seconds: float,
    ranks: Ranks,
    stop: Stop,
    graphs: bool,
    starts: Path,
) -> None:
    items, valid = prepared.items("train"), prepared.items("valid")
    frames = [item.frames for item in items]
    total = num_steps(frames, run.train, run.seed)
    snapshots = run.train.snapshot_steps(total)
    averaged = snapshots[-run.train.average :]

    state, begun = resume(folder, run, prepared, total, ranks, graphs, starts)
    session = Session(begun.step, ranks, begun.sessions, graphs and ranks.device.type == "cuda")
    memory = Memory(state.model, run)
    plan = plan_summary(build_structure(run, prepared.tokenizer.size)[0], state.plan)
    if ranks.first:
        write_json(folder / PLAN, plan)

    def save(unvalidated: Mapping[str, float] | None = None) -> None:
        sync(metrics, timings)
        extra = {**prepared.identity, **begun.noted}
        extra |= {"sessions": session.content(memory.recomputing), "row": unvalidated}
        checkpoint = capture(state.step, state.model, state.optimizer, state.total_weights, extra)
        save_checkpoint(folder / "checkpoints", checkpoint)

    row, diverged_at = begun.row if total else {"step": 0}, None  # of no steps, what it begins as is validated
    loader = load_ahead(steps(frames, run.train, run.seed, state.step), partial(Work.load, run, prepared, items, ranks))
    next_checkpoint = time.monotonic() + checkpoint_seconds
    logs = (folder / name if ranks.first else Path(os.devnull) for name in (METRICS, TIMINGS))
    metrics, timings = (open_log(path, state.step if total else -1) for path in logs)
    reports = progress(run_title(folder), state.step) if ranks.first else nullcontext(_no_report)
    with closing(loader), metrics, timings, reports as show:
        try:
            while row is not None or state.step < total:
                if row is None:  # else the last step still has to be validated
                    began = time.perf_counter()
                    work = next(loader)
                    waited = time.perf_counter() - began
                    row = train_step(state, work, ranks, memory, stop)
                    if not is_finite(row):
                        diverged_at = state.step + 1
                        break
                    elapsed = time.perf_counter() - began
                    log(timings, {"step": state.step, **milliseconds(elapsed, waited), "frames": work.frames(frames)})
                if state.step in snapshots:
                    row |= validate(state.model, run, prepared, valid, ranks.device, ranks, stop)
                    if not is_finite(row):
                        diverged_at = state.step
                        break
                    if state.step in averaged:
                        state.add_snapshot()
                log(metrics, row)
                with suppress(BrokenPipeError):  # the reader of this output has gone
                    show(state.step, total, note(row, metric_of(run.corpus.unit)))
                row = None
                if ranks.first and total and (time.monotonic() >= next_checkpoint or state.step == total):
                    before = time.monotonic()
                    save()
                    after = time.monotonic()
                    # Checkpoints take at most a twentieth of the time.
                    next_checkpoint = after + checkpoint_seconds * max(1.0, (after - before) / 3)
        except Interrupted:
            if ranks.first and (state.step, row) != (begun.step, begun.row):
                save(row)
            ranks.wait()  # a rank that leaves here would end the others
            raise Interrupted(
                f"{folder}: interrupted after step {state.step} of {total}; run it again to go on"
            ) from None
    if ranks.first:
        if diverged_at is None:
            write_weights(folder, run, prepared, plan, state.mean(len(averaged)))
        else:
            for name in (WEIGHTS, SPECTRA):
                (folder / name).unlink(missing_ok=True)  # files of an earlier training
        end(folder, outcome(run, prepared, folder, items, total, diverged_at, session, memory) | begun.noted)


def train_step(state: State, work: "Work", ranks: Ranks, memory: Memory, stop: Stop) -> dict[str, float]:
    """Takes the next step and returns its log entry. If a number in it is not finite, the weights have not moved.

    Raises:
        Interrupted: at all ranks, if one was asked to stop; the state is as it was before the step.
        ValueError: the step does not fit into the device's memory.
    """
    run, step = state.run, state.step
    lr = learning_rate(run.train, step, state.total)
    totals = summed_step(state.model, run, work.batches, step, work.num_utterances, ranks, memory, stop)
    state.graphs = state.graphs and not memory.recomputing  # else they would be recorded again at the next change
    losses, norm = clip_and_read(state.model, totals, run.train.clip)
    row = {"step": step + 1, "epoch": work.groups[0].epoch, **losses, "lr": lr, "gradient_norm": norm}
    if is_finite(row):
        state.update(lr)
    return row


def outcome(
    run: Run,
    prepared: Prepared,
    folder: Path,
    items: Sequence[Item],
    total: int,
    diverged_at: int | None,
    session: Session,
    memory: Memory,
) -> dict[str, Any]:
    """The content of ``run.json``: how the training of a run ended, in ``total`` steps or at ``diverged_at``."""
    device, sessions = session.ranks.device, session.content(memory.recomputing)
    return {
        "status": "finished" if diverged_at is None else "diverged",
        "diverged_at": diverged_at,
        "steps": total,
        **prepared.identity,
        "left_out": prepared.left_out,
        "macs_per_second": macs_per_second(run, prepared.tokenizer.size, items),
        "peak_memory_mb": max(each.get("peak_memory_mb", 0.0) for each in sessions),  # older checkpoints have none
        "seconds": sum(each["seconds"] for each in sessions),
        "waited": waited_share(folder / TIMINGS),
        "resumed_at": session.start,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "provenance": session.origin,
        "sessions": sessions,
    }


def milliseconds(elapsed: float, waited: float) -> dict[str, float]:
    """The timing of a step: its seconds, and the seconds that it waited for data, both in milliseconds."""
    return {"ms": elapsed * 1e3, "waited_ms": waited * 1e3}


@dataclass(frozen=True)
class Work:
    """A step's groups, and the batches of the groups that this rank takes."""

    groups: Sequence[Group]
    batches: list[Batch]

    @classmethod
    def load(cls, run: Run, prepared: Prepared, items: Sequence[Item], ranks: Ranks, groups: list[Group]) -> "Work":
        """Reads the batches of this rank and starts to copy them to its device."""
        mine = ranks.share(groups)
        batches = (training_batch(prepared, [items[i] for i in g.members], run, g.epoch) for g in mine)
        return cls(groups, [batch.for_device(ranks.device) for batch in batches])

    @property
    def num_utterances(self) -> int:
        """Utterances of the whole step."""
        return sum(len(group.members) for group in self.groups)

    def frames(self, lengths: Sequence[int]) -> int:
        """Frames of the whole step; ``lengths`` are the frames of every utterance."""
        return sum(lengths[index] for group in self.groups for index in group.members)


def is_finite(row: Mapping[str, float]) -> bool:
    """Whether no loss and no norm is infinite or NaN, so that training can go on."""
    return all(math.isfinite(value) for value in row.values())


def learning_rate(train: Train, step: int, total: int) -> float:
    """Linear warm-up to ``lr`` over the first ``warmup`` share of the steps, then a cosine to zero at the end."""
    warmup = train.warmup * total
    if step + 1 < warmup:
        return train.lr * (step + 1) / warmup
    return train.lr * 0.5 * (1 + math.cos(math.pi * (step + 1 - warmup) / max(total - warmup, 1)))


def note(row: Mapping[str, Any], metric: Metric) -> str:
    """The state of training in a few words."""
    text = f"loss {row['loss' if 'loss' in row else 'valid_loss']:.3f}"
    return f"{text}, valid {metric.short} {row['valid_wer']:.1%}" if "valid_wer" in row else text


def _no_report(done: int, total: int, note: str = "") -> None:
    """Reports nothing, because the first rank reports for all."""
