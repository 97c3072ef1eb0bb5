"""Figures of step times that were measured on another machine, such as a GPU that was lent for minutes.

Run it as ``python -m benchmarks.elsewhere FILE...``. A file is what ``lrsms stepbench --output`` or ``lrsms steptime``
wrote there. All must be of one device. Cases for which no time was left are left out.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks import figure, index, stepbench
from benchmarks.figure import Figure
from lrsms.base.files import read_json, write_json
from lrsms.cost.case import Row
from lrsms.cost.stepbench import TIME_WAS_UP
from lrsms.statistics.stats import median_ratio


def figures_of(paths: Sequence[Path]) -> dict[str, Any]:
    """The content of a benchmark's file, from the files of other machines.

    Raises:
        ValueError: one line: a file is of neither kind, or files are of several devices.
    """
    figures: list[Figure] = []
    origins: list[dict[str, Any]] = []
    for path in paths:
        content = read_json(path, "copy it again")
        if "rows" in content:
            names = {field.name for field in fields(Row)}
            rows = [Row(**{key: value for key, value in row.items() if key in names}) for row in content["rows"]]
            figures += stepbench.figures_of([row for row in rows if row.why_not != TIME_WAS_UP], {})
        elif "run_ms" in content:
            figures += _of_step_time(path, content)
        else:
            raise ValueError(f"{path}: is of neither lrsms stepbench nor lrsms steptime")
        origins.append({key: content[key] for key in ("device", "threads", "provenance")})
    if len({origin["device"] for origin in origins}) != 1:
        raise ValueError(f"{paths[0]}: is of another device than a file after it; figures of several do not compare")
    return figure.content("stepbench", (stepbench.__doc__ or "").splitlines()[0], figures, origins[0])


def _of_step_time(path: Path, content: dict[str, Any]) -> list[Figure]:
    """The speed-up of a step time; nothing for the dense network itself."""
    if content["baseline"]:
        return []
    preset, kept = path.stem.rpartition("-")[0], content["shape"]["lowrank"]
    train = content["shape"]["train"]
    count = train["groups_per_step"]
    frames = f"{count} group{'s' if count > 1 else ''} of {train['group_frames']} frames"
    setting = f"{frames}, {content['precision']}, {content['mode']}"
    ratio, interval = median_ratio(content["baseline_ms"], content["run_ms"])
    details = {key: content[key] for key in ("baseline_ms", "run_ms", "ceiling")}
    details["speedup_interval"] = (interval.low, interval.high)
    name = f"{preset}, {setting}, {kept['ratio']:g} kept: speed over dense"
    return [Figure(name, ratio, "x", stepbench.AIMS.get(preset, ""), details)]


def main() -> None:
    """Writes ``stepbench-cuda.json`` and the page of its folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.elsewhere", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write")
    options = parser.parse_args()
    try:
        content = figures_of(options.files)
    except ValueError as error:
        sys.exit(f"error: {error}")
    write_json(options.output / "stepbench-cuda.json", content)
    index.write(options.output)


if __name__ == "__main__":
    main()
