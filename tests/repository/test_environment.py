"""pyproject.toml, constraints.txt and environment.yml describe one environment."""

import ast
import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_every_requirement_is_a_range_that_its_pin_satisfies(requirement: Requirement) -> None:
    assert not any(specifier.operator == "==" for specifier in requirement.specifier)
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier


def test_every_installed_package_is_pinned() -> None:
    """So that a new environment has what was tested, down to the last dependency."""
    installed = {canonicalize_name(d.metadata["Name"]) for d in distributions()}
    brought_by_tools = {"lrsms", "pip", "setuptools", "wheel"}
    # A CUDA build of torch brings NVIDIA's libraries, which follow torch's own pins.
    missing = {
        name for name in installed - brought_by_tools - set(PINS) if not name.startswith(("nvidia", "triton", "cuda"))
    }
    assert not missing


def test_torch_and_python_are_asked_for_as_promised() -> None:
    ranges = {requirement.name: requirement.specifier for requirement in REQUIREMENTS}
    assert "2.11" in ranges["torch"] and "2.11" in ranges["torchaudio"] and "2.10" not in ranges["torch"]
    python = SpecifierSet(PROJECT["requires-python"])
    assert "3.11" in python and "3.12" in python and "3.10" not in python
    assert ".".join(map(str, sys.version_info[:2])) in python


def test_conda_installs_this_package_with_these_constraints() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip = environment["dependencies"][0], environment["dependencies"][-1]["pip"]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])
    assert pip == ["--constraint constraints.txt", "-e .[dev]"]


def test_a_job_has_the_requirements_at_their_pins_in_conda_too() -> None:
    environment = yaml.safe_load((ROOT / "workflow/envs/lrsms.yaml").read_text())
    needed = [Requirement(text).name for text in PROJECT["dependencies"]]
    assert environment["dependencies"][-1]["pip"] == [f"{name}=={PINS[canonicalize_name(name)]}" for name in needed]


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {
        name.split(".")[0] for name in plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    }


def test_every_import_is_a_requirement() -> None:
    provided = {"yaml": "pyyaml", "espeakng_loader": "espeakng-loader", "numpy": "numpy", "jinja2": "jinja2"}
    provided |= {"markdown_it": "markdown-it-py"}
    optional = [Requirement(text) for extra in PROJECT["optional-dependencies"].values() for text in extra]
    names = {canonicalize_name(requirement.name) for requirement in [*REQUIREMENTS, *optional]}
    for path in (ROOT / "lrsms").rglob("*.py"):
        for top in sorted(imported(path)):
            if top != "lrsms" and top not in sys.stdlib_module_names:
                assert canonicalize_name(provided.get(top, top)) in names, f"{path}: {top}"
