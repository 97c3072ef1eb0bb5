"""Any corpus that its user describes in ``manifest.tsv`` (id, split, audio, video, speaker, text; relative paths)."""

from collections.abc import Iterator
from pathlib import Path

from lrsms.data.corpora.folder import corpus_folder
from lrsms.data.manifest import SPLITS, Row, read_tsv, resolve_inside
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Manifest

FILE = "manifest.tsv"
COLUMNS = ("id", "split", "audio", "video", "speaker", "text")


def utterances(corpus: Manifest, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Yields what the manifest in ``root`` lists, in its order; all of it is checked before the first is yielded.

    Empty ``audio`` and ``video`` cells become None; the ``audio`` may be the track of the same file as the ``video``.
    ``rendered`` is left alone: nothing is rendered here.

    Raises:
        ValueError: one line: the root is not given, missing or empty, the manifest is malformed, a path leaves the
            root, a split has no utterance, or two splits share a file.
    """
    folder = corpus_folder(corpus.name, root, FILE)
    rows = read_tsv(folder / FILE, COLUMNS, spreadsheet=True)
    listed = [_utterance(folder, row, corpus.box) for row in rows]
    needed = SPLITS if corpus.only is None else (corpus.only,)
    for split in needed:
        if all(utterance.split != split for utterance in listed):
            all_ = (
                f"{', '.join(needed)} are all needed" if needed[1:] else f"'only' of corpus '{corpus.name}' is {split}"
            )
            raise ValueError(f"{folder / FILE}: no utterance of split '{split}'; {all_}")
    _refuse_shared_files(rows, listed)
    return iter(listed)


def _utterance(folder: Path, row: Row, box: tuple[int, int, int, int] | None) -> Utterance:
    audio, video = (
        resolve_inside(folder, row.cells[column], f"{row.where}: {column}") if row.cells[column] else None
        for column in ("audio", "video")
    )
    return Utterance(
        id=row.cells["id"],
        split=row.cells["split"],
        audio=audio,
        video=video,
        speaker=row.cells["speaker"],
        text=row.cells["text"],
        box=box if video is not None else None,
    )


def _refuse_shared_files(rows: list[Row], listed: list[Utterance]) -> None:
    """Validation is never the test set, and neither is trained on."""
    seen: dict[Path, tuple[Row, str]] = {}
    for row, utterance in zip(rows, listed, strict=True):
        for path in (utterance.audio, utterance.video):
            if path is None:
                continue
            first, split = seen.setdefault(path, (row, utterance.split))
            if split != utterance.split:
                raise ValueError(
                    f"{row.where}: {path.name} of split '{utterance.split}' is also '{first.cells['id']}' of split "
                    f"'{split}'; splits must not share a recording"
                )
