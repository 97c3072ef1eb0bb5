"""Which part imports what: the rules of the house, read off the imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lrsms"
MODULES = sorted(PACKAGE.rglob("*.py"))
OURS = {"lrsms.config", "lrsms.streams"}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""}
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "lrsms"}
    return found


def outside(path: Path) -> set[str]:
    """Top-level packages that are neither ours nor Python's."""
    tops = {name.split(".")[0] for name in imports(path)}
    return tops - set(sys.stdlib_module_names) - {"lrsms"}


@pytest.mark.parametrize("folder", ["models", "lowrank"])
def test_models_and_low_rank_need_torch_only(folder: str) -> None:
    allowed = ("lrsms.models", "lrsms.lowrank", *OURS)
    for path in (PACKAGE / folder).rglob("*.py"):
        assert outside(path) <= {"torch"}, path
        assert all(name == "lrsms" or name.startswith(allowed) for name in imports(path) if name.startswith("lrsms")), (
            path
        )


def test_models_do_not_know_of_low_rank() -> None:
    for path in (PACKAGE / "models").glob("*.py"):
        assert not any("lowrank" in name for name in imports(path)), path


def test_data_does_not_know_of_models() -> None:
    for path in (PACKAGE / "data").rglob("*.py"):
        assert not any(name.startswith(("lrsms.models", "lrsms.lowrank", "lrsms.train")) for name in imports(path)), (
            path
        )


def test_nobody_imports_the_command_line() -> None:
    for path in MODULES:
        assert "lrsms.__main__" not in imports(path), path


@pytest.mark.parametrize(
    "module",
    [
        *("study", "config", "score", "stats", "effects", "mapsswe", "power", "record", "aggregate", "paired", "pairs"),
        *("cells", "tables", "figures.write", "claims", "verdicts", "outcomes", "verdict_table", "results"),
    ],
)
def test_from_scores_to_figures_no_torch_is_loaded(module: str) -> None:
    check = f"import sys, lrsms.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_workflow_only_calls_verbs() -> None:
    for path in [ROOT / "workflow/Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]:
        lines = [line.strip() for line in path.read_text().splitlines()]
        assert not any(
            line.startswith(("script:", "run:", "notebook:", "import torch", "import pandas")) for line in lines
        ), path


def test_nothing_is_unpickled_or_evaluated() -> None:
    for path in MODULES:
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        assert not calls & {"eval", "exec", "pickle.load", "pickle.loads", "torch.load", "yaml.unsafe_load"}, path
        assert not any("shell=True" in line for line in path.read_text().splitlines()), path
