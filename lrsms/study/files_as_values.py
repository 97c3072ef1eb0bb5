"""Fields whose values are files: ``lrsms/methods/inits/orthogonal.py`` is the value ``orthogonal`` of ``lowrank.init``.

To add a value, add a file. The names are known without importing the files, which need PyTorch.
"""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def names_in(folder: str) -> tuple[str, ...]:
    """The names of the files in a folder of this package, in order."""
    return tuple(sorted(path.stem for path in (_PACKAGE / folder).glob("*.py") if path.stem != "__init__"))


INITS = names_in("methods/inits")
"""The initialisations of factors."""
METRICS = names_in("record/metrics")
"""What is counted of each utterance."""


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """A validator: returns a name that is one of these; else raises ValueError with the nearest name, or all names."""

    def known(name: str) -> str:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
            raise ValueError(f"there is no '{name}'; {hint}")
        return name

    return known
