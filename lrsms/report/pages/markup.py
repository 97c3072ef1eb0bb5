"""Self-contained pages: every text is escaped, no script runs, and nothing is loaded from elsewhere."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

_STYLE = """
body { font: 16px/1.45 sans-serif; color: #111; background: #fff; margin: 1.5em; max-width: 90em }
h1 { font-size: 1.4em } h2 { font-size: 1.15em; margin-top: 1.6em }
h1, p, li { overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: .6em 0; font-size: 14px }
th, td { padding: .25em .6em; text-align: left; vertical-align: top; border-bottom: 1px solid #ccc }
thead th { border-bottom: 2px solid #555 }
thead + tbody th { font-weight: normal } td.number, th.number { text-align: right } td.number { white-space: nowrap }
td, th { max-width: 28em; overflow-wrap: break-word }
.pair { display: inline-block; margin-right: .4em } .pair span { display: block; min-height: 1.45em }
.wrong { font-weight: bold; text-decoration: underline; background: #fde3d6 }
pre { background: #f4f4f4; padding: .8em; overflow-x: auto }
svg { max-width: 100%; height: auto; margin-right: 1em; vertical-align: top }
"""
_PAGE = """
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<h1>{{ title }}</h1>
{% block body %}{% endblock %}
</body>
</html>
"""
_TABLES = """
{% macro show(table) %}
{% if table.caption %}<p>{{ table.caption }}</p>{% endif %}
<div class="wide" tabindex="0"><table>
{% if table.headers %}
<thead><tr>{% for header in table.headers %}
<th scope="col"{{ ' class="number"'|safe if loop.index0 in table.numeric }}>{{ header }}</th>
{% endfor %}</tr></thead>
{% endif %}
<tbody>
{% for row in table.rows %}
<tr>{% for text in row %}
{% if loop.first %}<th scope="row">{{ text }}</th>{% else %}
<td{{ ' class="number"'|safe if loop.index0 in table.numeric }}>{{ text }}</td>
{% endif %}
{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
"""


@dataclass(frozen=True)
class Table:
    """A table of texts; the first of each row is its heading.

    Attributes:
        headers: headers of the columns; none for a list of names and values.
        rows: rows with a text for every column.
        numeric: indices of the columns of numbers.
        caption: a text above the table that says how it was made.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    caption: str = ""


def page(title: str, body: str, **values: object) -> bytes:
    """A page of its own.

    Args:
        title: its heading.
        body: Jinja template of the text below; it may ``show`` a ``Table``.
        values: values for the names in the template; texts are escaped, ``Markup`` is not.
    """
    text = _template(body).render(title=title, style=Markup(_STYLE), **values)
    return f"{text.strip()}\n".encode()


def escape_rst(text: str) -> str:
    """``text`` as one line of reStructuredText, with every special character escaped."""
    return re.sub(r"([^\w\s]|_)", r"\\\1", " ".join(text.split()))


@cache
def _template(body: str):  # type: ignore[no-untyped-def]
    environment = Environment(
        loader=DictLoader({"page": _PAGE, "tables": _TABLES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    inherits = "{% extends 'page' %}{% from 'tables' import show %}{% block body %}"
    return environment.from_string(f"{inherits}{body}{{% endblock %}}")
