"""The GRID corpus (Cooke, Barker, Cunningham and Shao 2006) as its archives unpack.

``<talker>.mpg_vcd.zip`` holds ``<talker>/*.mpg``, pictures of 360x288 with the sound in the same file; ``<talker>.tar``
holds ``align/*.align``, lines of ``begin end word``. They are found wherever people unpack them to; see ``VIDEOS`` and
``ALIGNMENTS``. A sentence's file name spells its words, so the alignments of several talkers may lie in one folder.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lrsms.base.random_streams import stream_seed
from lrsms.data.corpora.folder import corpus_folder, list_files, read_lines, unique_id
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Grid

VIDEOS = ("{talker}", "video/{talker}", "{talker}/video")
"""Folders of a talker's ``.mpg`` files; the first that has any is taken."""
ALIGNMENTS = ("{talker}/align", "align/{talker}", "align/{talker}/align", "alignments/{talker}", "align")
"""Folders of ``.align`` files, in which every sentence is looked up in this order."""

_ALIGNED = re.compile(r"(\d+)\s+(\d+)\s+(\S+)")
_SILENCES = {"sil", "sp"}


def utterances(corpus: Grid, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Yields the sentences of every talker, by name; transcripts are read and checked before the first is yielded.

    Audio is the video's own track. Sentences that are held out are chosen for each talker by the corpus's seed and the
    sentence's name alone: neither other talkers nor the file system's order matter, and with more of them for ``valid``
    those of ``test`` stay. ``rendered`` is left alone.

    Raises:
        ValueError: one line: the root is not given or missing, a talker has no videos or fewer than are held out, a
            video has no alignment, or an alignment is malformed.
    """
    talkers = {
        **dict.fromkeys(corpus.talkers, "train"),
        **dict.fromkeys(corpus.valid_talkers, "valid"),
        **dict.fromkeys(corpus.test_talkers, "test"),
    }
    first = next(iter(talkers))
    folder = corpus_folder(corpus.name, root, first, "video")
    shared = {path.stem: path for path in list_files(folder / "align", ".align")}
    listed: list[Utterance] = []
    taken: set[str] = set()
    for talker, split in talkers.items():
        videos = _videos(folder, talker)
        alignments = _alignments(folder, talker, shared)
        _refuse_unaligned(talker, videos, alignments)
        held_out = _held_out(corpus, talker, [video.stem for video in videos])
        listed += [
            Utterance(
                id=unique_id(f"{talker}-{video.stem}", taken),
                split=held_out.get(video.stem, split),
                audio=video,
                video=video,
                speaker=talker,
                text=_words(alignments[video.stem]),
                box=(corpus.boxes or {}).get(talker, corpus.box),
            )
            for video in videos
        ]
    return iter(listed)


def _videos(folder: Path, talker: str) -> list[Path]:
    places = [place.format(talker=talker) for place in VIDEOS]
    for place in places:
        if videos := list_files(folder / place, ".mpg"):
            return videos
    looked_for = ", ".join(f"{place}/*.mpg" for place in places)
    raise ValueError(f"{folder}: has no videos of talker '{talker}' (looked for {looked_for})")


def _alignments(folder: Path, talker: str, shared: dict[str, Path]) -> dict[str, Path]:
    """The alignment of each sentence, by its name; ``shared`` are those in the last of ``ALIGNMENTS``."""
    found = dict(shared)
    for place in reversed(ALIGNMENTS[:-1]):
        found |= {path.stem: path for path in list_files(folder / place.format(talker=talker), ".align")}
    return found


def _refuse_unaligned(talker: str, videos: Sequence[Path], alignments: dict[str, Path]) -> None:
    missing = [video for video in videos if video.stem not in alignments]
    if missing:
        looked_in = ", ".join(place.format(talker=talker) for place in ALIGNMENTS)
        raise ValueError(
            f"{missing[0]}: has no {missing[0].stem}.align, like {len(missing)} of {len(videos)} videos of talker "
            f"'{talker}' (looked in {looked_in}); add it or take the video away"
        )


def _held_out(corpus: Grid, talker: str, sentences: Sequence[str]) -> dict[str, str]:
    """Sentence to ``test`` or ``valid``, for those that are not trained on."""
    num_test, num_held_out = corpus.test_sentences, corpus.test_sentences + corpus.valid_sentences
    if num_held_out and num_held_out >= len(sentences):
        raise ValueError(
            f"corpus '{corpus.name}': 'valid_sentences' and 'test_sentences' hold out {num_held_out} of the "
            f"{len(sentences)} sentences of talker '{talker}', which leaves none to train on"
        )
    drawn = sorted(sentences, key=lambda sentence: stream_seed(corpus.seed, "grid", talker, sentence))
    return dict.fromkeys(drawn[:num_test], "test") | dict.fromkeys(drawn[num_test:num_held_out], "valid")


def _words(alignment: Path) -> str:
    words: list[str] = []
    for number, line in enumerate(read_lines(alignment), start=1):
        match = _ALIGNED.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"{alignment} line {number}: '{line}' is not 'begin end word'")
        words.append(match[3])
    return " ".join(word for word in words if word not in _SILENCES)
