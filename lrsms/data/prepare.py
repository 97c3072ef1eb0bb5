"""Prepares a corpus: reads and checks every utterance once, and writes the folder that ``prepared.py`` describes.

The folder gets its name only when it is complete. Corpora of all kinds are prepared in this one way.
"""

import errno
import json
import operator
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lrsms.base.files import file_hash
from lrsms.data import corpora
from lrsms.data.identity import content_hash, listing_hash, source_hash, tokenizer_hash
from lrsms.data.ingest import Ingested, Kept, ingest
from lrsms.data.inplace import SOURCES, write_sources
from lrsms.data.manifest import SPLITS, write_tsv
from lrsms.data.noise import make_babble, read_babble
from lrsms.data.prepared import BABBLE, COLUMNS, MANIFEST, RECORDINGS, SUMMARY, open_streams
from lrsms.data.skipping import Skipped, findings, left_out, refuse_many, scored_as_they_are, spelling_problem
from lrsms.data.stored import AUDIO, CHECKSUMS, VIDEO, write_checksums
from lrsms.data.text import FILES, given_tokenizer, train_tokenizer
from lrsms.data.text import Tokenizer as Units
from lrsms.data.transcripts import notes as transcript_notes
from lrsms.data.transcripts import refuse_other_spelling, refuse_without_blanks
from lrsms.record import leftout
from lrsms.record.start import STARTS
from lrsms.study.corpus import Corpus
from lrsms.study.frames import FRAMES_PER_SECOND
from lrsms.study.run import PREPARED_LAYOUT, Modality, Tokenizer

RENDERED = "rendered"
_OURS = {
    *(MANIFEST, AUDIO, VIDEO, CHECKSUMS, SOURCES, RECORDINGS, BABBLE, SUMMARY, *FILES),
    *(RENDERED, ".snakemake_timestamp"),
}
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


def prepare(
    corpus: Corpus,
    tokenizer: Tokenizer,
    modalities: tuple[Modality, ...],
    root: Path | None,
    folder: Path,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
    babble: Path | None = None,
    starts: Path = STARTS,
) -> list[str]:
    """Prepares ``corpus`` into ``folder``, which it replaces if it was prepared before.

    Transcripts are normalised (see ``spelling.py``). The tokenizer is trained on the train split, or is a given one. An
    utterance is skipped if a modality is missing, unreadable, damaged, silent, not finite, unfit for the corpus or
    shorter than the corpus's ``min_duration``; if its audio and video differ by more than two frames or in their frame
    rate; or if its transcript is empty. An utterance of train or valid is also skipped if its transcript has characters
    outside the tokenizer, or needs more frames for CTC than there are (25 per second). Such a test utterance is scored
    as it is.

    Args:
        corpus: its kind names the module of ``lrsms.data.corpora`` that yields the utterances.
        tokenizer: the units of the transcripts.
        modalities: the modalities to read; nothing else is opened.
        root: the folder of a recorded corpus; None for a rendered one.
        folder: the folder to write; its parent is made if it is missing.
        threads: utterances that are rendered and read at once; the result does not depend on it.
        report: called after each utterance with how many are done and how many there are.
        babble: a recording of babble or a folder of some; None: it is mixed from voices of the train split.
        starts: folders of imported weights, beside which a given tokenizer lies.

    Returns:
        Lines that say what was skipped, and what was used but is unusual; ``corpus.json`` has all of it.

    Raises:
        ValueError: one line: the corpus is not as its kind needs it, a transcript holds what no text does, they have no
            blanks between words, more would be skipped than the corpus allows (the list of them is then in
            ``<folder>.skipped.tsv``), ``babble`` cannot be read, the disk is full, or ``folder`` holds something else.
    """
    given = given_tokenizer(tokenizer, starts)
    with new_folder(folder) as (partial, refused):
        listed = listing(corpus, root)  # before anything is read: what is changed meanwhile is then found
        utterances = corpora.utterances(corpus, root, partial / RENDERED)
        # A list knows its length; a rendered corpus promises it in its config.
        total = operator.length_hint(utterances) or sum(getattr(corpus, split, 0) for split in SPLITS)
        streams = None if corpus.in_place else partial
        read = ingest(utterances, corpus, modalities, streams, threads, lambda done: report(done, max(done, total)))
        return _complete(corpus, tokenizer, modalities, root, partial, refused, read, babble, listed, given)


@contextmanager
def new_folder(folder: Path) -> Iterator[tuple[Path, Path]]:
    """A folder to write a prepared corpus into, which gets its name at the end, and where to list what is refused.

    Raises:
        ValueError: one line: ``folder`` holds something else, or the disk is full.
    """
    _refuse_foreign(folder)
    partial = folder.with_name(f"{folder.name}.partial")
    refused = folder.with_name(f"{folder.name}.skipped.tsv")
    refused.unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial, refused
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise ValueError(
                f"{folder}: the disk is full; free some space and run again; no incomplete folder is kept"
            ) from None
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def listing(corpus: Corpus, root: Path | None, tests: bool = False) -> str | None:
    """A hash that shows whether the lists of a recorded corpus were changed; None for a rendered one.

    Args:
        corpus: the corpus.
        root: where it lies.
        tests: whether only its test split is meant.

    Raises:
        ValueError: one line: the corpus is not as its kind needs it.
    """
    if root is None or corpus.rendered:
        return None
    utterances = corpora.tests if tests else corpora.utterances
    return listing_hash(utterances(corpus, root, Path()), root)


