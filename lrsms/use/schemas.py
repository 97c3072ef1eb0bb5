"""JSON Schemas of what is written by hand, generated from the models that read it: editors complete and check by them.

They say which keys there are, of which type and range, and what each means. What depends on several keys at once is
said by ``check``.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from lrsms.base.files import write_atomically
from lrsms.execution import local
from lrsms.study import corpus, decoding, expand, project, run, tuning

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_MODULES = (corpus, decoding, run, tuning, expand, project, local)
_OF_A_PRESET = ("tokenizer", "model", "train", "seed", "init_from")


def schemas() -> dict[str, dict[str, Any]]:
    """The schemas by the names of their files, of ``config.yaml`` and of the files in its three folders."""
    return {
        "config": _config(),
        "corpus": _corpus(),
        "preset": _preset(),
        "study": _study(),
    }


def write(folder: Path) -> list[Path]:
    """Writes each as ``<name>.json``, and returns where."""
    paths = []
    for name, content in schemas().items():
        paths.append(folder / f"{name}.json")
        text = json.dumps({"$schema": _DRAFT} | content, indent=1, ensure_ascii=False)
        write_atomically(paths[-1], f"{text}\n".encode())
    return paths


def _config() -> dict[str, Any]:
    """The schema of ``config.yaml``, which may also say how jobs are executed."""
    content = _described(project.Project.model_json_schema())
    content["properties"] |= _described(local.Execution.model_json_schema())["properties"]
    del content["properties"]["corpora"]  # read from the files that conditions name
    return _without_unused(content)


def _corpus() -> dict[str, Any]:
    """The schema of a file in ``corpora``, whose name is the corpus's."""
    content = _described(TypeAdapter(corpus.Corpus).json_schema())
    for kind in content["$defs"].values():
        if "kind" in kind.get("properties", {}):
            del kind["properties"]["name"]
            kind["required"].remove("name")
    beside = content["$defs"]["HeldOut"]["properties"]
    beside["of"] = {"type": "string", "description": beside["of"]["description"]}
    return {"title": "Corpus"} | content


def _preset() -> dict[str, Any]:
    """The schema of a file in ``presets``, whose name is scale and task.

    A preset that is ``like`` another one need not have all fields.
    """
    content = _described(run.Run.model_json_schema())
    properties = {name: content["properties"][name] for name in _OF_A_PRESET}
    whole = {"properties": properties, "required": [name for name in content["required"] if name in _OF_A_PRESET]}
    like = {
        "type": "string",
        "description": "A preset of the same task, from which this one differs in the fields here.",
    }
    part = {"properties": {"like": like, **dict.fromkeys(_OF_A_PRESET, True)}}
    closed: dict[str, Any] = {"additionalProperties": False}
    chosen = {"if": {"required": ["like"]}, "then": part | closed, "else": whole | closed}
    for key in ("properties", "required", "additionalProperties"):
        content.pop(key, None)
    described = {"title": "Preset", "description": "The dense baseline of a scale and a task."}
    return _without_unused(content | chosen | described)


def _study() -> dict[str, Any]:
    """The schema of a file in ``studies``; keys of its grids are the fields of a run, or several joined by commas."""
    content = _described(expand.Study.model_json_schema())
    fields = dict(_fields(run.Run))
    axes = {
        name: {"type": "array", "minItems": 1, **({"description": text} if text else {})}
        for name, text in fields.items()
        if name.split(".")[0] not in expand.SETTINGS
    }
    grid = {"type": "object", "properties": axes, "additionalProperties": {"type": "array"}}
    content["$defs"]["Grid"] = grid
    grids = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Grid"}}
    content["properties"]["grids"] |= grids
    content["properties"]["presets"] |= {"additionalProperties": grids}
    return content


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and descriptions of all fields that hold no others."""
    for name, field in model.model_fields.items():
        parts = [field.annotation, *get_args(field.annotation)]
        inner = [part for part in parts if inspect.isclass(part) and issubclass(part, BaseModel)]
        if inner:
            yield from _fields(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _texts(sys.modules[model.__module__]).get((model.__name__, name), "")


def _described(content: dict[str, Any]) -> dict[str, Any]:
    """Adds what stands below each field in the source, which pydantic does not look at by itself."""
    texts = {key: text for module in _MODULES for key, text in _texts(module).items()}
    for model in (content, *content.get("$defs", {}).values()):
        for name, field in model.get("properties", {}).items():
            owner = next((key for key in _lineage(model.get("title", "")) if (key, name) in texts), None)
            if owner is not None:
                field["description"] = texts[owner, name]
    return content


def _lineage(name: str) -> list[str]:
    """A model and those that it has fields from."""
    model = next((getattr(module, name) for module in _MODULES if hasattr(module, name)), None)
    return [] if model is None else [base.__name__ for base in model.__mro__]


@cache
def _texts(module: ModuleType) -> Mapping[tuple[str, str], str]:
    """By class and field the text below the field."""
    found = {}
    for owner in ast.parse(inspect.getsource(module)).body:
        if isinstance(owner, ast.ClassDef):
            for field, text in zip(owner.body, owner.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    said = text.value if isinstance(text, ast.Expr) else None
                    if isinstance(said, ast.Constant) and isinstance(said.value, str):
                        found[owner.name, field.target.id] = " ".join(said.value.split())
    return found


def _without_unused(content: dict[str, Any]) -> dict[str, Any]:
    """Leaves out definitions that nothing refers to."""
    while True:
        text = json.dumps(content)
        unused = [name for name in content["$defs"] if f'"#/$defs/{name}"' not in text]
        if not unused:
            return content
        content["$defs"] = {name: one for name, one in content["$defs"].items() if name not in unused}
