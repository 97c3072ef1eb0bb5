"""What is printed: in characters that the terminal has, and with nothing that a file says to the terminal itself."""

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
"""Characters of a line that is no terminal's: a table that is piped into a file is not cut."""


class _Console(Console):
    """Rich's, whose own escape sequences are the only ones that get through; texts are no markup."""

    def render_str(self, text: str, **settings: Any) -> Text:
        """As Rich does, of a text whose width is then measured as it is shown."""
        return super().render_str(printable(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Rich does, with the control characters of texts written out."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def open_console(width: int = WIDTH, **settings: Any) -> Console:
    """As wide as the terminal, or ``width`` where there is none."""
    found = _Console(markup=False, **settings)
    return found if found.is_terminal else _Console(markup=False, **settings, width=width)


def say(text: object, file: IO[str] | None = None) -> None:
    """Prints a line, or several, on standard output or ``file``."""
    print(printable(str(text)), file=file)


def spell_out_what_it_lacks() -> None:
    r"""A terminal without a character (``LC_ALL=C``) shows its number, ``\xb1``: nothing that is said ends a verb."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")
