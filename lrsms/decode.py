"""Hypotheses of a trained run: every decoder under every test condition, one row per utterance."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lrsms.beam import greedy, search
from lrsms.build import build_structure
from lrsms.config import Condition, Decoder, Decoding, Run
from lrsms.data.batch import condition_batch, in_batches, network_inputs
from lrsms.data.prepared import Item, Prepared
from lrsms.files import write_atomically
from lrsms.models.recognizer import Recognizer
from lrsms.progress import progress
from lrsms.record import load_outcome
from lrsms.training.train import WEIGHTS, run_title

BATCH_FRAMES = 3200
"""Frames decoded at once; hypotheses do not depend on it."""


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
    if outcome["status"] == "finished":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        model = load_trained(run, folder, prepared.tokenizer.size, device)
        items_by_name = {name: prepared.items(condition.split) for name, condition in decoding.conditions.items()}
        total = sum(len(items) for items in items_by_name.values()) * len(decoding.decoders)
        with progress(f"decode {run_title(folder)}") as show:
            for name, items in items_by_name.items():
                condition = decoding.conditions[name]
                for row in _decode_items(model, run, prepared, items, condition, decoding, device):
                    rows.append({**row, "condition": name})
                    show(len(rows), total)
        order = {name: index for index, name in enumerate(decoding.decoders)}
        rows.sort(key=lambda row: order[row["decoder"]])
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(output, lines.encode())


@torch.no_grad()
def _decode_items(
    model: Recognizer,
    run: Run,
    prepared: Prepared,
    items: list[Item],
    condition: Condition,
    decoding: Decoding,
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    for members in in_batches(items, BATCH_FRAMES):
        batch = condition_batch(prepared, members, condition)
        lengths = batch.lengths.to(device)
        audio, video = network_inputs(batch, run.model, device)
        memory, _ = model.encode(audio, video, lengths, batch.present)
        log_probs = model.ctc_log_probs(memory)
        for name, decoder in decoding.decoders.items():
            for item, tokens in zip(members, _tokens(model, memory, log_probs, lengths, decoder), strict=True):
                yield {
                    "decoder": name,
                    "id": item.id,
                    "speaker": item.speaker,
                    "reference": item.text,
                    "hypothesis": prepared.tokenizer.decode(tokens),
                }


def _tokens(
    model: Recognizer, memory: Tensor, log_probs: Tensor, lengths: Tensor, settings: Decoder
) -> list[tuple[int, ...]]:
    if settings.kind == "greedy":
        return greedy(log_probs, lengths)
    return [hypothesis.tokens for hypothesis in search(log_probs, lengths, model.decoder, memory, settings)]
