"""Manifests of Lhotse (lhotse.readthedocs.io): ``recordings.jsonl.gz`` and ``supervisions.jsonl.gz`` in each folder.

A line of the first is a recording with its sources, one of the second says who says what in which part of it.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrsms.data.corpora.folder import corpus_folder, split_of, unique_id
from lrsms.data.manifest import SPLITS, resolve_inside
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Lhotse
from lrsms.study.frames import FRAMES_PER_SECOND

_MOST_CHARACTERS = 10_000_000
"""Of a line."""


def utterances(corpus: Lhotse, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Yields the supervisions, by folder, in their order; they are checked before the first is yielded.

    Raises:
        ValueError: one line: the root is not given or missing, a folder is in two splits, a manifest is missing or
            malformed, or a recording is unknown, no file in the root, of several channels, or changed when it is read.
    """
    listed: list[Utterance] = []
    taken: set[str] = set()
    for name, split in split_of(corpus.name, {split: getattr(corpus, split) for split in SPLITS}).items():
        base = corpus_folder(corpus.name, root, name)
        folder = resolve_inside(base, name, f"corpus '{corpus.name}'")
        recordings: dict[str, tuple[str, dict[str, Any]]] = {}
        for where, row in _rows(folder, "recordings", ("id", "sources")):
            if str(row["id"]) in recordings:
                raise ValueError(f"{where}: '{row['id']}' has a line already")
            recordings[str(row["id"])] = where, row
        for where, row in _rows(folder, "supervisions", ("id", "recording_id", "start", "duration", "text")):
            if str(row["recording_id"]) not in recordings:
                raise ValueError(f"{where}: is of recording '{row['recording_id']}', which recordings does not list")
            place, recording = recordings[str(row["recording_id"])]
            audio = _file(base, place, recording)
            span = _span(where, row, recording)
            speaker, text = row.get("speaker") or "", row["text"] or ""
            if not isinstance(speaker, str) or not isinstance(text, str):
                raise ValueError(f"{where}: 'speaker' and 'text' must be text")
            listed.append(Utterance(unique_id(str(row["id"]), taken), split, audio, None, speaker, text, span=span))
    return iter(listed)


def _rows(folder: Path, name: str, keys: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """Each line with where it stands, with these keys."""
    zipped, plain = folder / f"{name}.jsonl.gz", folder / f"{name}.jsonl"
    path = plain if plain.is_file() and not zipped.is_file() else zipped
    found = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path is zipped else open(path, encoding="utf-8") as file:
            number = 0
            while line := file.readline(_MOST_CHARACTERS):
                number += 1
                where = f"{path} line {number}"
                row = json.loads(line)
                if not isinstance(row, dict) or (missing := [key for key in keys if key not in row]):
                    lacks = f"'{missing[0]}' is missing" if isinstance(row, dict) else "is no object"
                    raise ValueError(f"{where}: {lacks}; write the manifest with Lhotse again")
                found.append((where, row))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or 'it is damaged'})") from None
    except (EOFError, zlib.error, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError(f"{path} line {len(found) + 1}: is torn; write the manifest with Lhotse again") from None
    if not found:
        raise ValueError(f"{path}: is empty")
    return found


def _file(base: Path, where: str, recording: dict[str, Any]) -> Path:
    try:
        (source,) = recording["sources"]
        kind, place, channels = source["type"], source["source"], len(source["channels"])
        if recording.get("transforms"):
            raise ValueError(f"{where}: is changed when it is read ('transforms'), which is not done here; save it so")
    except (TypeError, KeyError):
        raise ValueError(f"{where}: 'sources' must be one, with 'type', 'channels' and 'source'") from None
    except ValueError as error:
        if "transforms" in str(error):
            raise
        raise ValueError(f"{where}: has {len(recording['sources'])} sources; put them into one file") from None
    if kind != "file" or not isinstance(place, str):
        raise ValueError(f"{where}: its source is of type '{kind}'; save it as a file and name that")
    if channels > 1:
        raise ValueError(f"{where}: has {channels} channels, of which one is meant; save each as a file of its own")
    return resolve_inside(base, place, where)


def _span(where: str, row: dict[str, Any], recording: dict[str, Any]) -> tuple[float, float] | None:
    """The part of the recording in seconds; None: all of it, up to less than a frame."""
    try:
        begin, end = float(row["start"]), float(row["start"]) + float(row["duration"])
        whole = float(recording.get("duration", "inf"))
        if not 0 <= begin < end < float("inf"):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"{where}: 'start' and 'duration' must be seconds within the recording") from None
    is_all = begin == 0 and abs(whole - end) < 1 / FRAMES_PER_SECOND
    return None if is_all else (begin, round(end, 6))
