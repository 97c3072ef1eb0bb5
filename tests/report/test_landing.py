"""The report opens with the answer: question, verdicts, main figure and table come before how they were made."""

import base64
import html
import re
from pathlib import Path
from typing import Any

import docutils.core

from lrsms.report.figures import names
from lrsms.report.pages.landing import HEADLINES, headline, landing_rst
from lrsms.report.readable import Column, Readable

HOSTILE = "</script><img src=x> |not|_ `a`_ \\ \"&'"
TABLE = Readable((Column("targets", ("dense", "*less*")), Column("WER", ("1.0", ""))), ("A note.",))
PNG = bytes(range(256)) * 200
CLAIMS = [
    {"claim": "F1", "verdict": "supported", "finding": HOSTILE},
    {"claim": "F2", "verdict": "not run", "finding": "Feed-forward"},
]


def shown(claims: list[dict[str, Any]], figure: bytes | None) -> str:
    """The page as Snakemake makes it of the text; any complaint of docutils is an error."""
    text = landing_rst("Is `it` so?", claims, figure, TABLE, {"Study": "few"})
    strict = {"report_level": 1, "halt_level": 1}
    return str(docutils.core.publish_parts(text, writer="html", settings_overrides=strict)["html_body"])


def test_verdicts_table_and_figure_come_before_how_they_were_made() -> None:
    page = shown(CLAIMS, PNG)
    text = " ".join(html.unescape(re.sub(r"<img [^>]*>", "FIGURE", page)).split())
    text = re.sub(r"<[/a-z][^>]*>", "", text.replace(HOSTILE, "HOSTILE"))
    order = [
        "Is `it` so?",
        "F1 supported: HOSTILE",
        "F2 not run",
        "targets",
        "*less*",
        "FIGURE",
        "A note.",
        "Study: few",
    ]
    assert sorted(order, key=text.index) == order
    assert "data:image/png;base64," + base64.b64encode(PNG).decode() in page
    assert page.count("<img") == 1 and "<script" not in page


def test_without_claims_or_a_figure_there_is_still_the_table() -> None:
    page = shown([], None)
    assert "<img" not in page and "<table" in page


def test_the_main_figure_is_the_first_that_is_drawn(tmp_path: Path) -> None:
    assert headline(tmp_path) is None
    source = Path(names.__file__).read_text()
    for name in reversed(HEADLINES):
        assert f'"{name}":' in source
        (tmp_path / f"{name}.png").write_bytes(name.encode())
        assert headline(tmp_path) == name.encode()
