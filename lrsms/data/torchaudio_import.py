"""Imports torchaudio also where its compiled extension does not fit the installed torch.

torchaudio from PyPI is built for CUDA; beside a CPU-only torch its extension fails to load. Transforms, resampling and
filter banks need no extension, so a stand-in that declares it unavailable lets them be imported.
"""

import sys
import types

__all__ = ["torchaudio"]


def _fail_if_no_align(function):  # type: ignore[no-untyped-def]
    return function


try:
    import torchaudio
except (OSError, RuntimeError):
    _stand_in = types.ModuleType("torchaudio._extension")
    _stand_in._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    _stand_in._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
    _stand_in.fail_if_no_align = _fail_if_no_align  # type: ignore[attr-defined]
    sys.modules["torchaudio._extension"] = _stand_in
    import torchaudio
