"""An option for GPUs: the same bits every time, slower. On a CPU with one number of threads, that is so anyway."""

import os

import torch


def make_deterministic() -> None:
    """Lets PyTorch use deterministic kernels only, from now on; to be called before anything is computed on a GPU.

    CTC has none on a GPU, so that ``models.recognizer`` computes it on the CPU; nor have the fused kernels of attention
    a deterministic backward pass.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
