"""A table for people, as Markdown and LaTeX: columns of text, with sentences below."""

import math
import re
from dataclasses import dataclass

import pandas as pd

from lrsms.base.printable import printable

_LATEX = {char: f"\\{char}" for char in "&%$#_{}"}
_LATEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}"}
# A bracket that opens a row would be read as the optional argument of the line break before it.
_LATEX |= {"[": "{[}", "]": "{]}"}

_BREAK = re.compile(r"[\t\r\n]+")
# A link needs a bracket before a parenthesis, HTML a letter or a slash after the less-than sign.
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|\](?=[(\[:])")


@dataclass(frozen=True)
class Column:
    """A column of the readable table. If space is short, the column with the lowest ``leave_out`` goes first."""

    header: str
    texts: tuple[str, ...]
    leave_out: int | None = None
    numeric: bool = True


@dataclass(frozen=True)
class Readable:
    """The readable table, and the sentences that belong below it."""

    columns: tuple[Column, ...]
    notes: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """The table as text, a row per cell."""
        return pd.DataFrame({column.header: column.texts for column in self.columns}, dtype="str")


def markdown(table: Readable) -> str:
    """A GitHub table and its notes as a list."""
    padded = []
    for column in table.columns:
        header, *texts = (escape_markdown(text).replace("|", "\\|") for text in (column.header, *column.texts))
        width = max(2, *map(len, (header, *texts)))  # a rule of a single ":" makes no table
        rule = "-" * (width - 1) + ":" if column.numeric else "-" * width
        pad = str.rjust if column.numeric else str.ljust
        padded.append([pad(header, width), rule, *(pad(text, width) for text in texts)])
    lines = [f"| {' | '.join(row)} |" for row in zip(*padded, strict=True)]
    return "\n".join([*lines, "", *(f"- {escape_markdown(note)}" for note in table.notes), ""])


def latex(table: Readable, name: str) -> str:
    """A ``table*`` in booktabs style, with the notes as its caption and ``tab:<name>`` as its label."""
    frame = table.frame().map(escape_latex)
    frame.columns = [escape_latex(column) for column in frame.columns]
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    body = frame.style.hide(axis="index").to_latex(
        column_format=align,
        hrules=True,
        environment="table*",
        position="t",
        position_float="centering",
        caption=escape_latex(" ".join(table.notes)),
        label=f"tab:{name}",
    )
    return "% needs \\usepackage{booktabs}\n" + body.replace("\\begin{tabular}", "\\footnotesize\n\\begin{tabular}")


def escape_latex(text: str) -> str:
    """``text`` on one line, with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(char, char) for char in printable(_BREAK.sub(" ", text)))


def escape_markdown(text: str) -> str:
    """``text`` on one line, escaped so that it makes no HTML, link or picture."""
    return _MARKUP.sub(r"\\\g<0>", printable(_BREAK.sub(" ", text)))


def as_p(value: float) -> str:
    """A p with three decimals; a smaller one is shown as less than 0.001."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def known_p(value: float) -> str:
    """The same; empty where there is no p (NaN)."""
    return "" if math.isnan(value) else as_p(value)
