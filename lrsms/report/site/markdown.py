"""Markdown of ours as HTML: no HTML of its own, no pictures, and no links but to the web."""

from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup


def as_html(text: str) -> Markup:
    """The text; what is HTML in it is shown as text, and a link within the repository is its words alone."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.children:
            token.children = list(_without_local_links(token.children))
        if "right" in str(token.attrs.pop("style", "")):
            token.attrs["class"] = "number"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _without_local_links(tokens: Iterable[Token]) -> Iterator[Token]:
    is_local = False
    for token in tokens:
        if token.type == "link_open":
            is_local = not str(token.attrs.get("href", "")).startswith(("https://", "http://"))
        if not (is_local and token.type in ("link_open", "link_close")):
            yield token
