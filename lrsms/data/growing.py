"""A NumPy file that grows with each recording, so that no corpus has to fit in memory."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class GrowingArray:
    """Appends arrays along the first axis of an ``.npy`` file, and hashes them.

    Without a path, for a corpus that is read in place, it only computes the hash. The hash is the same in both cases.
    """

    def __init__(self, path: Path | None, dtype: str, shape: tuple[int, ...] = ()) -> None:
        """Args: the file; its NumPy type; the shape of one element along the first axis."""
        self._dtype, self._shape = np.dtype(dtype), shape
        self._hash = hashlib.sha256()
        self._length = 0
        self._file = path.open("wb") if path is not None else None
        self._write_header()
        self._start = self._file.tell() if self._file is not None else 0

    def append(self, elements: np.ndarray) -> None:
        """Adds ``(N, *shape)``."""
        assert elements.dtype == self._dtype and elements.shape[1:] == self._shape, (elements.dtype, elements.shape)
        content = np.ascontiguousarray(elements).data
        self._hash.update(content)
        if self._file is not None:
            self._file.write(content)
        self._length += len(elements)

    @property
    def hash(self) -> str:
        """SHA-256 of all elements so far."""
        return self._hash.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Completes the file."""
        if self._file is None:
            return
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._write_header()
                assert self._file.tell() == self._start, "the header grew into the elements"

    def _write_header(self) -> None:
        """NumPy leaves room in the header for the length of the first axis to grow, so that it can be written over."""
        if self._file is not None:
            header = {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self._length, *self._shape),
            }
            np.lib.format.write_array_header_1_0(self._file, header)
