"""One file per initialisation of the factors; its name is the value of ``lowrank.init``.

A file ``<name>.py`` has one function, ``factors(weight, rank, scheme, generator)``, from the dense initial ``W (m, n)``
to ``U (m, r)`` and ``V^T (r, n)``. The names are known without PyTorch, which the files import.
"""

import pkgutil
from difflib import get_close_matches

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def known(name: str) -> str:
    """The name, if there is such an initialisation.

    Raises:
        ValueError: there is none; with the nearest name, or all.
    """
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(NAMES)}"
        raise ValueError(f"there is no '{name}'; {hint}")
    return name
