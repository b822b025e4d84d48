"""CUDA on the CPU refuses arguments that CuPy would pass wrongly. Which faults of a kernel it finds: `test_mutants`."""

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
"""
OPTIONS = ("-DTHREADS=64", "-DT=float", "-DWIDTH=3")
X = np.arange(100, dtype=np.float32)


@pytest.fixture(scope="module")
def module():
    return CpuRawModule(code=SOURCE, options=OPTIONS)


@pytest.mark.parametrize(
    ("arguments", "block", "shared", "said"),
    [
        ((X, X.copy(), 100), 64, 256, r"argument 2 of mirrored has to be np.int32\(...\), and is int: CuPy would pass"),
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
    with pytest.raises(LaunchError, match="the source has no kernel 'other': it has mirrored"):
        module.get_function("other")
    with pytest.raises(LaunchError, match="ptx_vote_sync_all_pred"):
        CpuRawModule(code='extern "C" __global__ void f() { asm("vote.sync.all.pred %0, 1;" : "=r"(a)); }').compiled()
