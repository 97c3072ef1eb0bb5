"""Strict data: frozen models that are read from plain data, with one clear line for an error, and their digests."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from lrsms import RESULTS_VERSION
from lrsms.base.printable import one_line, unseen
from lrsms.base.yamlfile import MOST_DEPTH, MOST_VALUES

MOST_DIGITS = 100
"""Most digits of a whole number."""


class Frozen(BaseModel):
    """A model that is immutable, allows no unknown keys and converts no types silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def digest(content: Any, digits: int) -> str:
    """First hex digits of the SHA-256 of the canonical JSON of ``content`` and the results version."""
    text = canonical_json({"content": content, "results_version": RESULTS_VERSION})
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def canonical_json(content: Any) -> str:
    """The canonical JSON of the content: sorted keys, no spaces, None left out."""
    return json.dumps(_without_none(content), sort_keys=True, separators=(",", ":"), allow_nan=False, default=_dumped)


def _without_none(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_none(value) for key, value in content.items() if value is not None}
    return content


def _dumped(content: Any) -> Any:
    """A model, which JSON does not know, as plain data.

    Raises:
        TypeError: it is no model.
    """
    if isinstance(content, BaseModel):
        return content.model_dump(mode="json", exclude_none=True)
    raise TypeError(f"{type(content).__name__} is not plain data")


Parsed = TypeVar("Parsed", bound=BaseModel)


_IN_WORDS: dict[str, str] = {}


def pattern(expression: str, words: str) -> str:
    """A pattern of a text field, which an error states in words: what the text must be."""
    _IN_WORDS[expression] = words
    return expression


def parse(model: type[Parsed], data: Any, where: str) -> Parsed:
    """Validates ``data`` (as read from YAML or JSON) strictly.

    Raises:
        ValueError: one line that names ``where`` and the key, what is wrong and, for an unknown key, the nearest name.
    """
    if (problem := _not_plain(data)) is not None:
        raise ValueError(f"{where}: {one_line(problem)}")
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: not plain data ({error})") from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{where}: {one_line(_one_line(model, error))}") from None


def _not_plain(data: Any) -> str | None:
    """Finds a value that is not plain data (text, finite numbers, true or false), or too much data, and says where.

    Data that contain themselves, or the same list many times (a YAML alias in another reader than ours), are refused
    before they are expanded.
    """
    number = 0
    for path, value in _walk(data):
        number += 1 + (len(value) // 100 if isinstance(value, str) else 0)
        if number > MOST_VALUES:
            return f"has more than {MOST_VALUES:,} values; configuration has fewer"
        if len(path) > MOST_DEPTH:
            return f"'{'.'.join(path[:3])}' has more than {MOST_DEPTH} lists or mappings inside one another"
        key = ".".join(path)
        if isinstance(value, str) and (code := unseen(value)):
            return f"'{key}' holds the control character {code}; remove it"
        if path and (code := unseen(path[-1])):
            return f"key '{key}' holds the control character {code}; remove it"
        if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
            return f"'{key}' has more than {MOST_DIGITS} digits"
        plain = value is None or isinstance(value, str | int | dict | list | tuple)
        if not plain and not (isinstance(value, float) and math.isfinite(value)):
            return f"'{key}' is {str(value)[:80]}: must be text, a finite number, true or false"
    return None


def _walk(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with the keys that lead to it, down to the allowed depth."""
    yield path, data
    if len(path) > MOST_DEPTH:
        return
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _walk(value, (*path, str(key)))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _walk(value, (*path, str(index)))


def _one_line(model: type[BaseModel], error: ValidationError) -> str:
    """The first error; an unknown key comes before a missing one, because a misspelt key causes both."""
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    path = _without_tags(model, [str(part) for part in first["loc"]])
    key = ".".join(path) or "content"
    match first["type"]:
        case "extra_forbidden":
            return f"unknown key '{key}'; {_hint(model, path)}"
        case "missing" if isinstance(first["loc"][-1], int):
            return f"'{'.'.join(path[:-1])}' has too few values: number {first['loc'][-1] + 1} is missing"
        case "missing":
            return f"key '{key}' is missing"
        case "tuple_type" | "list_type":
            given = _given(first["input"])
            return f"'{key}' is {given}: must be a list, such as [{given}]"
        case "dict_type" | "model_type":
            return f"'{key}' is {_given(first['input'])}: must be a mapping of keys to values"
        case "too_short":
            least = first["ctx"]["min_length"]
            return f"'{key}' is {_given(first['input'])}: must have at least {least} value{'s'[: least - 1]}"
        case "string_pattern_mismatch" if first["ctx"]["pattern"] in _IN_WORDS:
            return f"'{key}' is {_given(first['input'])}: must be {_IN_WORDS[first['ctx']['pattern']]}"
        case "value_error":
            return f"'{key}': {first['ctx']['error']}" if path else str(first["ctx"]["error"])
        case _:
            return f"'{key}' is {_given(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _given(value: Any) -> str:
    return json.dumps(value)[:80]


def _hint(model: type[BaseModel], path: list[str]) -> str:
    """Says what an unknown key may mean: a field that lies one level deeper, or the one whose name is nearest."""
    *above, name = path
    names = fields_at(model, above)
    deeper = [field for field in names if name in fields_at(model, [*above, field]) and name not in names]
    near = [f"{deeper[0]}.{name}"] if deeper else get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{'.'.join([*above, *near])}'?" if near else f"known: {', '.join(names)}"


def fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Names of the fields below a dotted path, looking into optional and tagged models."""
    models = [model]
    for part in path:
        models = _below(models, part) or models
    return list(dict.fromkeys(name for m in models for name in m.model_fields))


def _below(models: list[type[BaseModel]], part: str) -> list[type[BaseModel]]:
    return [
        m for parent in models if part in parent.model_fields for m in _models(parent.model_fields[part].annotation)
    ]


_TYPE = re.compile(r"constrained-|tuple\[|list\[|literal\[|float$|int$|str$|bool$")
"""How pydantic's names of types look."""


def _without_tags(model: type[BaseModel], location: list[str]) -> list[str]:
    """The place of an error, as a user writes it.

    Pydantic adds the tag of a tagged model (``corpus.synthetic.seed``). After a value with several types it adds the
    type that did not fit (``length_bonus.constrained-float``), which cannot be a key or an index.
    """
    path: list[str] = []
    models, is_tag = [model], False
    for part in location:
        if not is_tag and not _TYPE.match(part):
            path.append(part)
        fields = [parent.model_fields[part] for parent in models if part in parent.model_fields]
        is_tag = any(field.discriminator is not None for field in fields)
        models = _below(models, part) or models
    return path


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
