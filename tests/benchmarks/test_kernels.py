"""Kernels are sorted by their names, and every one has a kind."""

import pytest

from benchmarks.kernels import REST, kind_of


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("nvjet_tst_192x192_64x4_2x1_v_bz_coopB_bias_TNN", "matrix products"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64", "matrix products"),
        ("void cutlass__5x_cudnn::Kernel<cutlass_tensorop_bf16_s16816wgrad_optimized>", "convolutions"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128>>", "attention"),
        ("fmha_cutlassB_bf16_aligned_64x64_k64_dropout_sm80", "attention"),
        (
            "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16, float>",
            "normalisations",
        ),
        ("void at::native::fused_dropout_kernel_vec<c10::BFloat16, float, unsigned int, 1, 4, bool>", "dropout"),
        (
            "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<TensorListMetadata<2>>",
            "optimizer and sums of gradients",
        ),
        ("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float>>", "sums and means"),
        ("void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda>", "copies and casts"),
        ("Memcpy HtoD (Pinned -> Device)", "copies and casts"),
        ("void at::native::(anonymous namespace)::ctc_loss_log_alpha_gpu_kernel<float, long>", "CTC"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>>", REST),
    ],
)
def test_a_kernel_has_a_kind(kernel: str, kind: str) -> None:
    assert kind_of(kernel) == kind
