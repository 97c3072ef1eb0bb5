"""Loads the initialisations of factors: every file of ``inits``, by its name."""

import importlib

from lrsms.methods import inits
from lrsms.methods.factors import Init
from lrsms.study.files_as_values import INITS as NAMES

INITS: dict[str, Init] = {name: importlib.import_module(f"{inits.__name__}.{name}").factors for name in NAMES}
