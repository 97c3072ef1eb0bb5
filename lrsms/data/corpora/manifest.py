"""Any corpus that its user describes in ``manifest.tsv`` (id, split, audio, video, speaker, text; relative paths)."""

from collections.abc import Iterator
from pathlib import Path

from lrsms import config
from lrsms.data.manifest import SPLITS, Row, read_tsv, resolve_inside
from lrsms.data.utterance import Utterance

FILE = "manifest.tsv"
COLUMNS = ("id", "split", "audio", "video", "speaker", "text")


def utterances(corpus: config.Manifest, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Yields what the manifest in ``root`` lists, in its order; all of it is checked before the first is yielded.

    Empty ``audio`` and ``video`` cells become None. ``rendered`` is left alone: nothing is rendered here.

    Raises:
        ValueError: one line: the root is not given, missing or empty, the manifest is malformed, a path leaves the
            root, a split has no utterance, or two splits share a file.
    """
    folder = _check_root(corpus.name, root)
    rows = read_tsv(folder / FILE, COLUMNS)
    listed = [_utterance(folder, row) for row in rows]
    for split in SPLITS:
        if all(utterance.split != split for utterance in listed):
            raise ValueError(f"{folder / FILE}: no utterance of split '{split}'; {', '.join(SPLITS)} are all needed")
    _refuse_shared_files(rows, listed)
    return iter(listed)


def _check_root(name: str, root: Path | None) -> Path:
    remedy = f"give the folder that holds its {FILE} with --config roots='{{{name}: /path/to/folder}}'"
    if root is None:
        raise ValueError(f"roots.{name}: not set; {remedy}")
    if not root.is_dir():
        raise ValueError(f"roots.{name}: {root} is not a folder; {remedy}")
    if not (root / FILE).is_file():
        state = f"holds no {FILE}" if any(root.iterdir()) else "is empty"
        raise ValueError(f"roots.{name}: {root} {state}; {remedy}")
    return root.resolve()


def _utterance(folder: Path, row: Row) -> Utterance:
    audio, video = (
        resolve_inside(folder, row.cells[column], f"{row.where}: {column}") if row.cells[column] else None
        for column in ("audio", "video")
    )
    return Utterance(row.cells["id"], row.cells["split"], audio, video, row.cells["speaker"], row.cells["text"])


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