def _refuse_foreign(folder: Path) -> None:
    """A folder is only replaced if nothing but prepared files are in it."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; move it, because a folder is written there")
    foreign = {path.name for path in folder.iterdir()} - _OURS if folder.exists() else set()
    if foreign:
        raise ValueError(
            f"{folder}: holds '{min(foreign)}', which is not part of a prepared corpus; move it or name another folder"
        )


def _complete(
    corpus: Corpus,
    settings: Tokenizer,
    modalities: tuple[Modality, ...],
    root: Path | None,
    folder: Path,
    refused: Path,
    read: Ingested,
    babble: Path | None,
    listed: str | None,
    given: Units | None,
) -> list[str]:
    """Adds the other files of a prepared corpus to the streams; returns what its user should know."""
    totals = Counter([row.split for row in read.rows]) + Counter([one.split for one in read.skipped])
    refuse_many(read.skipped, totals, corpus, root, refused)  # before the tokenizer, whose error would be less clear
    refuse_without_blanks([row.text for row in read.rows], corpus)
    tokenizer = given or train_tokenizer(settings, [row.text for row in read.rows if row.split == "train"])
    found = ((row, spelling_problem(row.text, row.frames, tokenizer)) for row in read.rows)
    problems = {row.id: (row.split, problem) for row, problem in found if problem is not None}
    untrainable = [Skipped(name, split, *why) for name, (split, why) in problems.items() if split != "test"]
    skipped = [*read.skipped, *untrainable]
    refuse_many(skipped, totals, corpus, root, refused)
    gone = {one.id for one in untrainable}
    rows = [row for row in read.rows if row.id not in gone]
    if given is not None:
        refuse_other_spelling([row.text for row in rows if row.split != "test"], given, corpus)
    for split in SPLITS:
        if all(row.split != split for row in rows):
            raise ValueError(f"corpus '{corpus.name}': no usable utterance is left in split '{split}'")
    write_tsv(folder / MANIFEST, COLUMNS, (list(asdict(row).values()) for row in rows))
    lies = root.resolve() if root is not None and corpus.in_place else None
    if lies is not None:
        write_sources(folder, rows, read.utterances, read.sources, lies)
    else:
        write_checksums(folder, rows, read.checksums)
    tokenizer.save(folder)
    files = {name: file_hash(folder / name) for name in (MANIFEST, tokenizer.FILE)}
    streams, heard = read.hashes, None
    if "audio" in modalities:
        wave = open_streams(folder, modalities, lies, corpus.name).wave
        heard = _write_babble(folder, rows, wave, babble)
        streams = streams | {BABBLE: file_hash(folder / BABBLE)}
    notes = by_note({row.id: read.notes[row.id] for row in rows if row.id in read.notes})
    notes += scored_as_they_are({name: why for name, (split, why) in problems.items() if split == "test"})
    notes += transcript_notes({row.id: row.text for row in rows}, corpus)
    splits = {split: counts([row for row in rows if row.split == split]) for split in SPLITS}
    summary = {
        "corpus": corpus.model_dump(mode="json", exclude_none=True),
        "tokenizer": settings.model_dump(mode="json", exclude_none=True),
        "modalities": list(modalities),
        "layout": PREPARED_LAYOUT,
        "listing": listed,
        "source": source_hash(read.lines),
        "root": None if lies is None else str(lies),
        "hash": content_hash(files | streams),
        "files": files,
        "streams": streams,
        "local": {name: file_hash(folder / name) for name in (SOURCES if lies is not None else CHECKSUMS,)},
        "tokenizer_hash": tokenizer_hash(tokenizer, [row.text for row in rows if row.split == "train"]),
        "vocabulary": tokenizer.size,
        "splits": splits,
        "skipped": [asdict(one) for one in skipped],
        "left_out": left_out(skipped, {split: count["utterances"] for split, count in splits.items()}),
        "notes": notes,
        "babble": heard,
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return [
        *findings(skipped, SUMMARY),
        *([f"left out: {leftout.describe(left)}"] if (left := summary["left_out"]) else []),
        *(f"{note['note']}: {note['utterances']} utterances, first '{note['first']}'" for note in notes),
        *_own_voices(heard),
    ]


def _write_babble(
    folder: Path, rows: Sequence[Kept], wave: Callable[[Kept], np.ndarray], path: Path | None
) -> tuple[tuple[str, ...], ...]:
    """Writes the tracks of babble; returns the speakers of each."""
    made = read_babble(path) if path is not None else make_babble([row for row in rows if row.split == "train"], wave)
    np.save(folder / BABBLE, made.tracks)
    return made.speakers


def _own_voices(heard: Sequence[tuple[str, ...]] | None) -> list[str]:
    """Adds a note if an utterance may be mixed with its own voice."""
    voices = {speaker for track in heard or () for speaker in track}
    if len(voices) != 1:
        return []
    (speaker,) = voices
    who = f"'{speaker}' is the only speaker" if speaker else "the speakers are unknown"
    return [f"babble may contain an utterance's own voice, as {who} of the train split; 'babble' may name a recording"]


def by_note(notes: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    """Each note once, with the number of its utterances and the first of them."""
    found: dict[str, list[str]] = {}
    for name, own in notes.items():
        for note in own:
            found.setdefault(note, []).append(name)
    return [{"note": note, "utterances": len(names), "first": names[0]} for note, names in found.items()]


def counts(rows: Sequence[Kept]) -> dict[str, Any]:
    """How much there is in these rows of a manifest."""
    return {
        "utterances": len(rows),
        "speakers": len({row.speaker for row in rows} - {""}),
        "words": sum(len(row.text.split()) for row in rows),
        "hours": round(sum(row.frames for row in rows) / FRAMES_PER_SECOND / 3600, 6),
    }
