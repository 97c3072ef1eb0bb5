"""Which numbers tokens are: 0 is CTC's blank, 1 to V-2 are units, V-1 begins and ends a sentence."""

import unicodedata
from collections.abc import Sequence

BLANK = 0


def refuse_characters(text: str, outside: set[str]) -> None:
    """Raises a ValueError, one line, that names the first character of ``text`` that lies ``outside``, if any does."""
    if outside:
        first = min(outside, key=text.index)
        name = unicodedata.name(first, "unnamed character").lower()
        raise ValueError(f"character '{first}' ({name}, U+{ord(first):04X}) is not in the tokenizer")


def check_range(tokens: Sequence[int], size: int) -> None:
    """Asserts that each token is a unit, of a vocabulary of ``size``."""
    assert all(0 < token < size - 1 for token in tokens), f"tokens outside 1..{size - 2}: {tokens}"
