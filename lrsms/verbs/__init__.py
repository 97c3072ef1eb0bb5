"""The verbs of the command line: every module here that has a function ``add`` adds its verbs to it."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType


def modules() -> Iterator[ModuleType]:
    """Yields the modules that have verbs, by name."""
    for info in pkgutil.iter_modules(__path__, f"{__name__}."):
        module = importlib.import_module(info.name)
        if hasattr(module, "add"):
            yield module
