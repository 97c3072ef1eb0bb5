"""How much faster is a beam search over 32 utterances at once than over one at a time, and is it faster than speech?

The networks are those of the ``tiny-asr`` and ``mini-asr`` presets, with random weights. Searches should run as long as
with a trained network. So CTC's outputs are made from random transcripts and alignments, and the decoder's logits
prefer the same transcripts. Both searches take turns in one process and must find the same. The encoder is timed
separately, on noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.figure import Figure
from lrsms.base.devices import timed
from lrsms.cost.random_data import random_batch, vocabulary
from lrsms.data.batch import network_inputs
from lrsms.decoding.beam import search
from lrsms.decoding.hypothesis import Hypothesis
from lrsms.models.decoder import Decoder, DecoderState
from lrsms.models.recognizer import build
from lrsms.study.decoding import Decoder as Settings
from lrsms.study.expand import preset_run
from lrsms.study.frames import FRAMES_PER_SECOND
from lrsms.study.run import Model, Run

PRESETS = {"tiny-asr": 4, "mini-asr": 6}
"""Presets, each with the frames from one token to the next: characters come faster than pieces of words."""
SETTINGS = {
    "beam 40, CTC 0.1": Settings(kind="beam", beam=40, ctc_weight=0.1, length_bonus=0.0),
    "beam 8, CTC 0.5": Settings(kind="beam", beam=8, ctc_weight=0.5, length_bonus=0.0),
}
NUM_UTTERANCES, SMALL_NUM_UTTERANCES = 32, 3
FRAMES, SMALL_FRAMES = (75, 150), (10, 20)
REPETITIONS = 3
LEAN = 7.0
"""This is added to the logit of the transcript's next token."""
PEAK = 12.0
"""This is added along the alignment to CTC's logits, whose standard deviation is 2."""


def measure(device: torch.device, small: bool) -> list[Figure]:
    """For each network and search, the speed-up by the batch and the real-time factor."""
    aim = "> 10" if device.type == "cuda" else "> 3"
    figures: list[Figure] = []
    for preset, frames_per_token in PRESETS.items():
        run = preset_run(preset)
        frames, number = (SMALL_FRAMES, SMALL_NUM_UTTERANCES) if small else (FRAMES, NUM_UTTERANCES)
        task = make_task(run.model, vocabulary(run), number, frames, frames_per_token, device)
        speech = int(task.lengths.sum()) / FRAMES_PER_SECOND
        network = network_rate(run, device, small)
        for name, settings in SETTINGS.items():
            seconds = in_turns(task, settings, 1 if small else REPETITIONS, device)
            together, alone = (min(seconds[kind]) for kind in ("together", "alone"))
            details = {"seconds": seconds, "utterances": number, "speech_seconds": speech, "size": vocabulary(run)}
            figures.append(
                Figure(f"{preset}, {name}: batch of {number} against 1", alone / together, "x", aim, details)
            )
            factor = together / speech + network
            shares = {"search": together / speech, "network": network}
            figures.append(Figure(f"{preset}, {name}: real-time factor", factor, "s/s", "< 1", shares))
    return figures


@dataclass(frozen=True)
class Task:
    """The input of a search.

    Attributes:
        decoder: a decoder that prefers the transcripts that its memory names.
        log_probs: CTC log-probabilities, ``(B, T, V)``.
        lengths: frames, ``(B,)``.
        memory: ``(B, T, D)``.
        transcripts: ``(B, U)``, filled up with eos.
    """

    decoder: "LeaningDecoder"
    log_probs: Tensor
    lengths: Tensor
    memory: Tensor
    transcripts: Tensor

    def search(self, utterances: slice, settings: Settings) -> list[Hypothesis]:
        """Searches some utterances, padded to the longest of them."""
        lengths = self.lengths[utterances]
        longest = int(lengths.max())
        self.decoder.transcripts = self.transcripts[utterances]
        log_probs, memory = self.log_probs[utterances, :longest], self.memory[utterances, :longest]
        return search(log_probs, lengths, self.decoder, memory, settings)


