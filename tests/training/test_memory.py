"""What counts as a device's memory being full."""

import pytest
import torch
from small import small_run
from torch import nn

from lrsms.training.memory import Memory, is_out_of_memory, out_of_memory

FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported asynchronously"),
]
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
]


@pytest.mark.parametrize("error", FULL)
def test_libraries_say_in_many_words_that_memory_is_full(error):
    assert is_out_of_memory(error)
    with pytest.raises(ValueError, match=r"lower 'train\.group_frames'"), out_of_memory(small_run()):
        raise error


@pytest.mark.parametrize(("free", "full"), [(2**30, True), (79 * 2**30, False)])
def test_a_convolution_without_an_algorithm_is_short_of_memory_where_little_is_free(monkeypatch, free, full):
    """If none of cuDNN's fits; where nearly all is free, cuDNN itself is broken, and that must be seen."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 80 * 2**30))
    error = RuntimeError("GET was unable to find an engine to execute this computation")
    assert is_out_of_memory(error) is full


@pytest.mark.parametrize("error", OTHERS)
def test_other_faults_of_a_device_are_not_hidden(error):
    assert not is_out_of_memory(error)
    with pytest.raises(RuntimeError, match=str(error)[:12]), out_of_memory(small_run()):
        raise error


@pytest.mark.parametrize("error", FULL)
def test_a_step_that_any_library_had_no_memory_for_is_repeated(error):
    failures = [error]

    def step():
        if failures:
            raise failures.pop()
        return "done"

    memory = Memory(nn.Linear(2, 2), small_run())
    with pytest.warns(UserWarning, match="memory is full"):
        assert memory.attempt(step) == "done"
    assert memory.recomputing
