"""The same numbers on every x86-64 processor, whoever made it: kernels that do not depend on its instruction set.

PyTorch, oneDNN, MKL, OpenBLAS and NumPy choose the fastest kernels that a processor has, and each kernel rounds in its
own way. So the same training ends with other weights on another processor. These settings allow only what every x86-64
processor has. They must be set before PyTorch and NumPy are loaded. The number of threads still matters.
"""

import os
import platform

SETTINGS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3",
}
"""Variables of the environment and their values: of PyTorch, MKL, oneDNN, OpenBLAS and NumPy (2.4 or later)."""


def is_portable() -> bool:
    """Whether this process was started with all settings, on a processor that they are for."""
    return is_possible() and all(os.environ.get(name) == value for name, value in SETTINGS.items())


def is_possible() -> bool:
    """Whether the settings mean anything to this processor."""
    return platform.machine().lower() in ("x86_64", "amd64")
