"""Printing: only characters that the terminal has, and no control sequences from files."""

import contextlib
import io
import sys
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from lrsms.base.printable import printable

WIDTH = 160
"""Width of a line without a terminal: a table that is piped into a file is not cut."""


class _Console(Console):
    """Rich's console, in which only Rich's own escape sequences reach the terminal; texts are not markup."""

    def render_str(self, text: str, **settings: Any) -> Text:
        """The same as in Rich, but control characters are written out first, so that the width is right."""
        return super().render_str(printable(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The same as in Rich, but with the control characters of texts written out."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def open_console(width: int = WIDTH, **settings: Any) -> Console:
    """A console as wide as the terminal, or ``width`` if there is no terminal."""
    found = _Console(markup=False, **settings)
    return found if found.is_terminal else _Console(markup=False, **settings, width=width)


def say(text: object, file: IO[str] | None = None) -> None:
    """Prints a line, or several, on standard output or ``file``."""
    print(printable(str(text)), file=file)


def spell_out_what_it_lacks() -> None:
    r"""Makes a terminal without a character (``LC_ALL=C``) show its number, ``\xb1``, so that printing never fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")
