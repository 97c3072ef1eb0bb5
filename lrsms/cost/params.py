"""Parameters of a preset, by part and by matrix: the saving of low rank, known before anything is trained.

It also says how much state the optimizer keeps, and what each of its updates costs.
"""

import json
from typing import Any

from rich.table import Table

from lrsms.base.terminal import open_console
from lrsms.cost.random_data import vocabulary
from lrsms.methods.build import build_structure
from lrsms.methods.operations import parameters_by_part, plan_summary
from lrsms.study.files_as_values import ADAMW
from lrsms.study.run import Run
from lrsms.training.groups import Cost
from lrsms.training.optimizer import update_cost


def show_parameters(run: Run, as_json: bool) -> None:
    """Prints a run's parameters as tables or as JSON.

    The vocabulary of a character tokenizer depends on its corpus. Here, 30 characters are assumed.

    Raises:
        ValueError: a low-rank target matches nothing or a rank leaves [1, full].
    """
    size = vocabulary(run)
    model, plan = build_structure(run, size)
    dense, _ = build_structure(run.model_copy(update={"lowrank": None}), size)
    parts, parts_dense = parameters_by_part(model), parameters_by_part(dense)
    summary = plan_summary(model, plan)
    assert summary["parameters_dense"] == sum(parts_dense.values())
    trained, _ = build_structure(run, size, run.num_phases - 1)  # what is cut at the end is never updated
    optimizer = _optimizer(run, update_cost(run.train, trained))
    if as_json:
        by_part = {part: {"parameters_dense": parts_dense[part], "parameters": parts[part]} for part in parts}
        course = {"course": run.method.describe()} if run.method.describe() else {}
        content = {"vocabulary": size, "parts": by_part, "optimizer": optimizer, **course, **summary}
        print(json.dumps(content, indent=1))
        return
    # Wide enough for the longest name: a table that is piped into a file is not cut.
    console = open_console()
    table = Table(title=f"Parameters by part ({size} tokens)")
    for heading in ("part", "dense", "as trained", "times fewer"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part in parts:
        table.add_row(part, *_pair(parts_dense[part], parts[part]))
    table.add_section()
    table.add_row("total", *_pair(summary["parameters_dense"], summary["parameters"]))
    console.print(table)
    console.print(_by_kind(summary["matrices"]))
    console.print(
        f"Optimizer {optimizer['name']}: keeps {optimizer['state_bytes'] / 1e6:,.1f} MB; an update reads and writes"
        f" {optimizer['update_bytes'] / 1e6:,.1f} MB and takes {optimizer['update_multiply_adds'] / 1e9:,.1f} G"
        " multiply-adds (clipping not included).",
        soft_wrap=True,
        highlight=False,
    )
    if run.method.describe():
        console.print(
            f"The network is {run.method.describe()}. The tables count its last form.",
            soft_wrap=True,
            highlight=False,
        )


def _optimizer(run: Run, cost: Cost) -> dict[str, Any]:
    """The cost of a run's optimizer as plain data, its float32 numbers in bytes."""
    return {
        "name": run.train.optimizer or ADAMW,
        "state_bytes": 4 * cost.state,
        "update_bytes": 4 * cost.traffic,
        "update_multiply_adds": cost.multiply_adds,
    }


def _pair(dense: int, trained: int) -> tuple[str, str, str]:
    return f"{dense:,}", f"{trained:,}", f"{dense / trained:.2f}"


def _by_kind(matrices: list[dict[str, Any]]) -> Table:
    """One row for all layers of a kind; ranks that vary over depth as first .. last."""
    table = Table(title="Parameters by matrix (all layers of a kind together)")
    for heading in ("matrix", "layers", "shape", "break-even", "rank", "dense", "as trained"):
        table.add_column(heading, justify="left" if heading == "matrix" else "right")
    for kind in matrices:
        ranks = [rank for rank in kind["ranks"] if rank is not None]
        rank = "-" if not ranks else str(ranks[0]) if len(set(ranks)) == 1 else f"{ranks[0]} .. {ranks[-1]}"
        table.add_row(
            kind["name"],
            str(len(kind["layers"])),
            f"{kind['rows']} x {kind['columns']}",
            f"{kind['break_even']:.1f}",
            rank,
            f"{kind['parameters_dense']:,}",
            f"{kind['parameters']:,}",
        )
    return table
