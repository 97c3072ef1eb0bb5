"""Files of ``workflow/config`` by their names."""

from pathlib import Path
from typing import Any

from lrsms.base.hints import did_you_mean
from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml, where_to_run
from lrsms.study.corpus import KINDS, Synthetic


def load_corpus(name: str, folder: Path) -> Any:
    """The corpus of ``corpora/<name>.yaml``.

    Raises:
        ValueError: one line: there is no such file, or it is no corpus.
    """
    path = named(folder / "corpora", name, "corpus")
    content = read_yaml(path)
    kind = content.get("kind")
    if kind == "held_out" and isinstance(content.get("of"), str):
        content["of"] = _rendered(content["of"], folder, path)
    if not isinstance(kind, str) or kind not in KINDS:
        hint = did_you_mean(str(kind), KINDS, f"known: {', '.join(KINDS)}")
        raise ValueError(f"{path}: 'kind' is {kind!r}; {hint}")
    return parse(KINDS[kind], {"name": name, **content}, str(path))


def load_preset(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The path and content of ``presets/<scale>-<task>.yaml``: model, training and tokenizer, complete.

    A preset that is ``like`` another one names only the fields that differ.

    Raises:
        ValueError: one line: there is no such preset, it has an unknown key, or it is not ``like`` a complete preset of
            its task.
    """
    path = named(folder / "presets", name, "preset")
    preset = read_preset(path)
    like = preset.pop("like", None)
    if like is None:
        return path, preset
    task = name.rpartition("-")[2]
    if not isinstance(like, str) or like.rpartition("-")[2] != task:
        raise ValueError(f"{path}: 'like' is {like!r}; give a preset of task '{task}'")
    try:
        other = named(folder / "presets", like, "preset")
    except ValueError as error:
        raise ValueError(f"{path}: 'like': {error}") from None
    complete = read_preset(other)
    if "like" in complete:
        raise ValueError(f"{path}: 'like' is '{like}', which is like another one itself; name that one")
    for key, value in preset.items():
        both = isinstance(value, dict) and isinstance(complete.get(key), dict)
        complete[key] = complete[key] | value if both else value
    return path, complete


def read_preset(path: Path) -> dict[str, Any]:
    """The content of a preset's file as it is written: one that is ``like`` another has only what differs.

    Raises:
        ValueError: one line: the file cannot be read, or has an unknown key.
    """
    preset = read_yaml(path)
    unknown = set(preset) - {"like", "tokenizer", "model", "train", "lowrank", "seed", "init_from"}
    if unknown:
        known = "a preset has tokenizer, model, train, seed, init_from, or is like another one"
        raise ValueError(f"{path}: unknown key '{min(unknown)}'; {known}")
    return preset


def named(folder: Path, name: str, what: str) -> Path:
    """The file ``<name>.yaml`` of a folder; a ValueError suggests the nearest name."""
    path = folder / f"{name}.yaml"
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder{where_to_run(folder)}")
    if not path.is_file():
        names = sorted(p.stem for p in folder.glob("*.yaml"))
        hint = did_you_mean(name, names, f"known: {', '.join(names) or 'none'}")
        raise ValueError(f"no {what} '{name}' in {folder}; {hint}")
    return path


def _rendered(name: str, folder: Path, path: Path) -> dict[str, Any]:
    """The content of the corpus that one held out in the file ``path`` is beside."""
    if read_yaml(named(folder / "corpora", name, "corpus")).get("kind") == "held_out":
        raise ValueError(f"{path}: 'of' is '{name}', which is held out itself; name a corpus of kind synthetic")
    corpus = load_corpus(name, folder)
    if not isinstance(corpus, Synthetic):
        raise ValueError(f"{path}: 'of' is '{name}', which is not rendered; name a corpus of kind synthetic")
    return corpus.model_dump(mode="json", exclude_none=True)
