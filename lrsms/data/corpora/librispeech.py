"""LibriSpeech (Panayotov et al. 2015) in its own folders.

``<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac``, and ``<speaker>-<chapter>.trans.txt`` beside them
with a line ``<speaker>-<chapter>-<number> WORDS`` for each.
"""

from collections.abc import Iterator
from pathlib import Path

from lrsms.data.corpora.folder import corpus_folder, list_files, read_lines, split_of, unique_id
from lrsms.data.manifest import SPLITS
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import LibriSpeech


def utterances(corpus: LibriSpeech, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Yields what the transcripts list, by subset, speaker and chapter; they are checked before the first is yielded.

    A recording that a transcript lists and that is not there is left to whoever reads it. ``rendered`` is left alone.

    Raises:
        ValueError: one line: the root is not given or missing, a subset is missing, empty or in two splits, a
            transcript is missing or malformed, or a recording has no transcript.
    """
    listed: list[Utterance] = []
    taken: set[str] = set()
    for subset, split in split_of(corpus.name, {split: getattr(corpus, split) for split in SPLITS}).items():
        folder = corpus_folder(corpus.name, root, subset) / subset
        chapters = [chapter for speaker in _folders(folder) for chapter in _folders(speaker)]
        if not chapters:
            raise ValueError(f"{folder}: has no folders <speaker>/<chapter>; unpack {subset}.tar.gz again")
        for chapter in chapters:
            listed += [
                Utterance(
                    id=unique_id(name, taken),
                    split=split,
                    audio=chapter / f"{name}.flac",
                    video=None,
                    speaker=chapter.parent.name,
                    text=text,
                )
                for name, text in _transcripts(chapter).items()
            ]
    return iter(listed)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _transcripts(chapter: Path) -> dict[str, str]:
    """The text of each recording of a chapter, by its name."""
    prefix = f"{chapter.parent.name}-{chapter.name}"
    path = chapter / f"{prefix}.trans.txt"
    texts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        name, _, text = line.partition(" ")
        if not name.startswith(f"{prefix}-"):
            raise ValueError(f"{path} line {number}: '{name}' is not a recording of this chapter, '{prefix}-...'")
        if name in texts:
            raise ValueError(f"{path} line {number}: '{name}' has a transcript already")
        texts[name] = text
    for recording in list_files(chapter, ".flac"):
        if recording.stem not in texts:
            raise ValueError(f"{path}: has no transcript of {recording.name}")
    return texts
