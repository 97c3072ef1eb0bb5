"""Which part imports what: the rules of the house, read off the imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lrsms"
MODULES = sorted(PACKAGE.rglob("*.py"))


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


LAYERS = (
    *("base", "execution", "study", "statistics", "record", "models", "methods", "data"),
    *("decoding", "training", "cost", "report", "use", "watch", "verbs"),
)
"""The packages from the ground up: each imports those before it, and none of those after it."""
WORKFLOW = {
    *(
        "lrsms.base",
        "lrsms.base.files",
        "lrsms.base.yamlfile",
        "lrsms.cost.memory",
        "lrsms.execution",
        "lrsms.execution.local",
    ),
    *("lrsms.record", "lrsms.report", "lrsms.report.figures", "lrsms.study", "lrsms.study.project"),
}
"""What the workflow imports to name files and to ask for resources; everything else it does by verbs."""


def test_there_are_packages_only_and_each_has_its_layer() -> None:
    assert {path.relative_to(PACKAGE).parts[0] for path in MODULES} == {*LAYERS, "__init__.py", "__main__.py"}


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_down_only(package: str) -> None:
    allowed = LAYERS[: LAYERS.index(package) + 1]
    for path in (PACKAGE / package).rglob("*.py"):
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("lrsms.")}
        assert not {name for name in ours & set(LAYERS) if name not in allowed}, path


def names_of(path: Path) -> set[str]:
    """Names that a module defines, or, in ``__all__``, says that it hands on."""
    tree = ast.parse(path.read_text())
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            found |= set(ast.literal_eval(node.value))
    return found


def test_a_name_is_imported_from_the_module_that_defines_it() -> None:
    """So a name has one address, and what a module imports for itself is its own matter."""
    ours = [*MODULES, *sorted((ROOT / "benchmarks").glob("*.py"))]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in ours}
    names = {module: names_of(path) for module, path in modules.items()}
    elsewhere = [
        f"{path.relative_to(ROOT)}: {alias.name} from {node.module}"
        for path in [*ours, *sorted((ROOT / "tests").rglob("*.py"))]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in modules
        for alias in node.names
        if alias.name not in names[node.module] and f"{node.module}.{alias.name}" not in modules
    ]
    assert not elsewhere


@pytest.mark.parametrize("folder", ["models", "methods"])
def test_models_and_methods_need_torch_only(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        assert outside(path) <= {"torch"}, path


def test_models_do_not_know_of_records() -> None:
    for folder in ("models", "methods"):
        for path in (PACKAGE / folder).rglob("*.py"):
            assert not any(name.startswith("lrsms.record") for name in imports(path)), path


def test_data_does_not_know_of_models() -> None:
    for path in (PACKAGE / "data").rglob("*.py"):
        assert not any(name.startswith(("lrsms.models", "lrsms.methods")) for name in imports(path)), path


def test_statistics_know_of_nothing_of_ours_but_themselves() -> None:
    for path in (PACKAGE / "statistics").rglob("*.py"):
        ours = {name for name in imports(path) if name.startswith("lrsms")}
        assert all(name.startswith("lrsms.statistics") for name in ours), path


def test_report_knows_of_no_method_but_by_its_plan() -> None:
    known = ("lrsms.methods.plan", "lrsms.methods.closed_form")
    for path in (PACKAGE / "report").rglob("*.py"):
        assert all(name.startswith(known) for name in imports(path) if name.startswith("lrsms.methods")), path


NEED_TORCH = {"lrsms.base.devices", "lrsms.base.kernels", "lrsms.base.random_streams"}


def without_torch() -> list[str]:
    """Every module of what is asked, of what is recorded, and of all that is made from records.

    Methods are among them: their files say which parameters they have.
    """
    folders = ("base", "study", "methods/variants", "statistics", "record", "report")
    paths = [path for folder in folders for path in (PACKAGE / folder).rglob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths}
    return sorted(names - NEED_TORCH)


def test_from_scores_to_figures_no_torch_is_loaded() -> None:
    """One process loads all of it; a module that brings torch is named."""
    check = (
        "import importlib, sys\n"
        "for module in sys.argv[1:]:\n"
        "    importlib.import_module(module)\n"
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


def test_the_workflow_imports_no_more_than_it_needs_to_name_files_and_ask_for_resources() -> None:
    said = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert set(re.findall(r"^ *from (lrsms[\w.]*) import", said, flags=re.M)) == WORKFLOW
    assert not re.findall(r"^ *import lrsms", said, flags=re.M)


def test_nothing_is_unpickled_or_evaluated() -> None:
    for path in MODULES:
        found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        calls = {ast.unparse(node.func) for node in found if "weights_only=True" not in ast.unparse(node)}
        assert not calls & {"eval", "exec", "pickle.load", "pickle.loads", "torch.load", "yaml.unsafe_load"}, path
        assert not any("shell=True" in line for line in path.read_text().splitlines()), path


def test_files_and_functions_can_be_read_at_once() -> None:
    for path in MODULES:
        text = path.read_text()
        assert text.count("\n") <= 320, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                assert node.end_lineno - first.lineno < 70, f"{path}: {node.name}"
