"""Pages from the templates beside this file: every text is escaped, and nothing in it moves the cursor."""

import re
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lrsms.base.printable import printable

_PLUS = re.compile(r"(?<=[a-z])\+(?=[a-z])")
GENERATOR = "lrsms site"
"""By this word in its pages a site is known to be one."""


def render(template: str, path: str, **values: Any) -> bytes:
    """A page.

    Args:
        template: name of a file in ``templates``, without its ending.
        path: of the page under the root of the site; links on it are relative.
        values: what the template names; texts are escaped, ``Markup`` is not.
    """
    values |= {"root": "../" * path.count("/"), "here": path, "generator": GENERATOR}
    text = _environment().get_template(f"{template}.html").render(**values)
    return f"{text.strip()}\n".encode()


def badge(verdict: str) -> Markup:
    """A verdict with its mark, which says the same where colours are not seen."""
    return Markup('<span class="badge {}">{}</span>').format(kind(verdict), verdict)


def kind(verdict: str) -> str:
    """A verdict as a class of the style sheet."""
    return verdict.replace(" ", "-")


def address(path: str) -> str:
    """A path within the site as part of an address."""
    return quote(path, safe="/.#+")


def link(href: str, text: str) -> Markup:
    """A link within the site."""
    return Markup('<a href="{}">{}</a>').format(address(href), breaks(text))


def breaks(text: str) -> Markup:
    """Text in which a line may end behind a plus sign: names of cells join what is factorised by these."""
    if isinstance(text, Markup):
        return text
    return Markup(_PLUS.sub("+<wbr>", str(escape(printable(text)))))


def _seen(value: Any) -> Any:
    """What is put on a page, with its control characters written out."""
    if isinstance(value, Markup):
        return Markup(printable(value))
    return printable(value) if isinstance(value, str) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__name__.rpartition(".")[0]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_seen,
    )
    environment.filters |= {
        "badge": badge,
        "breaks": breaks,
        "kind": kind,
        "address": address,
    }
    return environment
