"""Dotted fields of a run, such as ``train.lr``: how to set, read, compare and describe them."""

from collections.abc import Iterable, Mapping
from typing import Any

from lrsms.base.strict import canonical_json
from lrsms.study.lowrank import LowRank
from lrsms.study.run import Run

_WHOLE = ("lowrank.ratio",)
"""Fields that may be a mapping, of which the keys are no fields."""


def overlay(base: Mapping[str, Any], point: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of ``base`` with dotted fields set; the first field of a section that is off (None) switches it on.

    Raises:
        ValueError: one line that begins with ``where``: a field is sought in what is no section.
    """
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in base.items()}
    for field, value in point.items():
        *sections, leaf = field.split(".")
        target = result
        for section in sections:
            inner = target.get(section)
            if inner is not None and not isinstance(inner, dict):
                raise ValueError(f"{where}: '{field}': '{section}' has no fields of its own")
            target[section] = dict(inner) if inner else {}
            target = target[section]
        target[leaf] = value
    return result


def value_of(run: Run, field: str) -> Any:
    """The value of a dotted field; None in a section that is off."""
    value: Any = run
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return value


def difference(baseline: Run, run: Run) -> dict[str, Any]:
    """Dotted fields in which ``run`` differs from ``baseline``, in the order of the config; the seed is left out.

    None stands for a field or section that the run switches off.
    """
    # Most runs of a study differ from its baseline in one section.
    changed = {name for name in Run.model_fields if name != "seed" and getattr(run, name) != getattr(baseline, name)}
    usual = {f"lowrank.{name}": field.default for name, field in LowRank.model_fields.items() if name != "targets"}
    set_before = {
        key: value for key, value in _flatten(baseline.model_dump(include=changed)).items() if value is not None
    }
    before = usual | set_before
    sections_before = {key[:dot] for key in set_before for dot in range(len(key)) if key[dot] == "."}

    def differs(key: str, value: Any) -> bool:
        if value is None:
            return key in set_before or key in sections_before
        return before.get(key) != value

    after = _flatten(run.model_dump(include=changed))
    return {key: value for key, value in after.items() if differs(key, value)}


def describe(varied: Mapping[str, Any]) -> str:
    """A short name of what varies, e.g. ``encoder.attention-0.25-random``; ``dense`` where nothing does."""
    words = []
    for field, value in varied.items():
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else None
        text = "off" if value is None else str(value) if parts is None else "+".join(map(str, parts))
        speaks = field in ("lowrank.targets", "lowrank.ratio") or (
            field.startswith("lowrank.") and isinstance(value, str)
        )
        words.append(text if speaks else f"{field.split('.')[-1]}{text}")
    return "-".join(words) or "dense"


def short_name(field: str) -> str:
    """What a dotted field is called in tables and legends: its last part, and ``method`` of ``lowrank.method.name``."""
    return field.removesuffix(".name").split(".")[-1]


def as_text(value: Any) -> str:
    """A field's value as people write it; nothing for None. A mapping is in the order of its keys."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {as_text(part)}" for key, part in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return " ".join(map(as_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def without(run: Run, names: Iterable[str]) -> str:
    """Canonical JSON of a run without its seed and the dotted fields of ``names``: equal for all runs of a cell."""
    content = run.model_dump(mode="json", exclude={"seed"})
    for name in names:
        *sections, leaf = name.split(".")
        inner: Any = content
        for section in sections:
            inner = inner.get(section) or {}
        inner.pop(leaf, None)
    return canonical_json(content)


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" not in _WHOLE:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
