"""Markdown of ours as HTML: no HTML of its own, no pictures, and no links to what the site does not have."""

from collections.abc import Collection, Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup


def as_html(text: str, beside: Collection[str] = ()) -> Markup:
    """The text; what is HTML in it is shown as text.

    Args:
        text: Markdown, with GitHub's tables.
        beside: files that are beside the page; a link to another file of the repository is its words alone.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.children:
            token.children = list(_without_dead_links(token.children, beside))
        if "right" in str(token.attrs.pop("style", "")):
            token.attrs["class"] = "number"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _without_dead_links(tokens: Iterable[Token], beside: Collection[str]) -> Iterator[Token]:
    is_dead = False
    for token in tokens:
        if token.type == "link_open":
            address = str(token.attrs.get("href", ""))
            is_dead = address not in beside and not address.startswith(("https://", "http://"))
        if not (is_dead and token.type in ("link_open", "link_close")):
            yield token
