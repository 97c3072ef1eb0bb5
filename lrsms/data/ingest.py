"""The first pass over a corpus: every utterance is rendered, read and checked once, and streams into its folder."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrsms.data import video
from lrsms.data.growing import GrowingArray
from lrsms.data.identity import Source, source_line, sources
from lrsms.data.manifest import SPLITS
from lrsms.data.recordings import recording
from lrsms.data.recordings.recording import Recording
from lrsms.data.skipping import Kind, Skipped
from lrsms.data.spelling import normalise
from lrsms.data.stored import FILES, checksum
from lrsms.data.transcripts import checked, notes_on
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Corpus
from lrsms.study.run import Modality


@dataclass(frozen=True)
class Unusable:
    """The reason why an utterance cannot be used."""

    reason: str
    kind: Kind


@dataclass(frozen=True)
class Outcome:
    """The data of an utterance that was read."""

    text: str
    """Normalised."""
    recording: Recording | Unusable
    sources: dict[Modality, Source]
    """Its files; empty for a rendered utterance."""
    checksums: dict[Modality, str]
    """CRC-32 of its prepared data."""


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
    """The results of reading every utterance."""

    rows: list[Kept]
    skipped: list[Skipped]
    utterances: dict[str, Utterance]
    """The utterances that were read, by id."""
    sources: dict[str, dict[Modality, Source]]
    """The files of each utterance."""
    checksums: dict[str, dict[Modality, str]]
    """The checksums of each utterance's prepared data."""
    lines: list[str]
    """A line for every utterance, including skipped ones, for ``identity.source_hash``."""
    notes: dict[str, tuple[str, ...]]
    """The notes on each utterance that has any."""
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
    """Writes all readable utterances to the files of ``folder``; without a folder it only computes their hash.

    The frames of an utterance that is skipped later, for its spelling, stay in the files unused.

    Args:
        utterances: those of the corpus.
        corpus: says how transcripts are normalised, how short a recording may be, and whether it is rendered (then the
            bytes of its files do not identify it).
        modalities: the modalities to read.
        folder: gets ``audio.npy`` and ``video.npy``.
        threads: utterances that are read at once; the result does not depend on it.
        report: called after each utterance with how many are done.

    Raises:
        ValueError: one line: two splits share a recording, or a transcript has a character that no text has.
    """
    found = Ingested([], [], {}, {}, {}, [], {}, {})
    first_with: dict[bytes, tuple[str, str]] = {}
    num_frames = 0
    with ExitStack() as stack:
        streams: dict[Modality, GrowingArray] = {}
        if "audio" in modalities:
            streams["audio"] = GrowingArray(folder and folder / FILES["audio"], "<i2")
        if "video" in modalities:
            streams["video"] = GrowingArray(folder and folder / FILES["video"], "u1", (video.SIZE, video.SIZE))
        for stream in streams.values():
            stack.enter_context(stream)
        outcomes = stack.enter_context(closing(_in_order(checked(utterances), corpus, modalities, threads)))
        for done, (utterance, outcome) in enumerate(outcomes, start=1):
            assert utterance.split in SPLITS, utterance
            read = outcome.recording
            found.lines.append(_line(utterance, outcome, modalities, corpus.rendered))
            if isinstance(read, Unusable):
                found.skipped.append(Skipped(utterance.id, utterance.split, read.reason, read.kind))
            else:
                contents = _contents(read)
                _refuse_shared(utterance, next(iter(contents.values())), first_with)
                for modality, content in contents.items():
                    streams[modality].append(content)
                place = read.frames, num_frames
                found.rows.append(Kept(utterance.id, utterance.split, utterance.speaker, *place, outcome.text))
                found.utterances[utterance.id] = utterance
                found.sources[utterance.id] = outcome.sources
                found.checksums[utterance.id] = outcome.checksums
                if own := (*read.notes, *notes_on(utterance.text)):
                    found.notes[utterance.id] = own
                num_frames += read.frames
            report(done)
    found.hashes.update({FILES[modality]: stream.hash for modality, stream in streams.items()})
    return found


def _contents(read: Recording) -> dict[Modality, np.ndarray]:
    """The prepared arrays of a recording, audio before video."""
    contents: dict[Modality, np.ndarray | None] = {"audio": read.samples, "video": read.pictures}
    return {modality: content for modality, content in contents.items() if content is not None}


def _line(utterance: Utterance, outcome: Outcome, modalities: tuple[Modality, ...], rendered: bool) -> str:
    """The utterance's part in the identity of the corpus."""
    read, files = outcome.recording, outcome.sources
    if rendered:
        frames = None if isinstance(read, Unusable) else read.frames
        return source_line(utterance, outcome.text, dict.fromkeys(modalities, frames))
    part = "" if utterance.span is None else " from {} to {}".format(*utterance.span)
    contents = {m: f"{files[m].sha256}{part}" if m in files else None for m in modalities}
    return source_line(utterance, outcome.text, contents)


def _in_order(
    utterances: Iterable[Utterance], corpus: Corpus, modalities: tuple[Modality, ...], threads: int
) -> Generator[tuple[Utterance, Outcome], None, None]:
    """Reads utterances in threads, a few ahead; they come in the corpus's order."""
    waiting: deque[tuple[Utterance, Future[Outcome]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for utterance in utterances:
                waiting.append((utterance, pool.submit(_read, utterance, corpus, modalities)))
                if len(waiting) > 2 * threads:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _read(utterance: Utterance, corpus: Corpus, modalities: tuple[Modality, ...]) -> Outcome:
    """The transcript; the recording, or the reason why the utterance cannot be used; and the identity of both."""
    text = normalise(utterance.text, corpus)
    read = _try(utterance, text, corpus, modalities)
    files = {} if corpus.rendered else sources(utterance, modalities)
    contents = {} if isinstance(read, Unusable) else _contents(read)
    return Outcome(text, read, files, {modality: checksum(content) for modality, content in contents.items()})


def _try(utterance: Utterance, text: str, corpus: Corpus, modalities: tuple[Modality, ...]) -> Recording | Unusable:
    """The recording, or the reason why the utterance cannot be used."""
    if not text:
        left = f": nothing is left of '{utterance.text.strip()}'" if utterance.text.strip() else ""
        return Unusable(f"the transcript is empty{left}", "transcript")
    try:
        # A rendered utterance may have any length.
        return recording.read(utterance, modalities, getattr(corpus, "min_duration", None))
    except ValueError as error:
        return Unusable(str(error), "recording")


def _refuse_shared(utterance: Utterance, content: np.ndarray, first_with: dict[bytes, tuple[str, str]]) -> None:
    """Checks that no audio (or, without audio, no video) occurs again in another split."""
    digest = hashlib.sha256(np.ascontiguousarray(content).data).digest()
    first, split = first_with.setdefault(digest, (utterance.id, utterance.split))
    if split != utterance.split:
        raise ValueError(
            f"'{utterance.id}' of split '{utterance.split}' is the same recording as '{first}' of split '{split}'; "
            "splits must not share a recording"
        )
