"""The page ``results/bench/README.md``: every figure that was measured, from the files beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json, write_atomically

_HEAD = """# What is claimed of speed
Measured by `make bench` and written by it from the files beside this page, which hold every repetition. Figures of one
row were measured in turns in one process, or as whole processes; figures of different devices do not compare. `-`: this
device cannot show it.
"""


def write(folder: Path) -> None:
    """Writes the page from the files of a folder; small forms, which are no results, are left out.

    Raises:
        ValueError: one line: a file is not readable.
    """
    write_atomically(folder / "README.md", render(folder).encode())


def render(folder: Path) -> str:
    """The page as Markdown, a section for each benchmark and device; other files, as of ``stepbench``, are none."""
    sections = []
    for path in sorted(folder.glob("*.json")):
        content = read_json(path, "delete it and measure again")
        if not content.get("small", True):
            origin = content["provenance"]
            threads = f", {content['threads']} threads" if path.stem.endswith("-cpu") else ""
            place = f"{content['device']}{threads}; {origin['date']}, torch {origin['packages']['torch']}"
            rows = ["| figure | value | aim |", "| --- | ---: | --- |"]
            rows += [f"| {f['name']} | {_value(f)} | {f['aim']} |" for f in content["figures"]]
            sections.append("\n".join([f"## {content['question']}", f"[{path.name}]({path.name}): {place}\n", *rows]))
    return "\n\n".join([_HEAD.rstrip("\n"), *sections]) + "\n"


def _value(figure: Mapping[str, Any]) -> str:
    """The value with its unit, and its 95% interval where it has one."""
    if figure["value"] is None:
        return "-"
    interval = figure["details"].get("interval")
    between = "" if interval is None else f" [{interval['low']:.3g}, {interval['high']:.3g}]"
    return f"{figure['value']:.3g}{between} {figure['unit']}"
