"""The row that every kind of corpus yields for an utterance."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Utterance:
    """One utterance of a corpus, before anything is read or checked."""

    id: str
    """Unique within the corpus, of ``[A-Za-z0-9_.-]``."""
    split: str
    """``train``, ``valid`` or ``test``."""
    audio: Path | None
    """Absolute path."""
    video: Path | None
    """Absolute path; a container of video whose audio track is meant may also be the ``audio``."""
    speaker: str
    """Empty where unknown."""
    text: str
    box: tuple[int, int, int, int] | None = None
    """Part of the picture that is the mouth: x, y of its upper left corner, width and height. None: all of it."""
    span: tuple[float, float] | None = None
    """Part of the ``audio`` that is meant: seconds of its begin and end. None: all of it."""
    render: Callable[[], None] | None = None
    """Makes the file ``video``, where it is rendered and not there yet; may be called in any thread."""
