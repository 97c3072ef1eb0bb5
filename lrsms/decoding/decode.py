"""Decodes a trained run with every decoder under every test condition: one row for each utterance."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from lrsms.base.devices import device_name, synchronise
from lrsms.base.files import write_json
from lrsms.base.kernels import arithmetic
from lrsms.base.progress import progress
from lrsms.data.ahead import load_ahead
from lrsms.data.batch import Batch, condition_batch, in_batches, network_inputs
from lrsms.data.identity import difference, warn_of_unknown_pieces
from lrsms.data.prepared import Item, Prepared
from lrsms.data.spelling import normalise
from lrsms.decoding.beam import search
from lrsms.decoding.ctc_search import greedy
from lrsms.decoding.losses import batch_losses
from lrsms.methods.build import build_structure
from lrsms.models.recognizer import Recognizer
from lrsms.record import hypotheses
from lrsms.record.bonus import Choice, write_choices
from lrsms.record.decoding_times import times_path
from lrsms.record.losses import Loss, write_losses
from lrsms.record.record import load_outcome
from lrsms.record.resumed import refuse_wrongly_resumed
from lrsms.record.run_files import WEIGHTS, check_weights, run_title
from lrsms.record.score import align
from lrsms.study.corpus import Unit
from lrsms.study.decoding import Condition, Decoder, Decoding
from lrsms.study.frames import FRAMES_PER_SECOND
from lrsms.study.run import Run

BATCH_FRAMES = 3200
"""Frames decoded at once; hypotheses do not depend on it."""
Result = TypeVar("Result")


@dataclass
class _Times:
    """How long decoding took under one condition; the device is idle before and after each part.

    See `lrsms.record.decoding_times`.
    """

    device: torch.device
    audio_seconds: float = 0.0
    network_seconds: float = 0.0
    search_seconds: dict[tuple[str, Any], float] = field(default_factory=dict)
    """Seconds of the search, by decoder and length bonus."""

    def timed(self, work: Callable[[], Result]) -> tuple[Result, float]:
        """Runs ``work``, and returns its result and its seconds."""
        synchronise(self.device)
        began = time.perf_counter()
        result = work()
        synchronise(self.device)
        return result, time.perf_counter() - began

    def content(self, decoders: Mapping[str, Decoder]) -> dict[str, Any]:
        """The seconds as JSON, only of the searches whose hypotheses are used."""
        searches = {name: self.search_seconds[name, decoder.length_bonus] for name, decoder in decoders.items()}
        return {
            "audio_seconds": self.audio_seconds,
            "network_seconds": self.network_seconds,
            "search_seconds": searches,
        }


@dataclass(frozen=True)
class _Found:
    """A hypothesis of one decoder with one length bonus under one condition."""

    decoder: str
    length_bonus: Any
    condition: str
    item: Item
    text: str

    def content(self) -> dict[str, Any]:
        """The row as JSON."""
        return {
            "decoder": self.decoder,
            "id": self.item.id,
            "speaker": self.item.speaker,
            "reference": self.item.text,
            "hypothesis": self.text,
            "condition": self.condition,
        }


def load_trained(run: Run, folder: Path, size: int, device: torch.device) -> Recognizer:
    """The trained network of a run, in eval mode.

    Raises:
        ValueError: its weights are missing or damaged, belong to another network, or were changed after training.
    """
    outcome = load_outcome(folder)
    model, _ = build_structure(run, size)
    path = folder / WEIGHTS
    if path.is_file():
        check_weights(folder, outcome)
    try:
        weights = load_file(path, device=str(device))
        model.to_empty(device=device)
        model.load_state_dict(weights)
    except Exception as error:  # safetensors and load_state_dict raise errors of many types
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: cannot be loaded ({reason}); delete {folder / 'run.json'} and run again") from None
    return model.eval()


def decode(run: Run, prepared: Prepared, folder: Path, output: Path, decoding: Decoding, device: torch.device) -> None:
    """Writes JSON lines of decoder, condition, id, speaker, reference and hypothesis; none for a diverged run.

    Beside them it writes the losses of all utterances (see `lrsms.record.losses`) and how long decoding took (see
    `lrsms.record.decoding_times`). Where a decoder has a list of length bonuses, it first chooses one on the valid
    split, and writes its choice (see `lrsms.record.bonus`).

    Decoding uses float32 without TF32, whatever training used.

    Raises:
        ValueError: the run has not ended, was resumed wrongly, or was trained on another corpus, or its weights are not
            those that training wrote.
    """
    outcome = load_outcome(folder)
    refuse_wrongly_resumed(run, outcome, folder, "delete it to train again")
    if other := difference(outcome, prepared.identity, by_manifest=True):
        raise ValueError(
            f"{folder}: was trained {other} than {prepared.folder} holds now; bring back the corpus as it was, or move "
            "the run's folder elsewhere to train anew"
        )
    warn_of_unknown_pieces(folder, outcome, prepared)
    found: list[_Found] = []
    losses: list[Loss] = []
    times: dict[str, _Times] = {}
    choices: dict[str, Choice] = {}
    decoders = dict(decoding.decoders)
    if outcome["status"] == "finished":
        model = load_trained(run, folder, prepared.tokenizer.size, device)
        tried = [(name, decoder.at(bonus)) for name, decoder in decoders.items() for bonus in decoder.grid]
        fixed = [(name, decoder) for name, decoder in decoders.items() if not decoder.grid]
        valid, test = decoding.of_split("valid"), decoding.of_split("test")
        num_valid, num_test = (sum(len(prepared.items(c.split)) for c in part.values()) for part in (valid, test))
        total = num_valid * len(fixed + tried) + num_test * len(decoders)
        with progress(f"decode {run_title(folder)}") as show, arithmetic("float32"):

            def add(searches: list[tuple[str, Decoder]], conditions: Mapping[str, Condition]) -> None:
                for name, condition in conditions.items():
                    times[name] = _Times(device)
                    for one in _decode_items(model, run, prepared, searches, name, condition, times[name], losses):
                        found.append(one)
                        show(len(found), total)

            add(fixed + tried, valid)
            choices = _choose(found, [name for name, decoder in decoders.items() if decoder.grid], run.corpus.unit)
            decoders |= {name: decoders[name].at(choice.chosen) for name, choice in choices.items()}
            add(list(decoders.items()), test)
    order = {pair: n for n, pair in enumerate(itertools.product(decoders, decoding.conditions))}
    chosen = [one for one in found if one.length_bonus == decoders[one.decoder].length_bonus]
    chosen.sort(key=lambda one: order[one.decoder, one.condition])
    content = {name: times[name].content(decoders) for name in decoding.conditions if name in times}
    about = {"device": device_name(device), "threads": torch.get_num_threads()}
    write_json(times_path(output), about | {"conditions": content})
    write_choices(output, choices)
    write_losses(output, losses)
    hypotheses.write(output, [one.content() for one in chosen], folder)


def _choose(found: Sequence[_Found], names: Sequence[str], unit: Unit | None) -> dict[str, Choice]:
    """The length bonus of each decoder in ``names``, chosen by the errors in what it ``found`` on the valid split."""
    choices = {}
    for name in names:
        errors: dict[float, int] = {}
        words = 0
        for one in found:
            if one.decoder == name:
                alignment = align(one.item.text, one.text, unit)
                errors[one.length_bonus] = errors.get(one.length_bonus, 0) + alignment.edits
                words += alignment.words
        choices[name] = Choice(errors, words // len(errors))
    return choices


@torch.no_grad()
def _decode_items(
    model: Recognizer,
    run: Run,
    prepared: Prepared,
    searches: Sequence[tuple[str, Decoder]],
    name: str,
    condition: Condition,
    times: _Times,
    losses: list[Loss],
) -> Iterator[_Found]:
    """The hypotheses of all ``searches`` under the condition ``name``; they share one pass of the network.

    The network's losses are added to ``losses``.
    """

    def load(members: list[Item]) -> Batch:
        return condition_batch(prepared, members, condition).for_device(times.device)

    with closing(load_ahead(in_batches(prepared.items(condition.split), BATCH_FRAMES), load)) as batches:
        for batch in batches:
            lengths = batch.lengths.to(times.device)
            (memory, log_probs), seconds = times.timed(partial(_network, model, run, batch, lengths))
            times.network_seconds += seconds
            times.audio_seconds += int(batch.lengths.sum()) / FRAMES_PER_SECOND
            losses += batch_losses(model, prepared.tokenizer, batch, name, memory, log_probs)
            for decoder, settings in searches:
                found, seconds = times.timed(partial(_tokens, model, memory, log_probs, lengths, settings))
                key = decoder, settings.length_bonus
                times.search_seconds[key] = times.search_seconds.get(key, 0.0) + seconds
                for item, tokens in zip(batch.items, found, strict=True):
                    yield _Found(*key, name, item, normalise(prepared.tokenizer.decode(tokens), run.corpus))


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
