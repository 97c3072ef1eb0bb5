"""Prepares a corpus: reads and checks every utterance once, and leaves the folder that ``prepared.py`` describes.

It appears under its name only when it is complete. Every corpus takes this one path, whatever its kind.
"""

import errno
import hashlib
import json
import operator
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lrsms import config
from lrsms.data import corpora
from lrsms.data.audio import FRAMES_PER_SECOND, SAMPLES_PER_FRAME, read
from lrsms.data.manifest import SPLITS, write_tsv
from lrsms.data.prepared import AUDIO, COLUMNS, FULL_SCALE, MANIFEST, SUMMARY, content_hash
from lrsms.data.text import Characters, Tokenizer, Unigram, ctc_length, normalise, train_tokenizer
from lrsms.data.utterance import Utterance
from lrsms.files import file_hash

_RENDERED = "rendered"
_OURS = {MANIFEST, AUDIO, SUMMARY, Characters.FILE, Unigram.FILE, _RENDERED, ".snakemake_timestamp"}
_MIN_FRAMES = 5  # 0.2 s: no word is shorter
_LARGEST_SHARE_SKIPPED = 0.01
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Skipped:
    """An utterance that is left out."""

    id: str
    split: str
    reason: str


@dataclass(frozen=True)
class _Kept:
    """One line of the prepared manifest."""

    id: str
    split: str
    speaker: str
    frames: int
    offset: int
    text: str


def prepare(
    corpus: config.Corpus,
    tokenizer: config.Tokenizer,
    root: Path | None,
    folder: Path,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Prepares ``corpus`` into ``folder``, which it replaces if it was prepared before.

    Transcripts are normalised (lower case, NFC, single blanks). The tokenizer is trained on the train split. Skipped
    are utterances whose audio is missing, unreadable, empty, not finite or shorter than 0.2 s, or whose transcript is
    empty, has characters outside the tokenizer, or needs more frames for CTC than there are (25 per second).

    Args:
        corpus: its kind names the module of ``lrsms.data.corpora`` that yields the utterances.
        tokenizer: what to spell the transcripts with.
        root: where a real corpus lies; None for one that is rendered.
        folder: what to write; its parent is made where it is missing.
        report: called after each utterance with how many are done and how many there are.

    Raises:
        ValueError: one line: the corpus is not as its kind needs it, more than 1% would be skipped (the list of them is
            then in ``<folder>.skipped.tsv``), the disk is full, or ``folder`` holds something else.
    """
    _refuse_foreign(folder)
    partial = folder.with_name(f"{folder.name}.partial")
    refused = folder.with_name(f"{folder.name}.skipped.tsv")
    refused.unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        _write(corpus, tokenizer, root, partial, refused, report)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise ValueError(
                f"{folder}: the disk is full; free some space and run again, nothing half-done is kept"
            ) from None
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def source_hash(root: Path | None) -> str | None:
    """What tells that a real corpus was changed: the hash of the manifest in its root, if it has one."""
    path = root / "manifest.tsv" if root is not None else None
    return file_hash(path) if path is not None and path.is_file() else None


def _refuse_foreign(folder: Path) -> None:
    """A folder is only replaced if nothing but prepared files are in it."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; a folder is to be prepared there")
    foreign = {path.name for path in folder.iterdir()} - _OURS if folder.exists() else set()
    if foreign:
        raise ValueError(
            f"{folder}: holds '{min(foreign)}', which is no prepared corpus's; move it or name another folder"
        )


