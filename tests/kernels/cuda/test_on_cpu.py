"""CUDA on the CPU does what CUDA says, and refuses arguments that CuPy would pass wrongly.

Which faults of a kernel it finds: `test_mutants`.
"""

import numpy as np
import pytest

from support.on_cpu.raw import CpuRawModule, LaunchError, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")

#: Kernels that are right; T and WIDTH are names that a header might use.
SOURCE = """
extern "C" __global__ void __launch_bounds__(THREADS, 2) mirrored(const T* __restrict__ x, T* y, int n) {
    extern __shared__ __align__(16) T memory[];
    const int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    memory[t] = i < n ? x[i] : 0;
    __syncthreads();
    if (i < n) y[i] = memory[THREADS - 1 - t];
}
extern "C" __global__ void product8(const float* A, const float* B, float* C) {
    const int l = threadIdx.x, g = l >> 2, q = l & 3;
    unsigned a[4], b[2];
    for (int i = 0; i < 4; ++i)
        asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(a[i]) : "f"(A[(g + 8 * (i & 1)) * 8 + q + 4 * (i >> 1)]));
    for (int i = 0; i < 2; ++i) b[i] = __float_as_uint(B[(q + 4 * i) * 8 + g]) & 0xffffe000u;
    float c[4] = {1, 1, 1, 1};
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    for (int i = 0; i < 4; ++i) C[(g + 8 * (i >> 1)) * 8 + 2 * q + (i & 1)] = c[i];
}
extern "C" __global__ void product16(const float* A, const float* B, float* C) {
    const int l = threadIdx.x, g = l >> 2, q = l & 3;
    unsigned a[4], b[2];
    for (int i = 0; i < 4; ++i) {
        const float* from = A + (g + 8 * (i & 1)) * 16 + 2 * q + 8 * (i >> 1);
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(a[i]) : "f"(from[1]), "f"(from[0]));
    }
    for (int i = 0; i < 2; ++i)
        asm("cvt.rn.f16x2.f32 %0, %1, %2;"
            : "=r"(b[i]) : "f"(B[(2 * q + 8 * i + 1) * 8 + g]), "f"(B[(2 * q + 8 * i) * 8 + g]));
    float c[4] = {};
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    for (int i = 0; i < 4; ++i) C[(g + 8 * (i >> 1)) * 8 + 2 * q + (i & 1)] = c[i];
}
"""
OPTIONS = ("-DTHREADS=64", "-DT=float", "-DWIDTH=3")
X = np.arange(100, dtype=np.float32)


@pytest.fixture(scope="module")
def module():
    return CpuRawModule(code=SOURCE, options=OPTIONS)


def nothing(n, dtype=np.float32):
    return np.full(n, np.nan, dtype)


def test_products_of_a_warp_are_products_of_matrices(module):
    numbers = np.random.default_rng(1)
    for name, k in (("product8", 8), ("product16", 16)):
        A, B = (numbers.integers(-9, 9, shape).astype(np.float32) for shape in ((16, k), (k, 8)))
        product = nothing((16, 8))
        module.get_function(name)((1,), (32,), (A, B, product))
        assert (product == A @ B + (k == 8)).all()


@pytest.mark.parametrize(
    ("arguments", "block", "shared", "said"),
    [
        ((X, X.copy(), 100), 64, 256, r"argument 2 of mirrored has to be np.int32\(...\), and is int: CuPy would pass"),
        ((X, X.copy(), np.int64(9)), 64, 256, r"argument 2 of mirrored has to be np.int32\(...\), and is int64"),
        ((X, X[::2], np.int32(9)), 64, 256, "argument 1 of mirrored is not contiguous"),
        ((X, X.astype(float), np.int32(9)), 64, 256, "argument 1 of mirrored is an array of float64"),
        ((X, 3.0, np.int32(9)), 64, 256, "argument 1 of mirrored has to be an array, and is float"),
        ((X, X.copy()), 64, 256, "mirrored takes 3 arguments, and not 2"),
        ((X, X.copy(), np.int32(9)), 96, 384, "a block of mirrored has at most 64 threads, and not 96"),
        ((X, X.copy(), np.int32(9)), 64, 60000, "60000 bytes of shared memory, and max_dynamic_shared_size_bytes"),
    ],
)
def test_what_cupy_would_take_without_a_word_is_refused(module, arguments, block, shared, said):
    with pytest.raises(LaunchError, match=said):
        module.get_function("mirrored")((1,), (block,), arguments, shared_mem=shared)


def test_what_is_no_kernel_is_said(module):
    with pytest.raises(LaunchError, match="the source has no kernel 'other': it has mirrored, product8"):
        module.get_function("other")
    with pytest.raises(LaunchError, match="ptx_vote_sync_all_pred"):
        CpuRawModule(code='extern "C" __global__ void f() { asm("vote.sync.all.pred %0, 1;" : "=r"(a)); }').compiled()
