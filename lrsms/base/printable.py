"""Makes text of a file or a user safe to print: nothing in it moves the cursor or reverses a line."""

import re

# C0 and C1 controls except tab and line feed, and characters that override the direction of text (Unicode TR 36,
# "bidirectional spoofing"). Joiners, and the marks of Arabic and Hebrew, stay.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""``text`` with each control character written out, such as ``\x1b``; tabs and line feeds stay."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str, longest: int = 2000) -> str:
    """``text`` for a message: printable, on one line, and cut if it is too long for a message."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= longest else f"{line[:longest]}..."


def unseen(text: str) -> str | None:
    """The first control character in ``text`` as ``U+001B``; None where there is none."""
    found = _UNSEEN.search(text)
    return f"U+{ord(found[0]):04X}" if found else None
