"""Fields whose values are files: ``lrsms/methods/inits/orthogonal.py`` is the value ``orthogonal`` of ``lowrank.init``.

Whoever adds a file adds a value. The names are known without importing the files, which need PyTorch. Files of methods
are imported, since they say which parameters a method has; they need PyTorch only when the method acts.
"""

import importlib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args

from lrsms.study.method import Method

_PACKAGE = Path(__file__).parents[1]


def names_in(folder: str) -> tuple[str, ...]:
    """The names of the files in a folder of this package, in order."""
    return tuple(sorted(path.stem for path in (_PACKAGE / folder).glob("*.py") if path.stem != "__init__"))


INITS = names_in("methods/inits")
"""The initialisations of factors."""


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
    """A validator: gives a name back if it is one of these, and else raises ValueError with the nearest, or all."""

    def known(name: str) -> str:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
            raise ValueError(f"there is no '{name}'; {hint}")
        return name

    return known


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
