"""Runs benchmarks and writes their results: ``python -m benchmarks [names] [--device cuda] [--small]``."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks import index
from benchmarks.figure import Figure, write
from lrsms.base.devices import keep_freed_memory
from lrsms.base.kernels import choose_kernels

NOT_ONE = (
    *("__main__", "elsewhere", "figure", "index", "shipped"),
    *("compare_auto_avsr", "compare_auto_avsr_import", "compare_auto_avsr_search"),
)
"""Modules that are no benchmark, and benchmarks that need a folder or files as arguments."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the named benchmarks, or all."""
    names = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in NOT_ONE)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(names)}; all if none is given")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--small", action="store_true", help="take seconds, only to see that it works; no result")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in names:
            sys.exit(f"error: there is no benchmark '{name}'; known: {', '.join(names)}")
    choose_kernels()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    if device.type == "cpu":  # as training does
        keep_freed_memory()
    for name in options.names or names:
        module = importlib.import_module(f"{benchmarks.__name__}.{name}")
        assert module.__doc__ is not None
        question = module.__doc__.splitlines()[0]
        publish(options.output, name, question, module.measure(device, options.small), device, options.small)


def publish(
    folder: Path, name: str, question: str, measured: Iterable[Figure], device: torch.device, small: bool
) -> None:
    """Writes the result of one benchmark (see ``figure.write``), and prints it.

    It is written after each figure: on a machine that is lent, time may be up before the last one.
    """
    figures: list[Figure] = []
    for one in measured:
        figures.append(one)
        path = write(folder, name, question, figures, device, small)
    index.write(folder)
    table = Table(title=question, title_justify="left")
    for column in ("figure", "value", "unit", "aim"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for figure in figures:
        value = "-" if figure.value is None else f"{figure.value:.4g}"
        table.add_row(figure.name, value, figure.unit, figure.aim)
    Console().print(table)
    print(path, file=sys.stderr)


if __name__ == "__main__":
    main()
