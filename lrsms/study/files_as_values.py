"""Fields whose values are files: ``lrsms/methods/inits/orthogonal.py`` is the value ``orthogonal`` of ``lowrank.init``.

To add a value, add a file. The names, and the options that a file has of its own, are known without importing the
files, which need PyTorch.
"""

import ast
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

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


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """A validator: returns a name that is one of these; else raises ValueError with the nearest name, or all names."""

    def known(name: str) -> str:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
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
            near = get_close_matches(name, options, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(options) or 'none'}"
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
    for node in ast.parse((_PACKAGE / f"training/optimizers/{optimizer}.py").read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["OPTIONS"]:
            options: dict[str, tuple[float, float, float]] = ast.literal_eval(node.value)
            return options
    return {}