def _write(
    corpus: config.Corpus,
    settings: config.Tokenizer,
    root: Path | None,
    folder: Path,
    refused: Path,
    report: Callable[[int, int], None],
) -> None:
    utterances = corpora.utterances(corpus, root, folder / _RENDERED)
    # A list knows its length; a rendered corpus promises it in its config.
    total = operator.length_hint(utterances) or sum(getattr(corpus, split, 0) for split in SPLITS)
    rows, skipped = _write_audio(utterances, folder / AUDIO, lambda done: report(done, max(done, total)))
    num_utterances = len(rows) + len(skipped)
    _refuse_many(skipped, num_utterances, refused)  # before the tokenizer, which would fail less clearly
    tokenizer = train_tokenizer(settings, [row.text for row in rows if row.split == "train"])
    problems = {row.id: _spelling_problem(row, tokenizer) for row in rows}
    skipped += [Skipped(row.id, row.split, problem) for row in rows if (problem := problems[row.id])]
    _refuse_many(skipped, num_utterances, refused)
    rows = [row for row in rows if not problems[row.id]]
    for split in SPLITS:
        if all(row.split != split for row in rows):
            raise ValueError(f"corpus '{corpus.name}': no usable utterance is left in split '{split}'")
    write_tsv(folder / MANIFEST, COLUMNS, (list(asdict(row).values()) for row in rows))
    tokenizer.save(folder)
    files = {name: file_hash(folder / name) for name in (MANIFEST, AUDIO, tokenizer.FILE)}
    summary = {
        "corpus": corpus.model_dump(mode="json", exclude_none=True),
        "tokenizer": settings.model_dump(mode="json", exclude_none=True),
        "source": source_hash(root),
        "hash": content_hash(files),
        "files": files,
        "vocabulary": tokenizer.size,
        "splits": {split: _counts([row for row in rows if row.split == split]) for split in SPLITS},
        "skipped": [asdict(one) for one in skipped],
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_audio(
    utterances: Iterable[Utterance], path: Path, report: Callable[[int], None]
) -> tuple[list[_Kept], list[Skipped]]:
    """Streams the audio of what can be read to ``path``: no corpus has to fit in memory.

    An utterance that is skipped later, for its spelling, leaves its samples behind unused.
    """
    rows: list[_Kept] = []
    skipped: list[Skipped] = []
    first_with: dict[bytes, Utterance] = {}
    num_samples = 0
    with path.open("wb") as file:
        _write_header(file, 0)
        start = file.tell()
        for done, utterance in enumerate(utterances, start=1):
            assert utterance.split in SPLITS, utterance
            try:
                samples, text = _check(utterance)
            except ValueError as error:
                skipped.append(Skipped(utterance.id, utterance.split, str(error)))
            else:
                first = first_with.setdefault(hashlib.sha256(samples.tobytes()).digest(), utterance)
                if first.split != utterance.split:
                    raise ValueError(
                        f"'{utterance.id}' of split '{utterance.split}' is the same recording as '{first.id}' of split "
                        f"'{first.split}'; splits must not share a recording"
                    )
                file.write(samples.tobytes())
                frames = len(samples) // SAMPLES_PER_FRAME
                rows.append(_Kept(utterance.id, utterance.split, utterance.speaker, frames, num_samples, text))
                num_samples += len(samples)
            report(done)
        file.seek(0)
        _write_header(file, num_samples)
        assert file.tell() == start, "the header of the audio grew into its samples"
    return rows, skipped


def _write_header(file: BinaryIO, num_samples: int) -> None:
    """NumPy leaves room in the header for the length of the first axis to grow, so that it can be written over."""
    header = {"descr": "<i2", "fortran_order": False, "shape": (num_samples,)}
    np.lib.format.write_array_header_1_0(file, header)


def _check(utterance: Utterance) -> tuple[np.ndarray, str]:
    """Whole frames of little-endian int16 samples, and the normalised transcript.

    Raises:
        ValueError: the utterance cannot be used.
    """
    text = normalise(utterance.text)
    if not text:
        raise ValueError("the transcript is empty")
    if utterance.audio is None:
        raise ValueError("no audio is given")
    wave = read(utterance.audio)
    if len(wave) < _MIN_FRAMES * SAMPLES_PER_FRAME:
        seconds = _MIN_FRAMES / FRAMES_PER_SECOND
        raise ValueError(
            f"{utterance.audio}: too short ({len(wave)} samples at 16 kHz; at least {seconds:g} s is needed)"
        )
    # A wave beyond full scale is scaled into it rather than clipped; features do not depend on level.
    scaled = wave / max(1.0, float(np.abs(wave).max()))
    samples = np.rint(scaled * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2")
    return np.pad(samples, (0, -len(samples) % SAMPLES_PER_FRAME)), text


def _spelling_problem(row: _Kept, tokenizer: Tokenizer) -> str | None:
    try:
        needed = ctc_length(tokenizer.encode(row.text))
    except ValueError as error:
        return str(error)
    if needed > row.frames:
        return (
            f"the transcript needs {needed} frames for CTC, the audio has {row.frames} ({FRAMES_PER_SECOND} per second)"
        )
    return None


def _refuse_many(skipped: list[Skipped], num_utterances: int, refused: Path) -> None:
    if len(skipped) <= _LARGEST_SHARE_SKIPPED * num_utterances:
        return
    rows = ((one.id, one.split, " ".join(one.reason.split())) for one in skipped)
    write_tsv(refused, ("id", "split", "reason"), rows)
    raise ValueError(
        f"{len(skipped)} of {num_utterances} utterances cannot be used, more than {_LARGEST_SHARE_SKIPPED:.0%}; "
        f"'{skipped[0].id}': {skipped[0].reason}; all are listed in {refused}"
    )


def _counts(rows: list[_Kept]) -> dict[str, Any]:
    return {
        "utterances": len(rows),
        "speakers": len({row.speaker for row in rows} - {""}),
        "words": sum(len(row.text.split()) for row in rows),
        "hours": round(sum(row.frames for row in rows) / FRAMES_PER_SECOND / 3600, 6),
    }
