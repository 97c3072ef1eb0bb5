"""Passes of a trained network over the utterances of test conditions, and what searches find in its outputs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from lrsms.base.devices import synchronise
from lrsms.base.kernels import arithmetic
from lrsms.base.progress import progress
from lrsms.data.ahead import load_ahead
from lrsms.data.batch import Batch, condition_batch, in_batches, network_inputs
from lrsms.data.prepared import Item, Prepared
from lrsms.data.spelling import normalise
from lrsms.decoding.beam import search
from lrsms.decoding.ctc_search import greedy
from lrsms.decoding.losses import batch_losses
from lrsms.models.recognizer import Recognizer
from lrsms.record.bonus import Choice
from lrsms.record.losses import Loss
from lrsms.record.score import align
from lrsms.study.corpus import Unit
from lrsms.study.decoding import Condition, Decoder
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
        """Runs ``work``; returns its result and its seconds."""
        synchronise(self.device)
        began = time.perf_counter()
        result = work()
        synchronise(self.device)
        return result, time.perf_counter() - began

    def content(self, decoders: Mapping[str, Decoder]) -> dict[str, Any]:
        """The seconds as JSON, of the searches whose hypotheses are used."""
        searches = {name: self.search_seconds[name, decoder.length_bonus] for name, decoder in decoders.items()}
        return {
            "audio_seconds": self.audio_seconds,
            "network_seconds": self.network_seconds,
            "search_seconds": searches,
        }


@dataclass(frozen=True)
class _Found:
    """A hypothesis of one decoder, at one length bonus, under one condition."""

    decoder: str
    length_bonus: Any
    condition: str
    item: Item
    text: str

    def content(self) -> dict[str, str]:
        """As JSON."""
        return {
            "decoder": self.decoder,
            "id": self.item.id,
            "speaker": self.item.speaker,
            "reference": self.item.text,
            "hypothesis": self.text,
            "condition": self.condition,
        }


@dataclass
class Passes:
    """Decodes a run under one condition after another.

    Attributes:
        run: the run.
        sets: by condition the prepared corpus whose split is tested.
        device: of the network.
        losses: of the network, of all utterances decoded so far.
    """

    run: Run
    sets: Mapping[str, Prepared]
    device: torch.device
    losses: list[Loss] = field(default_factory=list)
    _found: list[_Found] = field(default_factory=list)
    _times: dict[str, _Times] = field(default_factory=dict)

    def decode(
        self,
        model: Recognizer,
        decoders: Mapping[str, Decoder],
        conditions: Mapping[str, Condition],
        choices: Mapping[str, Choice],
        title: str,
    ) -> dict[str, Choice]:
        """Decodes conditions, those of the valid split first: on these, length bonuses are chosen from lists.

        Args:
            model: the trained network, in eval mode.
            decoders: all of them, by name.
            conditions: which are still to be decoded.
            choices: of length bonuses that were chosen before; then the valid split was decoded before.
            title: what progress is shown of.

        Returns:
            The choices of all decoders that have a list.
        """
        tried = [(name, decoder.at(bonus)) for name, decoder in decoders.items() for bonus in decoder.grid]
        fixed = [(name, decoder) for name, decoder in decoders.items() if not decoder.grid]
        parts = [{n: one for n, one in conditions.items() if one.split == split} for split in ("valid", "test")]
        sizes = [sum(len(self.sets[name].items(one.split)) for name, one in part.items()) for part in parts]
        total = sizes[0] * len(fixed + tried) + sizes[1] * len(decoders)
        with progress(f"decode {title}") as show, arithmetic("float32"):

            def add(searches: Sequence[tuple[str, Decoder]], part: Mapping[str, Condition]) -> None:
                for name, condition in part.items():
                    for one in self._pass(model, searches, name, condition):
                        self._found.append(one)
                        show(len(self._found), total)

            add(fixed + tried, parts[0])
            lists = [name for name, decoder in decoders.items() if decoder.grid]
            found = dict(choices) or choose(self._found, lists, self.run.corpus.unit)
            add(list(chosen(decoders, found).items()), parts[1])
        return found

    def rows(self, decoders: Mapping[str, Decoder]) -> list[dict[str, str]]:
        """The hypotheses of these decoders, at their length bonuses, as JSON."""
        return [one.content() for one in self._found if one.length_bonus == decoders[one.decoder].length_bonus]

    def times(self, decoders: Mapping[str, Decoder]) -> dict[str, Any]:
        """By condition, how long network and searches took (see `lrsms.record.decoding_times`)."""
        return {name: times.content(decoders) for name, times in self._times.items()}

    @torch.no_grad()
    def _pass(
        self, model: Recognizer, searches: Sequence[tuple[str, Decoder]], name: str, condition: Condition
    ) -> Iterator[_Found]:
        """The hypotheses of all ``searches`` under the condition ``name``; they share one pass of the network."""
        prepared, times = self.sets[name], _Times(self.device)
        self._times[name] = times

        def load(members: list[Item]) -> Batch:
            return condition_batch(prepared, members, condition).for_device(self.device)

        with closing(load_ahead(in_batches(prepared.items(condition.split), BATCH_FRAMES), load)) as batches:
            for batch in batches:
                lengths = batch.lengths.to(self.device)
                (memory, log_probs), seconds = times.timed(partial(_network, model, self.run, batch, lengths))
                times.network_seconds += seconds
                times.audio_seconds += int(batch.lengths.sum()) / FRAMES_PER_SECOND
                self.losses += batch_losses(model, prepared.tokenizer, batch, name, memory, log_probs)
                for decoder, settings in searches:
                    found, seconds = times.timed(partial(_tokens, model, memory, log_probs, lengths, settings))
                    key = decoder, settings.length_bonus
                    times.search_seconds[key] = times.search_seconds.get(key, 0.0) + seconds
                    for item, tokens in zip(batch.items, found, strict=True):
                        yield _Found(*key, name, item, normalise(prepared.tokenizer.decode(tokens), self.run.corpus))


def chosen(decoders: Mapping[str, Decoder], choices: Mapping[str, Choice]) -> dict[str, Decoder]:
    """The decoders with the length bonuses that were chosen."""
    return dict(decoders) | {name: decoders[name].at(choice.chosen) for name, choice in choices.items()}


def choose(found: Sequence[_Found], names: Sequence[str], unit: Unit | None) -> dict[str, Choice]:
    """The length bonus of each of the decoders ``names``, by the errors in what they ``found`` on the valid split."""
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
