"""Data folders of Kaldi (kaldi-asr.org/doc/data_prep.html): a line for each utterance, its name first, in each list.

``wav.scp`` says where recordings lie, ``text`` what is said, ``utt2spk`` who says it. ``segments``, where it is there,
has utterance, recording, begin and end in seconds; otherwise each recording is an utterance. Paths are those of the
recipe, whose folder is the corpus's root.
"""

from collections.abc import Iterator
from pathlib import Path

from lrsms.data.corpora.folder import corpus_folder, read_lines, split_of, unique_id
from lrsms.data.manifest import SPLITS, resolve_inside
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Kaldi

_Part = tuple[str, tuple[float, float] | None]
"""A recording, and the seconds that are meant of it; None: all."""


def utterances(corpus: Kaldi, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Yields what the lists name, by folder, in the order of ``segments`` or ``wav.scp``; all is checked before.

    Raises:
        ValueError: one line: the root is not given or missing, a folder is in two splits, a list is missing or
            malformed, lacks an utterance or a recording, or names a command or a path outside of the root.
    """
    listed: list[Utterance] = []
    taken: set[str] = set()
    for name, split in split_of(corpus.name, {split: getattr(corpus, split) for split in SPLITS}).items():
        base = corpus_folder(corpus.name, root, name)
        folder = resolve_inside(base, name, f"corpus '{corpus.name}'")
        recordings = _recordings(base, folder / "wav.scp")
        texts, speakers = _table(folder / "text"), _table(folder / "utt2spk")
        for utterance, (recording, span) in _parts(folder, recordings).items():
            for path, table in ((folder / "text", texts), (folder / "utt2spk", speakers)):
                if utterance not in table:
                    raise ValueError(f"{path}: has no line for '{utterance}'; run Kaldi's utils/fix_data_dir.sh")
            audio = recordings[recording]
            identity = unique_id(utterance, taken)
            speaker, text = speakers[utterance], texts[utterance]
            listed.append(Utterance(identity, split, audio, None, speaker, text, span=span))
    return iter(listed)


def _recordings(base: Path, path: Path) -> dict[str, Path]:
    found = {}
    for name, place in _table(path).items():
        if place.endswith("|"):
            raise ValueError(
                f"{path}: '{name}' is a command, which is not run; write what it makes into a file and name that"
            )
        found[name] = resolve_inside(base, place, f"{path}: '{name}'")
    return found


def _parts(folder: Path, recordings: dict[str, Path]) -> dict[str, _Part]:
    path = folder / "segments"
    if not path.exists():
        return {name: (name, None) for name in recordings}
    parts: dict[str, _Part] = {}
    for name, rest in _table(path).items():
        try:
            recording, begin, end = rest.split()
            span = float(begin), float(end)
            if not 0 <= span[0] < span[1] < float("inf"):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{path}: '{name}' has '{rest}', not a recording and the seconds of its begin and end"
            ) from None
        if recording not in recordings:
            raise ValueError(f"{path}: '{name}' is of recording '{recording}', which wav.scp does not list")
        parts[name] = recording, span
    return parts


def _table(path: Path) -> dict[str, str]:
    """The text after the name in each line."""
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            raise ValueError(f"{path} line {number}: is empty")
        name, *rest = line.split(maxsplit=1)
        if name in found:
            raise ValueError(f"{path} line {number}: '{name}' has a line already")
        found[name] = "".join(rest).strip()
    return found
