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
    others = ("lrsms.models", "lrsms.lowrank", "lrsms.training", "lrsms.statistics", "lrsms.report")
    for path in (PACKAGE / "data").rglob("*.py"):
        assert not any(name.startswith(others) for name in imports(path)), path


def test_nobody_imports_the_command_line() -> None:
    for path in MODULES:
        assert "lrsms.__main__" not in imports(path), path
        if path.parent.name != "verbs" and path.name != "__main__.py":
            assert not any(name.startswith("lrsms.verbs") for name in imports(path)), path


def test_statistics_know_of_nothing_of_ours_but_themselves() -> None:
    for path in (PACKAGE / "statistics").rglob("*.py"):
        ours = {name for name in imports(path) if name.startswith("lrsms")}
        assert all(name.startswith("lrsms.statistics") for name in ours), path


def without_torch() -> list[str]:
    """Every module from scores to figures and pages."""
    paths = [path for folder in ("statistics", "report") for path in (PACKAGE / folder).rglob("*.py")]
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in paths]
    return ["lrsms.study", "lrsms.config", "lrsms.score", "lrsms.record", *sorted(map(".".join, parts))]


def test_from_scores_to_figures_no_torch_is_loaded() -> None:
    """One process loads all of it; a module that brings torch is named."""
    check = (
        "import importlib, sys\n"
        "for module in sys.argv[1:]:\n"
        "    importlib.import_module(module.removesuffix('.__init__'))\n"
        "    if 'torch' in sys.modules: sys.exit(module)"
    )
    done = subprocess.run([sys.executable, "-c", check, *without_torch()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
