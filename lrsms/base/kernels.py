"""Says which kernels PyTorch may choose on a GPU. It is set once in a process, before anything is computed there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def choose_kernels() -> None:
    """Excludes cuDNN's attention, from now on.

    PyTorch 2.11 prefers cuDNN's attention for bfloat16 on Hopper. It makes a plan for every new shape, which takes
    about a second, and training has hundreds of shapes. It rounds the dropout rate to sixteenths. It can also return
    NaN (pytorch issue 196678), and the run would then be recorded as diverged.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def make_deterministic() -> None:
    """Lets PyTorch use deterministic kernels only, from now on: the same bits every time, slower.

    On a CPU with a fixed number of threads the bits are always the same. CTC has no deterministic kernel on a GPU, so
    ``models.recognizer`` computes it on the CPU. The fused kernels of attention have no deterministic backward pass.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Within the block, sets the precision of matrix products and convolutions of float32 numbers.

    Args:
        precision: ``float32``, both; ``tf32``, neither; ``default``, PyTorch's own: products in float32, convolutions
            in TF32. Under ``bfloat16``, what autocast leaves in float32 is as by default.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
