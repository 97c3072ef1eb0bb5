"""Hypotheses of a trained run: every decoder under every test condition, one row per utterance."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from lrsms import hypotheses
from lrsms.beam import greedy, search
from lrsms.build import build_structure
from lrsms.config import Condition, Decoder, Decoding, Run
from lrsms.data.ahead import load_ahead
from lrsms.data.audio import FRAMES_PER_SECOND
from lrsms.data.batch import Batch, condition_batch, in_batches, network_inputs
from lrsms.data.prepared import Item, Prepared
from lrsms.files import write_json
from lrsms.models.recognizer import Recognizer
from lrsms.progress import progress
from lrsms.realtime import times_path
from lrsms.record import load_outcome
from lrsms.stepbench import synchronise
from lrsms.training.ending import device_name
from lrsms.training.train import WEIGHTS, run_title

BATCH_FRAMES = 3200
"""Frames decoded at once; hypotheses do not depend on it."""
Result = TypeVar("Result")


@dataclass
class _Times:
    """What one condition's decoding took, the device idle before and after each part (see `lrsms.realtime`)."""

    device: torch.device
    audio_seconds: float = 0.0
    network_seconds: float = 0.0
    search_seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, work: Callable[[], Result]) -> tuple[Result, float]:
        """The result of ``work``, and the seconds that it took."""
        synchronise(self.device)
        began = time.perf_counter()
        result = work()
        synchronise(self.device)
        return result, time.perf_counter() - began

    def content(self) -> dict[str, Any]:
        """As JSON."""
        return {key: getattr(self, key) for key in ("audio_seconds", "network_seconds", "search_seconds")}


def load_trained(run: Run, folder: Path, size: int, device: torch.device) -> Recognizer:
    """The trained network of a run, in eval mode.

    Raises:
        ValueError: its weights are missing, damaged or of another network.
    """
    model, _ = build_structure(run, size)
    path = folder / WEIGHTS
    try:
        weights = load_file(path, device=str(device))
        model.to_empty(device=device)
        model.load_state_dict(weights)
    except Exception as error:  # safetensors and load_state_dict raise what they like
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: cannot be loaded ({reason}); delete {folder / 'run.json'} and run again") from None
    return model.eval()


def decode(run: Run, prepared: Prepared, folder: Path, output: Path, decoding: Decoding, device: torch.device) -> None:
    """Writes JSON lines of decoder, condition, id, speaker, reference and hypothesis; none for a diverged run.

    Beside them it writes how long it took (see `lrsms.realtime`).

    Decoding is in float32 without TF32, whatever training used.

    Raises:
        ValueError: the run has not ended, its weights cannot be loaded, or it was trained on another corpus.
    """
    outcome = load_outcome(folder)
    # Not the audio's hash: a corpus that is rendered on another machine may differ in a last bit.
    if outcome["manifest_hash"] != prepared.manifest_hash:
        raise ValueError(
            f"{folder}: was trained on other data than {prepared.folder} holds now; delete it to train again"
        )
    rows: list[dict[str, Any]] = []
    times: dict[str, _Times] = {}
    if outcome["status"] == "finished":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        model = load_trained(run, folder, prepared.tokenizer.size, device)
        items_by_name = {name: prepared.items(condition.split) for name, condition in decoding.conditions.items()}
        total = sum(len(items) for items in items_by_name.values()) * len(decoding.decoders)
        with progress(f"decode {run_title(folder)}") as show:
            for name, items in items_by_name.items():
                condition, times[name] = decoding.conditions[name], _Times(device)
                for row in _decode_items(model, run, prepared, items, condition, decoding, times[name]):
                    rows.append({**row, "condition": name})
                    show(len(rows), total)
        order = {name: index for index, name in enumerate(decoding.decoders)}
        rows.sort(key=lambda row: order[row["decoder"]])
    content = {name: condition_times.content() for name, condition_times in times.items()}
    about = {"device": device_name(device), "threads": torch.get_num_threads()}
    write_json(times_path(output), about | {"conditions": content})
    hypotheses.write(output, rows, folder)


@torch.no_grad()
def _decode_items(
    model: Recognizer,
    run: Run,
    prepared: Prepared,
    items: list[Item],
    condition: Condition,
    decoding: Decoding,
    times: _Times,
) -> Iterator[dict[str, Any]]:
    def load(members: list[Item]) -> Batch:
        return condition_batch(prepared, members, condition).for_device(times.device)

    with closing(load_ahead(in_batches(items, BATCH_FRAMES), load)) as batches:
        for batch in batches:
            lengths = batch.lengths.to(times.device)
            (memory, log_probs), seconds = times.timed(partial(_network, model, run, batch, lengths))
            times.network_seconds += seconds
            times.audio_seconds += int(batch.lengths.sum()) / FRAMES_PER_SECOND
            for name, decoder in decoding.decoders.items():
                found, seconds = times.timed(partial(_tokens, model, memory, log_probs, lengths, decoder))
                times.search_seconds[name] = times.search_seconds.get(name, 0.0) + seconds
                for item, tokens in zip(batch.items, found, strict=True):
                    yield {
                        "decoder": name,
                        "id": item.id,
                        "speaker": item.speaker,
                        "reference": item.text,
                        "hypothesis": prepared.tokenizer.decode(tokens),
                    }


def _network(model: Recognizer, run: Run, batch: Batch, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The memory ``(B, T, D)`` and the CTC log-probabilities ``(B, T, V)`` of a batch."""
    audio, video = network_inputs(batch, run.model, lengths.device)
    memory, _ = model.encode(audio, video, lengths, batch.present)
    return memory, model.ctc_log_probs(memory)


def _tokens(
    model: Recognizer, memory: Tensor, log_probs: Tensor, lengths: Tensor, settings: Decoder
) -> list[tuple[int, ...]]:
    if settings.kind == "greedy":
        return greedy(log_probs, lengths)
    return [hypothesis.tokens for hypothesis in search(log_probs, lengths, model.decoder, memory, settings)]
