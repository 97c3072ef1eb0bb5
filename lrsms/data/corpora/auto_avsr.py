"""LRS2, LRS3, VoxCeleb2 or AVSpeech as Auto-AVSR prepares them (Ma et al. 2023, github.com/mpc001/auto_avsr).

``labels/<list>.csv`` has no header and a line ``dataset,path,frames,tokens`` for each clip: its pictures are in
``<dataset>/<path>``, an ``.mp4``, and its sound in the ``.wav`` beside it. The tokens are numbers of units, with blanks
between them. The list of units has a line ``piece number`` for each; numbers count from 1, in the order of the lines.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lrsms.data.corpora.folder import Counted, corpus_folder, read_lines, unique_id
from lrsms.data.manifest import SPLITS
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import AutoAvsr

LABELS = "labels"

_CELLS = ("dataset", "path", "frames", "tokens")
_WORD_MARK = "\u2581"
_UNKNOWN_PIECE = "<unk>"
_UNKNOWN = "\ufffd"


class _Clip(NamedTuple):
    path: str
    """In the root, without its suffix."""
    split: str
    text: str


def utterances(corpus: AutoAvsr, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Yields the clips of the label files, in their order; all of them are checked before the first is yielded.

    The transcript is what the tokens spell; what Auto-AVSR had no unit for, its ``<unk>``, becomes U+FFFD. The speaker
    is the folder of the clip, which for LRS2, LRS3 and VoxCeleb2 is the video that it was cut from: clips of one video
    are of one speaker, though one speaker may be in several videos. It is unknown for clips that lie flat in
    ``<dataset>_video_seg16s``, as those of AVSpeech do. ``rendered`` is left alone: clips are read in place.

    Whether the clips are there is not looked up: a paper's list has hundreds of thousands.

    Raises:
        ValueError: one line: the root is not given or missing, a file of labels or units is missing or malformed, or
            two splits share a clip.
    """
    folder = corpus_folder(corpus.name, root, LABELS)
    units = read_units(folder / corpus.units)
    clips: list[_Clip] = []
    first_with: dict[str, tuple[str, str, int]] = {}
    for split in SPLITS:
        for name in getattr(corpus, split):
            path = folder / LABELS / name
            for number, line in enumerate(read_lines(path), start=1):
                try:
                    clip, text = _parse(line, units)
                except ValueError as error:
                    raise ValueError(f"{path} line {number}: {error}") from None
                first_split, first_name, first_number = first_with.setdefault(clip, (split, name, number))
                if first_split != split:
                    raise ValueError(
                        f"{path} line {number}: {clip} of split '{split}' is also line {first_number} of {first_name}, "
                        f"of split '{first_split}'; splits must not share a recording: hold some clips out of train"
                    )
                clips.append(_Clip(clip, split, text))
    # Two Paths a clip take three times as long to make as the rest: not before they are needed.
    return Counted(_utterances(folder, clips), len(clips))


def read_units(path: Path) -> dict[str, str]:
    """What each token spells, by its number as it is written in label files; blanks between words are U+2581.

    Raises:
        ValueError: one line: the file cannot be read, or its lines are not ``piece number``, counting from 1.
    """
    units: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        piece, _, token = line.rpartition(" ")
        if not piece or token != str(number):
            raise ValueError(f"{path} line {number}: '{line}' is not a piece, a blank and {number}")
        units[token] = _UNKNOWN if piece == _UNKNOWN_PIECE else piece
    return units


def _parse(line: str, units: dict[str, str]) -> tuple[str, str]:
    """The clip, as a path in the root without its suffix, and its transcript."""
    cells = line.replace(", ", ",").split(",")
    if len(cells) != len(_CELLS):
        raise ValueError(f"has {len(cells)} cells, not the {len(_CELLS)} of {','.join(_CELLS)}")
    dataset, path, frames, tokens = cells
    clip = f"{dataset}/{path}"
    if not dataset or "" in clip.split("/") or ".." in clip.split("/"):
        raise ValueError(f"'{clip}' lies outside the corpus folder; give paths inside it")
    if not path.endswith(".mp4"):
        raise ValueError(f"'{path}' is not an .mp4 file")
    if not frames.isdecimal():
        raise ValueError(f"frames are '{frames}'; a number is needed")
    try:
        text = "".join([units[token] for token in tokens.split()])
    except KeyError as error:
        raise ValueError(f"token {error} is not one of the {len(units)} units") from None
    return clip.removesuffix(".mp4"), text.replace(_WORD_MARK, " ").strip()


def _utterances(folder: Path, clips: list[_Clip]) -> Iterator[Utterance]:
    taken: set[str] = set()
    for path, split, text in clips:
        parents = path.split("/")[:-1]
        yield Utterance(
            id=unique_id(path.replace("/", "-"), taken),
            split=split,
            audio=Path(f"{folder}/{path}.wav"),
            video=Path(f"{folder}/{path}.mp4"),
            speaker=parents[-1] if len(parents) > 2 else "",
            text=text,
        )