class LeaningDecoder(Decoder):
    """A decoder that knows ``transcripts (B, U)``, which travel with the memory when the search selects utterances."""

    transcripts: Tensor

    def start(self, memory: Tensor, padding_mask: Tensor) -> DecoderState:
        """The decoder's own state, with the transcripts."""
        state = super().start(memory, padding_mask)
        return replace(state, memory=(*state.memory, (self.transcripts, self.transcripts)))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """The decoder's own logits, plus ``LEAN`` at the transcript's token for this position."""
        *memory, (transcripts, _) = state.memory
        position = state.past[0][0].shape[2]
        logits, after = super().step(tokens, replace(state, memory=tuple(memory)))
        expected = transcripts[:, min(position, transcripts.shape[1] - 1)]
        rows = expected.repeat_interleave(len(tokens) // len(transcripts))[:, None]
        logits = logits.scatter_add(1, rows, torch.full_like(rows, LEAN, dtype=logits.dtype))
        return logits, replace(after, memory=state.memory)


def make_task(
    model: Model, size: int, number: int, frames: tuple[int, int], frames_per_token: int, device: torch.device
) -> Task:
    """``number`` random utterances with lengths from the range ``frames``, longest first."""
    generator = torch.Generator().manual_seed(0)
    assert model.decoder_layers is not None
    decoder = LeaningDecoder(size, model.dim, model.heads, model.feedforward, model.decoder_layers, model.dropout)
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim == 2:
                scale = parameter.shape[1] ** -0.5
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    lengths = torch.randint(frames[0], frames[1] + 1, (number,), generator=generator).sort(descending=True).values
    longest = int(lengths[0])
    starts = torch.arange(1, longest - 1, frames_per_token)
    within = starts < lengths[:, None] - 1
    transcripts = torch.randint(1, size - 1, within.shape, generator=generator)
    path = torch.zeros((number, longest), dtype=torch.long)
    path[:, starts] = transcripts.where(within, 0)
    logits = 2 * torch.randn(number, longest, size, generator=generator)
    logits.scatter_add_(2, path[..., None], torch.full((number, longest, 1), PEAK))
    return Task(
        decoder=decoder.eval().to(device),
        log_probs=logits.log_softmax(-1).to(device),
        lengths=lengths.to(device),
        memory=torch.randn(number, longest, model.dim, generator=generator).to(device),
        transcripts=torch.nn.functional.pad(transcripts.where(within, size - 1), (0, 1), value=size - 1).to(device),
    )


def in_turns(task: Task, settings: Settings, repetitions: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds for all utterances together and for one after another; both take turns.

    Raises:
        ValueError: they find different hypotheses, or not the transcripts.
    """
    number = len(task.lengths)
    kinds: dict[str, Sequence[slice]] = {
        "together": [slice(0, number)],
        "alone": [slice(i, i + 1) for i in range(number)],
    }
    eos = task.log_probs.shape[2] - 1
    expected = [tuple(token for token in row if token != eos) for row in task.transcripts.tolist()]
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for repetition in range(repetitions + 1):
        for kind, parts in kinds.items():
            found: list[Hypothesis] = []
            milliseconds = timed(searching(task, parts, settings, found), device)
            if [hypothesis.tokens for hypothesis in found] != expected:
                raise ValueError(
                    f"searched {kind}, the hypotheses are not the transcripts of which CTC's output was made"
                )
            if repetition > 0:  # the first warms up
                seconds[kind].append(milliseconds / 1e3)
    return seconds


def searching(task: Task, parts: Sequence[slice], settings: Settings, found: list[Hypothesis]) -> Callable[[], None]:
    """Searches parts one after another, and puts the results into ``found``."""

    def work() -> None:
        for part in parts:
            found.extend(task.search(part, settings))

    return work


@torch.no_grad()
def network_rate(run: Run, device: torch.device, small: bool) -> float:
    """Least seconds of features, encoder and CTC output per second of speech."""
    run = run.model_copy(update={"train": run.train.model_copy(update={"group_frames": 100 if small else 3200})})
    model = build(run.model, vocabulary(run), seed=0).to(device).eval()
    batch = random_batch(run, vocabulary(run), num_tokens=1)
    lengths = batch.lengths.to(device)

    def work() -> None:
        audio, video = network_inputs(batch, run.model, device)
        model.ctc_log_probs(model.encode(audio, video, lengths)[0])

    milliseconds = [timed(work, device) for _ in range(2 if small else 1 + REPETITIONS)]
    return min(milliseconds[1:]) / 1e3 / (int(batch.lengths.sum()) / FRAMES_PER_SECOND)
