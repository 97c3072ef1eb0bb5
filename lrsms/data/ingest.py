"""The first pass over a corpus: every utterance is rendered, read and checked once, and streams into its folder."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrsms.config import Corpus, Modality
from lrsms.data import recording, video
from lrsms.data.growing import GrowingArray
from lrsms.data.manifest import SPLITS
from lrsms.data.prepared import AUDIO, VIDEO
from lrsms.data.recording import Recording
from lrsms.data.skipping import Kind, Skipped
from lrsms.data.text import normalise
from lrsms.data.transcripts import checked, notes_on
from lrsms.data.utterance import Utterance


@dataclass(frozen=True)
class Unusable:
    """Why an utterance cannot be used."""

    reason: str
    kind: Kind


Outcome = tuple[str, Recording] | Unusable
"""The normalised transcript and the recording of an utterance, or why it cannot be used."""


@dataclass(frozen=True)
class Kept:
    """One line of the prepared manifest."""

    id: str
    split: str
    speaker: str
    frames: int
    offset: int
    text: str


@dataclass(frozen=True)
class Ingested:
    """What is known once every utterance was read."""

    rows: list[Kept]
    skipped: list[Skipped]
    sources: dict[str, tuple[Path | None, Path | None]]
    """By utterance, the files of its audio and video."""
    notes: dict[str, tuple[str, ...]]
    """By utterance, where there are any."""
    hashes: dict[str, str]
    """SHA-256 of each stream."""


def ingest(
    utterances: Iterable[Utterance],
    corpus: Corpus,
    modalities: tuple[Modality, ...],
    folder: Path | None,
    threads: int,
    report: Callable[[int], None],
) -> Ingested:
    """Streams what can be read to the files of ``folder``, or only its hash where there is none.

    An utterance that is skipped later, for its spelling, leaves its frames behind unused.

    Args:
        utterances: of the corpus.
        corpus: says how transcripts are normalised.
        modalities: what is read.
        folder: gets ``audio.npy`` and ``video.npy``.
        threads: utterances that are read at once; the result does not depend on it.
        report: called after each utterance with how many are done.

    Raises:
        ValueError: one line: two splits share a recording, or a transcript holds what no text does.
    """
    rows: list[Kept] = []
    skipped: list[Skipped] = []
    sources: dict[str, tuple[Path | None, Path | None]] = {}
    notes: dict[str, tuple[str, ...]] = {}
    first_with: dict[bytes, tuple[str, str]] = {}
    num_frames = 0
    with ExitStack() as stack:
        streams: dict[str, GrowingArray] = {}
        if "audio" in modalities:
            streams[AUDIO] = GrowingArray(folder and folder / AUDIO, "<i2")
        if "video" in modalities:
            streams[VIDEO] = GrowingArray(folder and folder / VIDEO, "u1", (video.SIZE, video.SIZE))
        for stream in streams.values():
            stack.enter_context(stream)
        outcomes = stack.enter_context(closing(_in_order(checked(utterances), corpus, modalities, threads)))
        for done, (utterance, outcome) in enumerate(outcomes, start=1):
            assert utterance.split in SPLITS, utterance
            if isinstance(outcome, Unusable):
                skipped.append(Skipped(utterance.id, utterance.split, outcome.reason, outcome.kind))
            else:
                text, read = outcome
                contents = [content for content in (read.samples, read.pictures) if content is not None]
                _refuse_shared(utterance, contents[0], first_with)
                for stream, content in zip(streams.values(), contents, strict=True):
                    stream.append(content)
                rows.append(Kept(utterance.id, utterance.split, utterance.speaker, read.frames, num_frames, text))
                sources[utterance.id] = utterance.audio, utterance.video
                if own := (*read.notes, *notes_on(utterance.text)):
                    notes[utterance.id] = own
                num_frames += read.frames
            report(done)
    return Ingested(rows, skipped, sources, notes, {name: stream.hash for name, stream in streams.items()})


def _in_order(
    utterances: Iterable[Utterance], corpus: Corpus, modalities: tuple[Modality, ...], threads: int
) -> Generator[tuple[Utterance, Outcome], None, None]:
    """Reads in threads, a few utterances ahead; they come in the corpus's order."""
    waiting: deque[tuple[Utterance, Future[Outcome]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for utterance in utterances:
                waiting.append((utterance, pool.submit(_try, utterance, corpus, modalities)))
                if len(waiting) > 2 * threads:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _try(utterance: Utterance, corpus: Corpus, modalities: tuple[Modality, ...]) -> Outcome:
    """The normalised transcript and the recording, or why the utterance cannot be used."""
    text = normalise(utterance.text, corpus)
    if not text:
        left = f": nothing is left of '{utterance.text.strip()}'" if utterance.text.strip() else ""
        return Unusable(f"the transcript is empty{left}", "transcript")
    try:
        return text, recording.read(utterance, modalities)
    except ValueError as error:
        return Unusable(str(error), "recording")


def _refuse_shared(utterance: Utterance, content: np.ndarray, first_with: dict[bytes, tuple[str, str]]) -> None:
    """What is heard, or else what is seen, must not come back in another split."""
    digest = hashlib.sha256(np.ascontiguousarray(content).data).digest()
    first, split = first_with.setdefault(digest, (utterance.id, utterance.split))
    if split != utterance.split:
        raise ValueError(
            f"'{utterance.id}' of split '{utterance.split}' is the same recording as '{first}' of split '{split}'; "
            "splits must not share a recording"
        )
