"""Strict data: frozen models, read from plain data with one clear line where it is wrong, named by their content."""

import hashlib
import json
import math
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from lrsms import RESULTS_VERSION


class Frozen(BaseModel):
    """Immutable, with no unknown keys and no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def digest(content: Any, digits: int) -> str:
    """First hex digits of the SHA-256 of the canonical JSON of ``content`` and the results version."""
    text = canonical_json({"content": content, "results_version": RESULTS_VERSION})
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def canonical_json(content: Any) -> str:
    """One text per content: sorted keys, no blanks, None left out."""
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


def parse(model: type[Parsed], data: Any, where: str) -> Parsed:
    """Validates ``data`` (as read from YAML or JSON) strictly.

    Raises:
        ValueError: one line that names ``where`` and the key, what is wrong and, for an unknown key, the nearest name.
    """
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: {_not_plain(data) or f'not plain data ({error})'}") from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{where}: {_one_line(model, error)}") from None


def _not_plain(data: Any, path: str = "") -> str | None:
    """Which value is neither text, a finite number, a truth value nor made of such, and where it is."""
    if isinstance(data, dict):
        return next(filter(None, (_not_plain(value, f"{path}.{key}") for key, value in data.items())), None)
    if isinstance(data, list | tuple):
        return next(filter(None, (_not_plain(value, f"{path}.{index}") for index, value in enumerate(data))), None)
    if data is None or isinstance(data, str | int) or (isinstance(data, float) and math.isfinite(data)):
        return None
    return f"'{path[1:]}' is {data}: must be text, a finite number, true or false"


def _one_line(model: type[BaseModel], error: ValidationError) -> str:
    """The first of the errors, an unknown key before a missing one: a misspelling is both."""
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    path = _without_tags(model, [str(part) for part in first["loc"]])
    key = ".".join(path) or "content"
    match first["type"]:
        case "extra_forbidden":
            names = fields_at(model, path[:-1])
            near = get_close_matches(path[-1], names, n=1, cutoff=0.5)
            hint = f"did you mean '{'.'.join([*path[:-1], *near])}'?" if near else f"known: {', '.join(names)}"
            return f"unknown key '{key}'; {hint}"
        case "missing":
            return f"key '{key}' is missing"
        case "tuple_type" | "list_type":
            given = json.dumps(first["input"])[:80]
            return f"'{key}' is {given}: must be a list, such as [{given}]"
        case "value_error":
            return f"'{key}': {first['ctx']['error']}" if path else str(first["ctx"]["error"])
        case _:
            return f"'{key}' is {json.dumps(first['input'])[:80]}: {first['msg'][0].lower()}{first['msg'][1:]}"


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


def _without_tags(model: type[BaseModel], location: list[str]) -> list[str]:
    """Where an error is, as a user writes it: pydantic adds the tag of a tagged model, ``corpus.synthetic.seed``."""
    path: list[str] = []
    models, is_tag = [model], False
    for part in location:
        if not is_tag:
            path.append(part)
        fields = [parent.model_fields[part] for parent in models if part in parent.model_fields]
        is_tag = any(field.discriminator is not None for field in fields)
        models = _below(models, part) or models
    return path


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
