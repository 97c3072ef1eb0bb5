"""Recordings that are read in place each time: how they are found in the corpus's root, and how they are checked.

``sources.tsv`` of the prepared folder has, for each utterance, its id and split and, for its audio and video, the path
in the root, the size in bytes and the SHA-256. A replaced recording is noticed when it is read. Its size is checked
each time; its content is checked at the first reading, and again whenever its time of change differs.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from lrsms.base.files import file_hash
from lrsms.data import video
from lrsms.data.identity import Source
from lrsms.data.manifest import read_tsv, write_tsv
from lrsms.data.recordings.recording import (
    FULL_SCALE,
    cut_pictures,
    cut_samples,
    num_frames,
    padded_frames,
    read_samples,
)
from lrsms.data.stored import Place
from lrsms.data.utterance import Utterance
from lrsms.study.run import Modality

SOURCES = "sources.tsv"
_MODALITIES: tuple[Modality, ...] = ("audio", "video")
_COLUMNS = ("id", "split", *(f"{modality}{part}" for modality in _MODALITIES for part in ("", "_bytes", "_sha256")))


class InPlace:
    """The recordings of a corpus that is read in place; each is opened only when it is needed.

    Args:
        folder: the prepared corpus.
        root: the present folder of the corpus.
        name: the corpus's name, its key in ``roots``.
        is_seen: whether video is read too: sound then begins with the first picture.

    Raises:
        OSError, ValueError: ``sources.tsv`` is missing or incomplete.
    """

    in_place = True

    def __init__(self, folder: Path, root: Path, name: str, is_seen: bool) -> None:
        self._folder, self._root, self._name, self._is_seen = folder, root, name, is_seen
        self._rows = {row.cells["id"]: row.cells for row in read_tsv(folder / SOURCES, _COLUMNS)}
        self._seen: dict[Path, tuple[int, ...]] = {}
        """The file system's data on each file at the time when its content was checked."""

    def check(self, ids: set[str], num_frames: int) -> None:
        """Raises ``ValueError``, one line, unless all these utterances are listed."""
        if missing := ids - set(self._rows):
            raise ValueError(f"{self._folder / SOURCES}: has no line for '{min(missing)}'")

    def wave(self, place: Place) -> np.ndarray:
        """Samples ``(640 * frames,)`` at 16 kHz, float32 in [-1, 1).

        Raises:
            ValueError: one line: the recording is gone or is not the one that was prepared.
        """
        path = self._same(place, "audio")
        samples = read_samples(path, self._is_seen)
        _refuse_shorter(path, num_frames(samples), place)
        return cut_samples(samples, place.frames).astype(np.float32) / FULL_SCALE

    def video(self, place: Place) -> np.ndarray:
        """Pictures ``(frames, 96, 96)``, uint8; not to be written to.

        Raises:
            ValueError: one line: the recording is gone or is not the one that was prepared.
        """
        path = self._same(place, "video")
        pictures = video.read(path).frames
        _refuse_shorter(path, len(pictures), place)
        return cut_pictures(pictures, place.frames)

    def _same(self, place: Place, modality: Modality) -> Path:
        """The file of an utterance, which is as it was."""
        row = self._rows[place.id]
        path = self._root / row[modality]
        try:
            state = path.stat()
        except OSError as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise ValueError(
                f"{path}: {reason}, though corpus '{self._name}' was prepared from it; bring it back, or give the "
                f"folder that the corpus lies in now with --config roots='{{{self._name}: /path/to/folder}}'"
            ) from None
        size = int(row[f"{modality}_bytes"])
        if state.st_size != size:
            raise self._replaced(path, f"{state.st_size:,} bytes, {size:,} then")
        seen = state.st_size, state.st_mtime_ns, state.st_ino, state.st_dev
        if self._seen.get(path) != seen:
            if file_hash(path) != row[f"{modality}_sha256"]:
                raise self._replaced(path, "as many bytes, but others")
            self._seen[path] = seen
        return path

    def _replaced(self, path: Path, how: str) -> ValueError:
        return ValueError(
            f"{path}: is not the recording that corpus '{self._name}' was prepared from ({how}); put that one back, or "
            f"delete {self._folder} to prepare the corpus as it is now"
        )


def write_sources(
    folder: Path,
    rows: Iterable[Place],
    utterances: Mapping[str, Utterance],
    sources: Mapping[str, Mapping[Modality, Source]],
    root: Path,
) -> None:
    """Writes ``sources.tsv``.

    Args:
        folder: the prepared corpus.
        rows: its utterances.
        utterances: by id.
        sources: by id and modality, of what is read.
        root: where the corpus lies.
    """
    inside = f"{root}/"

    def cells(row: Place) -> Iterable[object]:
        yield from (row.id, row.split)
        for modality in _MODALITIES:
            source = sources[row.id].get(modality)
            path = str(getattr(utterances[row.id], modality)).removeprefix(inside)
            yield from (path, source.size, source.sha256) if source is not None else ("", "", "")

    write_tsv(folder / SOURCES, _COLUMNS, (list(cells(row)) for row in rows))


def _refuse_shorter(path: Path, frames: int, place: Place) -> None:
    """Checks the length: another version of a library may read the same bytes differently."""
    if padded_frames(frames) < place.frames:
        raise ValueError(
            f"{path}: has {frames} frames, but {place.frames} when it was prepared; prepare the corpus again"
        )
