"""Checks of single values in a record, and their error messages."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json

MOST_TEXT = 500
"""Largest length of a name, such as a device, a hash or a verb."""


def read_plain(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a record; every number must be finite, and every text valid Unicode.

    Raises:
        ValueError: one line.
    """
    remedy = remedy_of(path)
    content = read_json(path, remedy)
    try:
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{path}: holds half of a character (a lone surrogate); {remedy}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: holds a number that is not finite, or is nested too deep; {remedy}") from None
    return content


def remedy_of(path: Path) -> str:
    """The remedy for a damaged file that a record must have."""
    return f"restore it, or delete {path.parent} to run it again"


@dataclass(frozen=True)
class Fields:
    """The fields of one file of a record, to be checked one by one.

    Attributes:
        path: path of the file.
        content: its content, or the content of a part.
        inside: the place of that part, such as ``sessions.0.``.
    """

    path: Path
    content: Mapping[str, Any]
    inside: str = ""

    def below(self, key: str, content: object) -> "Fields":
        """The fields of a part.

        Raises:
            ValueError: one line: it is not an object.
        """
        if not isinstance(content, Mapping):
            raise wrong(self.path, f"{self.inside}{key}", content, "an object")
        return Fields(self.path, content, f"{self.inside}{key}.")

    def get(self, key: str) -> Any:
        """A field that must be there.

        Raises:
            ValueError: one line: it is missing.
        """
        if key not in self.content:
            raise ValueError(f"{self.path}: key '{self.inside}{key}' is missing; {remedy_of(self.path)}")
        return self.content[key]

    def whole(self, key: str, low: int, high: int, because: str = "") -> int:
        """Checks for a whole number from ``low`` to ``high``, both included."""
        value = self.get(key)
        if type(value) is not int or not low <= value <= high:
            right = f"{low:,}" if low == high else f"a whole number from {low:,} to {high:,}"
            raise wrong(self.path, self.inside + key, value, right + because)
        return value

    def number(self, key: str, low: float, high: float, because: str = "") -> float:
        """Checks for a number from ``low`` to ``high``, both included."""
        value = self.get(key)
        if not is_number(value) or not low <= value <= high:
            raise wrong(self.path, self.inside + key, value, f"a number from {low:,.6g} to {high:,.6g}{because}")
        return float(value)

    def text(self, key: str) -> str:
        """Checks for a text that is not empty."""
        value = self.get(key)
        if not isinstance(value, str) or not value.strip() or len(value) > MOST_TEXT:
            raise wrong(self.path, self.inside + key, value, f"a text of 1 to {MOST_TEXT} characters")
        return value

    def optional(self, key: str, check: Callable[..., object], *bounds: object) -> None:
        """The same for a field that may be absent or null."""
        if self.content.get(key) is not None:
            check(key, *bounds)


def is_number(value: object) -> bool:
    """Whether it is a finite number that a float can hold; a truth value is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # NaN fails here; a whole number may be larger than any float


def wrong(path: Path, key: str, value: object, right: str) -> ValueError:
    """An error of one line about a value of a record."""
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return ValueError(f"{path}: '{key}' is {shown}, must be {right}; {remedy_of(path)}")
