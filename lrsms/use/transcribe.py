"""Transcribes audio and video files with a trained run: files are cut, decoded in batches, and timed by CTC."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrsms.base.kernels import arithmetic
from lrsms.data.batch import Batch, in_batches, network_inputs
from lrsms.data.recordings.recording import FULL_SCALE
from lrsms.data.spelling import in_case, normalise
from lrsms.decoding.beam import search
from lrsms.decoding.ctc_search import greedy
from lrsms.decoding.passes import BATCH_FRAMES
from lrsms.study.decoding import Decoder
from lrsms.study.frames import CROP, FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from lrsms.use.alignment import align
from lrsms.use.pieces import Piece, Recorded
from lrsms.use.trained import Trained
from lrsms.use.transcript import Segment, Token, Transcript

_READ_AHEAD = 16 * BATCH_FRAMES
"""Frames that are read before any is decoded: files share batches, and hours of video do not fill the memory."""


@dataclass(frozen=True)
class _Found:
    """The tokens of a piece, and the CTC log-probabilities ``(T, V)`` of its frames."""

    tokens: tuple[int, ...]
    log_probs: np.ndarray


def transcribe(
    trained: Trained, files: Iterator[Recorded], decoder: Decoder, device: torch.device, report: Callable[[int], None]
) -> Iterator[tuple[Recorded, Transcript]]:
    """Transcribes files, in their order.

    A file that is one utterance of a corpus is decoded as ``decode`` does: in float32, without TF32.

    Args:
        trained: the run.
        files: as ``pieces.read`` makes them; they are read a few at a time.
        decoder: with one length bonus.
        device: where the network is.
        report: called with the number of frames that were decoded, as it grows.
    """
    done = 0

    def count(frames: int) -> None:
        nonlocal done
        done += frames
        report(done)

    for part in _parts(files):
        pieces = [piece for file in part for piece in file.pieces if not piece.is_silent]
        found: dict[int, _Found] = {}
        for batch in in_batches(pieces, BATCH_FRAMES):
            with arithmetic("float32"):
                found |= zip(map(id, batch), _decode(trained, batch, decoder, device), strict=True)
            count(sum(piece.frames for piece in batch))
        for file in part:
            yield file, _transcript(trained, file, found)


def _parts(files: Iterator[Recorded]) -> Iterator[list[Recorded]]:
    part: list[Recorded] = []
    for file in files:
        part.append(file)
        if sum(one.frames for one in part) >= _READ_AHEAD:
            yield part
            part = []
    if part:
        yield part


@torch.no_grad()
def _decode(trained: Trained, pieces: Sequence[Piece], decoder: Decoder, device: torch.device) -> list[_Found]:
    model = trained.model
    batch = _batch(pieces).for_device(device)
    lengths = batch.lengths.to(device)
    memory, _ = model.encode(*network_inputs(batch, trained.run.model, device), lengths)
    log_probs = model.ctc_log_probs(memory)
    if decoder.kind == "greedy":
        tokens = greedy(log_probs, lengths)
    else:
        tokens = [one.tokens for one in search(log_probs, lengths, model.decoder, memory, decoder)]
    rows = log_probs.cpu().numpy()
    return [_Found(*one) for one in zip(tokens, _cut(rows, pieces), strict=True)]


def _cut(rows: np.ndarray, pieces: Sequence[Piece]) -> list[np.ndarray]:
    return [row[: piece.frames] for row, piece in zip(rows, pieces, strict=True)]


def _batch(pieces: Sequence[Piece]) -> Batch:
    """A batch like those of ``batch.collate``, without augmentation; mouths are cropped in the middle."""
    longest = max(piece.frames for piece in pieces)
    waves: Tensor | None = None
    video: Tensor | None = None
    if pieces[0].samples is not None:
        heard = np.zeros((len(pieces), SAMPLES_PER_FRAME * longest), np.float32)
        for row, piece in zip(heard, pieces, strict=True):
            assert piece.samples is not None
            row[: len(piece.samples)] = piece.samples.astype(np.float32) / FULL_SCALE
        waves = torch.from_numpy(heard)
    if pieces[0].pictures is not None:
        seen = np.zeros((len(pieces), longest, CROP, CROP), np.uint8)
        for shown, piece in zip(seen, pieces, strict=True):
            assert piece.pictures is not None
            margin = (piece.pictures.shape[1] - CROP) // 2
            shown[: piece.frames] = piece.pictures[:, margin : margin + CROP, margin : margin + CROP]
        video = torch.from_numpy(seen)
    nothing = torch.zeros((len(pieces), 0), dtype=torch.int64)
    lengths = torch.tensor([piece.frames for piece in pieces])
    return Batch((), waves, video, lengths, nothing, torch.zeros_like(lengths))


def _transcript(trained: Trained, file: Recorded, found: dict[int, _Found]) -> Transcript:
    segments = []
    for piece in file.pieces:
        begin = piece.begin / FRAMES_PER_SECOND
        end = min(file.frames, piece.begin + piece.frames) / FRAMES_PER_SECOND
        one = found.get(id(piece))
        if one is None:
            segments.append(Segment(begin, end, "", ()))
            continue
        text = normalise(trained.tokenizer.decode(one.tokens), trained.run.corpus)
        segments.append(Segment(begin, end, text, _timed(trained, one, piece.begin)))
    blanks = trained.run.corpus.unit != "characters"
    return Transcript(str(file.path), file.frames / FRAMES_PER_SECOND, tuple(segments), blanks)


def _timed(trained: Trained, found: _Found, begin: int) -> tuple[Token, ...]:
    spans = align(found.log_probs, found.tokens)
    timed: list[Token] = []
    before = ""
    for index in range(len(found.tokens)):
        spelt = in_case(trained.tokenizer.decode(found.tokens[: index + 1]), trained.run.corpus)
        text, before = spelt[len(before) :], spelt
        if spans is None:
            timed.append(Token(text, None, None, None))
            continue
        span = spans[index]
        first, last = (begin + span.begin) / FRAMES_PER_SECOND, (begin + span.end) / FRAMES_PER_SECOND
        timed.append(Token(text, first, last, round(math.exp(span.log_prob), 4)))
    return tuple(timed)
