"""Adds a grid to the text of a study's file; every other line stays as it is, comments too."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from lrsms.base.yamlfile import parse_yaml


def grid_lines(grid: Mapping[str, Sequence[Any]]) -> list[str]:
    """A grid as the item of a list in YAML, a line for each axis."""
    axes = [f"{_flow(name)}: {_flow(list(values))}" for name, values in grid.items()]
    return [f"{'  ' if number else '- '}{axis}" for number, axis in enumerate(axes)]


def with_grid(text: str, preset: str, comment: Sequence[str], grid: Mapping[str, Sequence[Any]], where: str) -> str:
    """The text of a study with one more grid at the end of those of a preset.

    Args:
        text: of the study's file, which was read before.
        preset: ``<scale>-<task>``.
        comment: lines above the grid.
        grid: axes and their values.
        where: the file, for messages.

    Raises:
        ValueError: one line: the file is written in a way to which no line can be added.
    """
    new = [*(f"# {line}" for line in comment), *grid_lines(grid)]
    lines = text.rstrip("\n").split("\n")
    root: Any = yaml.compose(text, yaml.SafeLoader)
    presets = _value(root, "presets")
    if presets is None:
        lines += ["presets:", f"  {preset}:", *_indented(new, 4)]
    else:
        _refuse_flow(presets, where)
        own = _value(presets, preset)
        if own is None:
            column = presets.value[0][0].start_mark.column
            added = [f"{' ' * column}{preset}:", *_indented(new, column + 2)]
        else:
            _refuse_flow(own, where)
            added = _indented(new, own.start_mark.column)
        end = _last_line(own or presets) + 1
        lines[end:end] = added
    result = "\n".join(lines) + "\n"
    expected = parse_yaml(text, where)
    expected.setdefault("presets", {}).setdefault(preset, []).append(parse_yaml("\n".join(grid_lines(grid)), where)[0])
    if parse_yaml(result, where) != expected:
        raise ValueError(f"{where}: a grid cannot be added at the end of presets.{preset}; write it there by hand")
    return result


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n...\n").removesuffix("\n")


def _indented(lines: Sequence[str], columns: int) -> list[str]:
    return [" " * columns + line for line in lines]


def _value(mapping: Any, key: str) -> Any:
    return next((value for name, value in mapping.value if name.value == key), None)


def _refuse_flow(node: Any, where: str) -> None:
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        raise ValueError(f"{where}: 'presets' is not written as a block of lines; add the grid by hand")


def _last_line(node: Any) -> int:
    """The line on which a node ends; the mark of a block would be that of what comes after it."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        return int(node.end_mark.line)
    parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
    return max(map(_last_line, parts))
