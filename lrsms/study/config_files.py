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
