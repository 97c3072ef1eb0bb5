"""Fields whose values are files: ``lrsms/methods/inits/orthogonal.py`` is the value ``orthogonal`` of ``lowrank.init``.

To add a value, add a file. The names, and the options that an optimizer's file has, are known without importing the
files, which need PyTorch. Files of methods are imported, since they say which parameters a method has; they need
PyTorch only when the method acts.
"""

import ast
import importlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args

from lrsms.base.hints import did_you_mean
from lrsms.study.method import Method

_PACKAGE = Path(__file__).parents[1]


def names_in(folder: str) -> tuple[str, ...]:
    """The names of the files in a folder of this package, in order."""
    return tuple(sorted(path.stem for path in (_PACKAGE / folder).glob("*.py") if path.stem != "__init__"))


INITS = names_in("methods/inits")
"""The initialisations of factors."""
METRICS = names_in("record/metrics")
"""What is counted of each utterance."""
OPTIMIZERS = names_in("training/optimizers")
"""The optimizers."""
ADAMW = "adamw"
"""The optimizer of a run that names none."""


def methods_in(folder: str) -> dict[str, type[Method]]:
    """The methods of a folder of this package, by name: of each file, the class that it defines.

    Raises:
        ImportError: one line: a file has not one such class, or its class has another name.
    """
    found: dict[str, type[Method]] = {}
    for name in names_in(folder):
        module = importlib.import_module(f"{_PACKAGE.name}.{folder.replace('/', '.')}.{name}")
        own = [it for it in vars(module).values() if isinstance(it, type) and it.__module__ == module.__name__]
        methods = [it for it in own if issubclass(it, Method)]
        if len(methods) != 1 or get_args(methods[0].model_fields["name"].annotation) != (name,):
            raise ImportError(f'{module.__file__}: must define one Method, with the field name: Literal["{name}"]')
        found[name] = methods[0]
    return found


METHODS = methods_in("methods/variants")
"""What becomes of planned matrices; ``plain`` is what None stands for."""
PLAIN = METHODS["plain"].model_validate({})
if TYPE_CHECKING:
    AnyMethod = Method
else:
    AnyMethod = Union[tuple(METHODS.values())]  # noqa: UP007 (there are as many as there are files)


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """A validator: returns a name that is one of these; else raises ValueError with the nearest name, or all names."""

    def known(name: str) -> str:
        if name not in names:
            hint = did_you_mean(name, names, f"known: {', '.join(names)}")
            raise ValueError(f"there is no '{name}'; {hint}")
        return name

    return known


def unless_adamw(name: str | None) -> str | None:
    """A validator: None for AdamW, so that a run which names it is the run that names none."""
    return None if name in (None, ADAMW) else one_of(OPTIMIZERS)(name)


def own_options(optimizer: str, given: Mapping[str, float | None]) -> dict[str, float] | None:
    """Those of the given options that differ from the defaults of the optimizer's file; None where none does.

    Raises:
        ValueError: one line: it has no such option, or the value is no number of its kind or out of range.
    """
    options = _options_of(optimizer)
    differing: dict[str, float] = {}
    for name, value in given.items():
        if name not in options:
            hint = did_you_mean(name, options, f"it has {', '.join(options) or 'none'}")
            raise ValueError(f"optimizer '{optimizer}' has no option '{name}'; {hint}")
        default, least, greatest = options[name]
        if value is None:
            continue
        if isinstance(default, int) and value != int(value):
            raise ValueError(f"'{name}' is {value:g}, but must be a whole number")
        if not least <= value <= greatest:
            raise ValueError(f"'{name}' is {value:g}, but must be from {least:g} to {greatest:g}")
        if value != default:
            differing[name] = type(default)(value)
    return differing or None


def all_options(optimizer: str, given: Mapping[str, float | None] | None) -> dict[str, float]:
    """Every option of an optimizer, with its default where it is not given."""
    differing = own_options(optimizer, given or {}) or {}
    return {name: default for name, (default, *_) in _options_of(optimizer).items()} | differing


@cache
def _options_of(optimizer: str) -> dict[str, tuple[float, float, float]]:
    """``OPTIONS`` of an optimizer's file: the default, the least and the greatest value of each."""
    options: dict[str, tuple[float, float, float]] = _constant(f"training/optimizers/{optimizer}.py", "OPTIONS", {})
    return options


@cache
def discards_matrix(init: str) -> bool:
    """``DISCARDS_MATRIX`` of an initialisation's file: the factors are random, whatever the dense matrix holds."""
    return bool(_constant(f"methods/inits/{init}.py", "DISCARDS_MATRIX", False))


def _constant(path: str, name: str, default: Any) -> Any:
    """The value of a plain constant of a file of this package, which is not imported; the default if it has none."""
    for node in ast.parse((_PACKAGE / path).read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    return default


def named_method(value: Any) -> Any:
    """A validator for data that are to become a method; plain low rank by its name becomes None.

    Raises:
        ValueError: one line: there is no method of this name, with the nearest one, or there is no name.
    """
    if value is not None and not isinstance(value, Method):
        if not isinstance(value, dict) or not isinstance(name := value.get("name"), str):
            raise ValueError(f"must be a mapping with a name, such as {{name: {max(METHODS)}}}")
        one_of(tuple(METHODS))(name)
    return None if value == {"name": str(PLAIN)} else value
