"""Figures that Matplotlib drew, as inline SVG: a third of their size, in the colours of the page, light or dark.

The figures of a page share the shapes of letters and markers. Each style becomes an attribute, so that the style sheet
can give another colour to what is black, white or grey. Elements and attributes that no figure of ours has are refused.
"""

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from markupsafe import Markup, escape

_REMEDY = "make it again with 'lrsms regenerate'"
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_NARROW = 300
"""Points: a figure that is not as wide takes one column of two, and half of the page."""
_TAGS = {"svg", "g", "path", "use", "defs", "clipPath", "rect", "pattern"}
_DROPPED = {"metadata", "style", "title"}
_ATTRIBUTES = {
    *("id", "d", "x", "y", "width", "height", "viewBox", "version", "transform", "clip-path", "patternUnits", "style"),
    *("fill", "fill-opacity", "fill-rule", "opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-linecap"),
    *("stroke-linejoin", "stroke-dasharray", "stroke-dashoffset", "stroke-miterlimit"),
}
_SIGNED = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_CURVES = re.compile(rf"M((?: {_SIGNED}){{2}})((?: C(?: {_SIGNED}){{6}}){{8}})(?: L(?: {_SIGNED}){{2}})? [zZ]")
"""Eight curves from a point back to itself: so Matplotlib draws a circle."""


class Sheet:
    """The figures of one page, and the shapes that they share."""

    def __init__(self) -> None:
        self._shapes: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def take(self, path: Path, label: str) -> Markup:
        """A figure as an element of the page.

        Args:
            path: of the SVG.
            label: what those are told who do not see it.

        Raises:
            ValueError: one line: it cannot be read, or holds what figures of ours do not hold.
        """
        try:
            root = ET.fromstring(path.read_bytes())
        except (OSError, ET.ParseError) as error:
            raise ValueError(f"{path}: not readable as SVG ({error}); {_REMEDY}") from None
        _plain(root, path)
        box = root.get("viewBox", "")
        if not re.fullmatch(r"[\d. ]+", box) or len(size := box.split()) != 4:
            raise ValueError(f"{path}: has no viewBox; {_REMEDY}")
        self._share(root)
        body = "".join(self._text(child, 1) for child in root if not _is_background(child))
        width, height = (_rounded(text, 0) for text in size[2:])
        kind = "figure narrow" if float(width) < _NARROW else "figure"
        start = Markup('<svg class="{}" role="img" aria-label="{}" viewBox="{}" width="{}" height="{}">').format(
            kind, label, _rounded(box, 1), width, height
        )
        return start + Markup(body) + Markup("</svg>")

    @property
    def shapes(self) -> Markup:
        """What the figures refer to; the page must have it once."""
        named = [re.sub(r"^<(\w+)", rf'<\1 id="{name}"', shape) for shape, name in self._shapes.items()]
        start = '<svg class="shapes" width="0" height="0" aria-hidden="true">'
        return Markup(f"{start}<defs>{''.join(named)}</defs></svg>" if named else "")

    def _share(self, root: ET.Element) -> None:
        """Moves all shapes to the page: those that are equal get one name."""
        self._names = {}
        for definitions in root.iter("defs"):
            for shape in definitions:
                text = self._text(shape, 2)
                self._names[shape.get("id", "")] = self._shapes.setdefault(text, f"s{len(self._shapes)}")
        for parent in list(root.iter()):
            for child in [child for child in parent if child.tag == "defs"]:
                parent.remove(child)

    def _text(self, element: ET.Element, digits: int) -> str:
        """An element without its name, its places with so many digits; a group that says nothing is left out."""
        inner = "".join(self._text(child, digits) for child in element)
        said = {name: self._value(name, text, digits) for name, text in element.items() if name != "id"}
        if element.tag == "g" and not (said and inner):
            return inner
        attributes = "".join(f' {name}="{escape(text)}"' for name, text in said.items())
        return f"<{element.tag}{attributes}>{inner}</{element.tag}>" if inner else f"<{element.tag}{attributes}/>"

    def _value(self, name: str, text: str, digits: int) -> str:
        text = " ".join(text.split())
        if name == "href":
            return f"#{self._names.get(text.removeprefix('#'), '')}"
        if name == "transform":
            return re.sub(r"(?<=translate\()[^)]*", lambda found: _rounded(found[0], digits), text)
        if name == "d":
            return re.sub(r" ?([A-Za-z]) ?", r"\1", _rounded(_CURVES.sub(_arcs, text), digits))
        if _REFERENCE.search(text):
            return _REFERENCE.sub(lambda found: f"url(#{self._names.get(found[1], '')})", text)
        return _rounded(text, digits if name in ("x", "y", "width", "height") else 2)


def _plain(element: ET.Element, path: Path) -> None:
    """Makes tags and attributes plain, styles into attributes, and refuses what is unknown."""
    element.tag = element.tag.removeprefix(_NAMESPACE)
    for child in list(element):
        if child.tag.removeprefix(_NAMESPACE) in _DROPPED:
            element.remove(child)
        else:
            _plain(child, path)
    link = element.attrib.pop(_LINK, None)
    for part in element.attrib.pop("style", "").split(";"):
        name, colon, value = part.partition(":")
        if colon:
            element.set(name.strip(), value.strip())
    unknown = {element.tag} - _TAGS or set(element.attrib) - _ATTRIBUTES
    if unknown or (link is not None and not link.startswith("#")):
        what = min(unknown, default=f"a link to {link}")
        raise ValueError(f"{path}: holds '{what}', which no figure of ours does; {_REMEDY}")
    if any("url(" in _REFERENCE.sub("", text) for text in element.attrib.values()):
        raise ValueError(f"{path}: refers to what is outside of it, which no figure of ours does; {_REMEDY}")
    if link is not None:
        element.set("href", link)


def _is_background(element: ET.Element) -> bool:
    """Whether it is the whole figure's white, which is first: the page has a colour of its own."""
    return element.tag == "g" and element.get("id") == "patch_1"


def _arcs(curves: re.Match[str]) -> str:
    """A circle as two arcs; other curves as they are."""
    numbers = [float(text) for text in curves[2].replace("C", " ").split()]
    ends = [complex(*numbers[at : at + 2]) for at in range(4, len(numbers), 6)]
    centre = sum(ends) / len(ends)
    radius = abs(ends[0] - centre)
    if not all(math.isclose(abs(end - centre), radius, rel_tol=1e-3) for end in ends):
        return curves[0]
    half = f"a {radius:.6f} {radius:.6f} 0 1 0"
    return f"M {centre.real - radius:.6f} {centre.imag:.6f} {half} {2 * radius:.6f} 0 {half} {-2 * radius:.6f} 0 z"


def _rounded(text: str, digits: int) -> str:
    """The text with its numbers rounded, and without zeros that say nothing."""

    def short(found: re.Match[str]) -> str:
        number = f"{float(found[0]):.{digits}f}"
        number = number.rstrip("0").rstrip(".") if digits else number
        return "0" if number == "-0" else number

    return _NUMBER.sub(short, text)
