"""The transcript of a file, and its forms: text, JSON with times, and subtitles (SRT)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

Format = Literal["text", "json", "srt"]
SUFFIXES: dict[Format, str] = {"text": ".txt", "json": ".json", "srt": ".srt"}
_LONGEST_CUE = 6.0
"""Seconds that a subtitle stays at most."""
_CUE_CHARACTERS = 84
"""Two lines of 42, as is usual."""
_PAUSE = 0.8
"""Seconds of silence that begin another subtitle."""


@dataclass(frozen=True)
class Token:
    """A token as the tokenizer spells it, with the blank before it if it begins a word.

    Attributes:
        text: its characters.
        begin: seconds from the beginning of the file; None where no CTC path spells the hypothesis.
        end: likewise.
        probability: mean over the token's frames, geometric, by the CTC head.
    """

    text: str
    begin: float | None
    end: float | None
    probability: float | None


@dataclass(frozen=True)
class Segment:
    """A piece of a file: its hypothesis, and the tokens that spell it."""

    begin: float
    end: float
    text: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Word:
    """A word, from its first to its last token."""

    text: str
    begin: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """A file.

    Attributes:
        file: as it was given.
        seconds: its length.
        segments: in order of time.
        blanks: whether blanks part its words; if not, each token is shown as a word.
    """

    file: str
    seconds: float
    segments: tuple[Segment, ...]
    blanks: bool = True

    @property
    def text(self) -> str:
        """All of it."""
        return (" " if self.blanks else "").join(segment.text for segment in self.segments if segment.text)


def words(segment: Segment, blanks: bool) -> list[Word]:
    """The words of a segment; where its tokens have no times, each has the segment's."""
    parts: list[list[Token]] = []
    is_apart = True
    for token in segment.tokens:
        is_apart = is_apart or not blanks or token.text[:1].isspace()
        if token.text.strip():
            parts[len(parts) :] = [[]] if is_apart else []
            parts[-1].append(token)
            is_apart = False
        is_apart = is_apart or token.text[-1:].isspace()
    return [
        Word(
            "".join(token.text for token in part).strip(),
            segment.begin if part[0].begin is None else part[0].begin,
            segment.end if part[-1].end is None else part[-1].end,
        )
        for part in parts
    ]


def as_json(transcript: Transcript, about: dict[str, Any]) -> str:
    """One object: the file, ``about`` it, its text, and its segments with words and tokens; times in seconds."""
    segments = [
        {
            "begin": segment.begin,
            "end": segment.end,
            "text": segment.text,
            "words": [vars(word) for word in words(segment, transcript.blanks)],
            "tokens": [vars(token) for token in segment.tokens],
        }
        for segment in transcript.segments
    ]
    content = {"file": transcript.file, "seconds": transcript.seconds, **about, "text": transcript.text}
    return json.dumps(content | {"segments": segments}, ensure_ascii=False) + "\n"


def as_srt(transcript: Transcript) -> str:
    """SubRip subtitles: a number, the times, the text, an empty line."""
    joint = " " if transcript.blanks else ""
    said = [word for segment in transcript.segments for word in words(segment, transcript.blanks)]
    cues = [
        f"{number}\n{_clock(cue[0].begin)} --> {_clock(cue[-1].end)}\n{joint.join(word.text for word in cue)}\n"
        for number, cue in enumerate(_cues(said), start=1)
    ]
    return "\n".join(cues)


def _cues(said: Sequence[Word]) -> Iterator[list[Word]]:
    """Words that are shown together: not for long, not too many, and none from beyond a pause."""
    cue = list(said[:1])
    for before, word in pairwise(said):
        length = sum(len(other.text) + 1 for other in cue) + len(word.text)
        is_long = word.end - cue[0].begin > _LONGEST_CUE or length > _CUE_CHARACTERS
        if is_long or word.begin - before.end > _PAUSE:
            yield cue
            cue = []
        cue.append(word)
    if cue:
        yield cue


def _clock(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"
