"""The row in which every corpus hands over its recordings."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Utterance:
    """What a corpus yields: one row before anything is read or checked."""

    id: str
    """Unique within the corpus, of ``[A-Za-z0-9_.-]``."""
    split: str
    """``train``, ``valid`` or ``test``."""
    audio: Path | None
    """Absolute path."""
    video: Path | None
    """Absolute path."""
    speaker: str
    """Empty where unknown."""
    text: str
