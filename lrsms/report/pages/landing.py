"""The first page of the report, in reStructuredText: the answer, then how it was made."""

import base64
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrsms.report.pages.markup import escape_rst
from lrsms.report.readable import Readable

HEADLINES = ("wer_by_cost", "wer_by_parameters", "steptime")
"""Figures that can be the main figure; the first one that the study has is used."""
WIDTH = 90
"""Width of the table's rows in characters."""

_STYLE = """\
.. raw:: html

   <style>
   .prose:has(> .document) { max-width: 56rem }
   .items-center:has(.document) { align-items: flex-start }
   </style>
"""
"""Snakemake's page makes the text 32rem wide, too narrow for the table, and centres it, which cuts a long text."""


def landing_rst(
    title: str, claims: Sequence[Mapping[str, Any]], figure: bytes | None, table: Readable, facts: Mapping[str, str]
) -> str:
    """The question, the verdicts, the table and the main figure; below them the table's notes and the facts.

    Args:
        title: the study's question.
        claims: rows of ``claims.json`` with a verdict: identifier, verdict and finding of each; empty without claims.
        figure: the main figure as PNG; None where it is not drawn.
        table: the study's readable table.
        facts: how the results were made, as names and sentences.
    """
    heading = escape_rst(title)
    stated = {str(claim["claim"]): (str(claim["verdict"]), str(claim["finding"])) for claim in claims}
    verdicts = [
        f"- **{escape_rst(f'{name} {verdict}')}**: {escape_rst(text)}" for name, (verdict, text) in stated.items()
    ]
    made = [f"- **{escape_rst(name)}**: {escape_rst(text)}" for name, text in facts.items()]
    parts = [f"{heading}\n{'=' * len(heading)}\n", _STYLE]
    parts += ["\n".join([*verdicts, ""])] if verdicts else []
    parts += [_table(table)]
    parts += [_image(figure)] if figure else []
    parts += [".. rubric:: How to read the table\n", *(f"- {escape_rst(note)}" for note in table.notes), ""]
    parts += [".. rubric:: How it was made\n", *made, ""]
    return "\n".join(parts)


def headline(figures: Path) -> bytes | None:
    """The main figure in a study's folder of figures, as PNG; None if none is drawn."""
    drawn = (figures / f"{name}.png" for name in HEADLINES)
    return next((path.read_bytes() for path in drawn if path.is_file()), None)


def _image(png: bytes) -> str:
    """A text that contains the picture's bytes. Snakemake's page loads no file, and docutils takes no long lines."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    lines = textwrap.wrap(source, 100, initial_indent=".. image:: ", subsequent_indent="   ")
    return "\n".join([*lines, "   :alt: the main figure", "   :width: 36em", ""])


def _table(table: Readable) -> str:
    rows = [[column.header for column in table.columns]]
    rows += [list(row) for row in zip(*(column.texts for column in table.columns), strict=True)]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if index == 0 else ' '} - {escape_rst(text)}".rstrip() for index, text in enumerate(row)]
    return "\n".join([*lines, ""])
