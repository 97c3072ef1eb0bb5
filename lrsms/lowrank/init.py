"""Initial factors of a matrix, from its dense initial value: every file of ``inits``, by its name."""

import importlib

from lrsms.lowrank import inits
from lrsms.lowrank.factors import Init

INITS: dict[str, Init] = {name: importlib.import_module(f"{inits.__name__}.{name}").factors for name in inits.NAMES}
