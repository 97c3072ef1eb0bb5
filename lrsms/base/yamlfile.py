"""YAML for configuration: plain data of a limited size, 1e-3 is a number, no key twice, errors of one line.

Everything in YAML beyond plain data is refused: merge keys, tags, and values that contain themselves. An alias counts
as the value that it stands for, because a few hundred bytes of aliases can stand for gigabytes.
Numbers that YAML 1.1 reads in a surprising way (010 is 8, and 1:30 is 90) are text.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lrsms.base.printable import printable, unseen

MOST_BYTES = 2**20
"""Largest size of a file. Those of this project have 10 kB at most."""
MOST_DEPTH = 50
"""Most lists and mappings inside one another."""
MOST_VALUES = 200_000
"""Most values of a file, with its aliases expanded."""
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"^[-+]?(0|[1-9][0-9_]{0,99}|0x[0-9a-fA-F_]{1,80})$"),
    "tag:yaml.org,2002:float": re.compile(
        r"^([-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+|[-+]?([0-9]+\.[0-9]*|\.[0-9]+)"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
}


class _Loader(yaml.SafeLoader):
    """Safe YAML of plain data."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.values = 0
        self.sizes: dict[str, int | None] = {}
        """Values below each anchor; None while it is not complete."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuses data that are not plain, too large or too deep, before anything is built from them."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        anchor: Any = getattr(event, "anchor", None)
        tag = getattr(event, "tag", None)
        before = self.values
        if isinstance(event, yaml.AliasEvent):
            if self.sizes.get(anchor, 0) is None:
                raise _refusal(f"'*{anchor}' stands for a value that contains it; write the values out", event)
            self.values += self.sizes.get(anchor) or 0
        if tag is not None:
            raise _refusal(f"could not determine a constructor for the tag '{tag}'; write plain values", event)
        if self.depth >= MOST_DEPTH:
            raise _refusal(f"more than {MOST_DEPTH} lists or mappings inside one another", event)
        if self.values >= MOST_VALUES:
            raise _refusal(f"more than {MOST_VALUES} values; configuration has fewer", event)
        if isinstance(event, yaml.AliasEvent):
            return super().compose_node(parent, index)  # type: ignore[arg-type]
        if anchor is not None:
            self.sizes[anchor] = None
        self.depth += 1
        self.values += 1 + len(getattr(event, "value", "")) // 100  # a long text, written out often, is much too
        node = super().compose_node(parent, index)  # type: ignore[arg-type]
        self.depth -= 1
        if anchor is not None:
            self.sizes[anchor] = self.values - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses a key that is given twice, a key that is neither a word nor a number, and merge keys."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                raise _refusal("merge keys ('<<') are not supported; write the keys out", key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refusal("a key must be a word, not a list or a mapping", key_node)
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise _refusal(f"key '{key}' is given twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """Refuses control characters, which would reach terminals and tables."""
        value = super().construct_scalar(node)
        if isinstance(value, str) and (code := unseen(value)):
            raise _refusal(f"control character {code} in '{value[:40]}'; remove it", node)
        return value


def _without_numbers(resolvers: Mapping[str, list[tuple[str, Any]]]) -> dict[str, list[tuple[str, Any]]]:
    return {first: [(tag, form) for tag, form in forms if tag not in _NUMBERS] for first, forms in resolvers.items()}


_Loader.yaml_implicit_resolvers = _without_numbers(_Loader.yaml_implicit_resolvers)
for _tag, _form in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, _form, list("-+0123456789."))


def parse_yaml(text: str, where: str) -> Any:
    """Plain data from YAML; else a ValueError of one line that names the place."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"{where}: has more than {MOST_BYTES >> 20} MiB; configuration has less")
    try:
        return yaml.load(text, _Loader)  # _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{where}:{line} {printable(str(error.problem))}") from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ValueError(f"{where}: not readable as YAML ({printable(str(error).splitlines()[0])})") from None


def merged(content: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A file's content with the values of Snakemake's ``--config``, which go before; mappings are merged, in its order.

    Snakemake leaves the numbers within a mapping text: they are read here.
    """
    both = dict(content)
    for key, value in given.items():
        before, after = both.get(key), _read(value)
        both[key] = merged(before, after) if isinstance(before, dict) and isinstance(after, dict) else after
    return both


def _read(value: Any) -> Any:
    """A value of ``--config``; text within it, and within it alone, may be a number, true, false or null."""
    if isinstance(value, dict):
        return {key: _number(one) if isinstance(one, str) else _read(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_number(one) if isinstance(one, str) else _read(one) for one in value]
    return value


def _number(text: str) -> Any:
    try:
        found = parse_yaml(text, "--config")
    except ValueError:
        return text
    return found if found is None or isinstance(found, bool | int | float) else text


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ValueError: one line: the file cannot be read, or holds no mapping of names.
    """
    try:
        with path.open("rb") as file:
            # A file without end, such as /dev/zero, is not read to its end.
            text = file.read(MOST_BYTES + 1).decode("utf-8")
    except FileNotFoundError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}){where_to_run(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"{path}: must be a mapping of keys to values")
    return content


def where_to_run(missing: Path) -> str:
    """A hint for a missing file or folder of the configuration: often the current folder is the wrong one."""
    if missing.is_absolute() or Path("workflow/config").is_dir():
        return ""
    root = Path(__file__).parents[2]
    clone = f"the clone ({root})" if (root / "workflow/config").is_dir() else "a clone of lrsms"
    return f"; run in the root folder of {clone}, where workflow/config lies, not in {Path.cwd()}"


def _refusal(problem: str, at: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, at.start_mark)  # type: ignore[arg-type]
