"""Prepares the test split of a corpus apart, for conditions that test runs of other corpora on it.

The folder has no tokenizer and no babble: those of the runs are taken, so that runs with any tokenizer share it.
``recordings.tsv`` has, for each utterance, the CRC-32 of its prepared audio and video and the SHA-256 of its files, by
which ``apart.py`` finds a recording that was trained on, however that corpus is prepared.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lrsms.base.files import file_hash
from lrsms.data import corpora
from lrsms.data.identity import content_hash, source_hash
from lrsms.data.ingest import Ingested, ingest
from lrsms.data.inplace import SOURCES, write_sources
from lrsms.data.manifest import write_tsv
from lrsms.data.prepare import RENDERED, by_note, counts, listing, new_folder
from lrsms.data.prepared import COLUMNS, MANIFEST, RECORDINGS, SUMMARY
from lrsms.data.skipping import findings, left_out, refuse_many
from lrsms.data.stored import CHECKSUMS, write_checksums
from lrsms.data.transcripts import notes as transcript_notes
from lrsms.data.transcripts import refuse_without_blanks
from lrsms.record import leftout
from lrsms.study.corpus import Corpus
from lrsms.study.run import PREPARED_LAYOUT, Modality

RECORDING_COLUMNS = ("id", "split", "audio", "video", "audio_sha256", "video_sha256")
_MODALITIES: tuple[Modality, ...] = ("audio", "video")


def prepare_tests(
    corpus: Corpus,
    modalities: tuple[Modality, ...],
    root: Path | None,
    folder: Path,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Prepares the test split of ``corpus`` into ``folder``, as ``prepare`` prepares a whole corpus; see there.

    Returns:
        Lines that say what was skipped, and what was used but is unusual.

    Raises:
        ValueError: one line, as ``prepare``; or the corpus has no usable test utterance.
    """
    with new_folder(folder) as (partial, refused):
        listed = listing(corpus, root, tests=True)
        utterances = corpora.tests(corpus, root, partial / RENDERED)
        total = getattr(corpus, "test", 0) if corpus.rendered else 0
        streams = None if corpus.in_place else partial
        read = ingest(utterances, corpus, modalities, streams, threads, lambda done: report(done, max(done, total)))
        totals = Counter({"test": len(read.rows) + len(read.skipped)})
        refuse_many(read.skipped, totals, corpus, root, refused)
        if not read.rows:
            raise ValueError(f"corpus '{corpus.name}': no usable utterance is in its split 'test'")
        refuse_without_blanks([row.text for row in read.rows], corpus)
        return _complete(corpus, modalities, root, partial, read, listed)


def _complete(
    corpus: Corpus,
    modalities: tuple[Modality, ...],
    root: Path | None,
    folder: Path,
    read: Ingested,
    listed: str | None,
) -> list[str]:
    """Adds the other files to the streams; returns what the user should know."""
    write_tsv(folder / MANIFEST, COLUMNS, (list(asdict(row).values()) for row in read.rows))
    lies = root.resolve() if root is not None and corpus.in_place else None
    if lies is not None:
        write_sources(folder, read.rows, read.utterances, read.sources, lies)
    else:
        write_checksums(folder, read.rows, read.checksums)
    write_tsv(folder / RECORDINGS, RECORDING_COLUMNS, (_recording(read, row.id) for row in read.rows))
    files = {MANIFEST: file_hash(folder / MANIFEST)}
    notes = by_note(read.notes) + transcript_notes({row.id: row.text for row in read.rows}, corpus)
    summary = {
        "corpus": corpus.model_dump(mode="json", exclude_none=True),
        "modalities": list(modalities),
        "layout": PREPARED_LAYOUT,
        "listing": listed,
        "source": source_hash(read.lines),
        "root": None if lies is None else str(lies),
        "hash": content_hash(files | read.hashes),
        "files": files,
        "streams": read.hashes,
        "local": {name: file_hash(folder / name) for name in (SOURCES if lies is not None else CHECKSUMS, RECORDINGS)},
        "tokenizer_hash": None,
        "splits": {"test": counts(read.rows)},
        "skipped": [asdict(one) for one in read.skipped],
        "left_out": left_out(read.skipped, {"test": len(read.rows)}),
        "notes": notes,
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return [
        *findings(read.skipped, SUMMARY),
        *([f"left out: {leftout.describe(left)}"] if (left := summary["left_out"]) else []),
        *(f"{note['note']}: {note['utterances']} utterances, first '{note['first']}'" for note in notes),
    ]


def _recording(read: Ingested, name: str) -> list[str]:
    checksums, sources = read.checksums[name], read.sources[name]
    hashes = [sources[modality].sha256 if modality in sources else "" for modality in _MODALITIES]
    return [name, "test", *(checksums.get(modality, "") for modality in _MODALITIES), *hashes]
