"""Is our Conformer's training step as fast as that of ``torchaudio.models.Conformer`` of the same dimensions?

Both get the same random vectors and are trained with the same CTC loss, head and optimizer, in turns. Ours computes
more: relative positions, a bias for each of them in every head, and statistics that ignore padding.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.figure import Figure
from lrsms.base.devices import timed
from lrsms.cost.random_data import CHARACTERS_PER_UTTERANCE, FRAMES, NUM_CHARACTERS
from lrsms.data.torchaudio_import import torchaudio
from lrsms.models.conformer import ConformerEncoder
from lrsms.models.frontends import padding_mask
from lrsms.models.initial import initialise
from lrsms.models.norm import update_running_statistics
from lrsms.models.recognizer import ctc_loss
from lrsms.study.expand import preset_run
from lrsms.study.run import Model

PRESETS = ("tiny-asr", "mini-asr")
REPETITIONS = 8


def measure(device: torch.device, small: bool) -> list[Figure]:
    """For each preset, steps per second of ours over torchaudio's."""
    return [_compare(preset, device, small) for preset in PRESETS]


def _compare(preset: str, device: torch.device, small: bool) -> Figure:
    model = preset_run(preset).model
    num_utterances = 1 if small else 4 if device.type == "cpu" else 64
    batch = _random_batch(num_utterances, model.dim, device)
    torch.manual_seed(0)
    ours = ConformerEncoder(model.dim, model.heads, model.feedforward, model.layers, model.kernel, model.dropout)
    initialise(ours, 0, "default")
    theirs = torchaudio.models.Conformer(
        model.dim, model.heads, model.feedforward, model.layers, model.kernel, model.dropout
    )
    steps = (
        _step(ours, lambda x, lengths: ours(x, padding_mask(lengths, x.shape[1])), model, batch, device),
        _step(theirs, lambda x, lengths: theirs(x, lengths)[0], model, batch, device),
    )
    times: tuple[list[float], list[float]] = ([], [])
    for step in steps:
        step()
    for repetition in range(1 if small else REPETITIONS):
        for index in (0, 1) if repetition % 2 else (1, 0):
            times[index].append(timed(steps[index], device))
    medians = [statistics.median(each) for each in times]
    details = {"ours_ms": times[0], "torchaudio_ms": times[1], "frames": batch.x.shape[0] * FRAMES}
    return Figure(f"{preset}: steps/s over torchaudio's", medians[1] / medians[0], "x", ">= 1", details)


@dataclass(frozen=True)
class _Batch:
    """A batch: vectors ``x (B, T, D)``, ``lengths (B,)``, ``tokens (B, U)`` and ``token_lengths (B,)``."""

    x: Tensor
    lengths: Tensor
    tokens: Tensor
    token_lengths: Tensor


def _random_batch(num_utterances: int, dim: int, device: torch.device) -> _Batch:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, NUM_CHARACTERS, (num_utterances, CHARACTERS_PER_UTTERANCE), generator=generator)
    return _Batch(
        torch.randn(num_utterances, FRAMES, dim, generator=generator).to(device),
        torch.full((num_utterances,), FRAMES, device=device),
        tokens.to(device),
        torch.full((num_utterances,), CHARACTERS_PER_UTTERANCE, device=device),
    )


def _step(
    encoder: nn.Module, encode: Callable[[Tensor, Tensor], Tensor], model: Model, batch: _Batch, device: torch.device
) -> Callable[[], None]:
    """A training step of an encoder with its own CTC head."""
    head = nn.Linear(model.dim, NUM_CHARACTERS + 2)
    whole = nn.ModuleList([encoder, head]).to(device).train()
    optimizer = torch.optim.AdamW(whole.parameters(), 1e-3, fused=True)

    def step() -> None:
        log_probs = F.log_softmax(head(encode(batch.x, batch.lengths)), dim=-1)
        ctc_loss(log_probs, batch.lengths, batch.tokens, batch.token_lengths).backward()
        nn.utils.clip_grad_norm_(whole.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        update_running_statistics(whole)

    return step
