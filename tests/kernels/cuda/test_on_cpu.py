"""CUDA on the CPU: it does what CUDA says, and what a device would do wrongly in silence is refused in words."""

import numpy as np
import pytest

from support.on_cpu.raw import CpuRawKernel, CpuRawModule, LaunchError, Launching, compiler, sanitized
from support.on_cpu.rewritten import entries, for_a_cpu

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")

#: Kernels that are right, and kernels with one fault each; T and WIDTH are names that a header might use.
SOURCE = """
extern "C" __global__ void __launch_bounds__(THREADS, 2) mirrored(const T* __restrict__ x, T* y, int n) {
    extern __shared__ __align__(16) T memory[];
    const int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    memory[t] = i < n ? x[i] : 0;
    if (t != WITHOUT) __syncthreads();
    if (i < n) y[i] = memory[THREADS - 1 - t];
}
extern "C" __global__ void shuffled(const double* x, double* y, unsigned* counts) {
    const int t = threadIdx.x;
    __shared__ double kept[64];
    kept[t] = __shfl_down_sync(0xffffffffu, x[t], 1);
    __syncwarp();
    y[t] = __shfl_up_sync(0xffffffffu, kept[t ^ 1], 2, 8) + __shfl_xor_sync(0xffffffffu, x[t], 3);
    if (t % 32 < 8) y[t] += __shfl_sync(0xffu, x[t], 7);
    y[t] += __shfl_xor_sync(0xffffffffu, x[t], 16);
    atomicAdd(counts, __popc(__activemask()));
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
extern "C" __global__ void reads4(const float* x, float* y, int at) {
    *reinterpret_cast<float4*>(y) = __ldcg(reinterpret_cast<const float4*>(x + at));
}
extern "C" __global__ void multiplies(const float* x, float* y, int rows) { y[0] = x[rows * 784 < 0]; }
extern "C" __global__ void keeps_nothing(float* y) {
    __shared__ float never_written[4];
    y[threadIdx.x] = never_written[threadIdx.x];
}
extern "C" __global__ void far_away(const float* x, float* y, long long at) { y[blockIdx.x] = x[at]; }
extern "C" __global__ void copied(const float4* x, float4* y, int wait) {
    extern __shared__ __align__(16) float4 quads[];
    const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(quads + threadIdx.x));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + threadIdx.x) : "memory");
    if (wait) asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    y[threadIdx.x] = quads[threadIdx.x ^ 1];
}
extern "C" __global__ void times(long long* t) {
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t[0]));
    t[1] = clock64();
}
"""
OPTIONS = ("-DTHREADS=64", "-DT=float", "-DWITHOUT=-1", "-DWIDTH=3")
X = np.arange(100, dtype=np.float32)


@pytest.fixture(scope="module")
def module():
    return CpuRawModule(code=SOURCE, options=OPTIONS)


@pytest.fixture(autouse=True)
def forward(module):
    module.launching = Launching()


def nothing(n, dtype=np.float32):
    return np.full(n, np.nan, dtype)


def mirrored(kernel, shared_mem=256):
    y = nothing(100)
    kernel((2,), (64,), (X, y, np.int32(100)), shared_mem=shared_mem)
    return y


def test_threads_come_in_every_order_and_wait_for_each_other(module):
    kernel = module.get_function("mirrored")
    padded = np.append(X, np.zeros(28, np.float32)).reshape(2, 64)
    for order in range(5):
        module.launching = Launching(order)
        assert (mirrored(kernel) == padded[:, ::-1].reshape(-1)[:100]).all()
    module.launching = Launching(blocks=(1, 2))
    assert np.isnan(mirrored(kernel)[:64]).all(), "of the grid only the blocks asked for"
    with pytest.raises(LaunchError, match=r"a barrier in block 0 never opens: 1 of its 64 threads have returned"):
        mirrored(CpuRawKernel(SOURCE, "mirrored", (*OPTIONS[:2], "-DWITHOUT=5", "-DWIDTH=3")))


def test_a_warp_exchanges_what_cuda_says(module):
    x, y, counts = np.random.default_rng(0).random(64), nothing(64, np.float64), np.zeros(1, np.uint32)
    module.get_function("shuffled")((1,), (64,), (x, y, counts))
    lanes = np.arange(64)
    kept = np.where(lanes % 32 == 31, x, np.roll(x, -1))
    crossed = kept[lanes ^ 1]
    want = np.where(lanes % 8 < 2, crossed, np.roll(crossed, 2)) + x[lanes ^ 3]
    want += np.where(lanes % 32 < 8, x[lanes // 32 * 32 + 7], 0)
    want += x[lanes ^ 16]
    assert (y == want).all()
    assert counts == 64 * 32


def test_products_of_a_warp_are_products_of_matrices(module):
    numbers = np.random.default_rng(1)
    for name, k in (("product8", 8), ("product16", 16)):
        A, B = (numbers.integers(-9, 9, shape).astype(np.float32) for shape in ((16, k), (k, 8)))
        product = nothing((16, 8))
        module.get_function(name)((1,), (32,), (A, B, product))
        assert (product == A @ B + (k == 8)).all()


def test_what_is_copied_has_arrived_when_it_is_waited_for(module):
    for wait in (0, 1):
        y = nothing(16)
        module.get_function("copied")((1,), (4,), (X[:16], y, np.int32(wait)), shared_mem=64)
        assert np.isnan(y).all() if not wait else (y.reshape(4, 4) == X[:16].reshape(4, 4)[[1, 0, 3, 2]]).all()


@pytest.mark.parametrize("size", [252, 128, 0])
def test_shared_memory_has_its_exact_size(module, size):
    with pytest.raises(LaunchError, match=rf"byte {size} of dynamic shared memory, which has {size}"):
        mirrored(module.get_function("mirrored"), size)


def test_what_nobody_wrote_is_no_number(module):
    y = np.zeros(4, np.float32)
    module.get_function("keeps_nothing")((1,), (4,), (y,))
    assert np.isnan(y).all()


def test_what_is_undefined_ends_the_launch(module):
    y = nothing(4)
    module.get_function("reads4")((1,), (1,), (X, y, np.int32(4)))
    assert (y == X[4:8]).all()
    with pytest.raises(LaunchError, match="16 bytes are loaded or stored at an address that 16 does not divide"):
        module.get_function("reads4")((1,), (1,), (X, y, np.int32(1)))
    with pytest.raises(LaunchError, match="thread 0 of block 0 does what C\\+\\+ leaves undefined"):
        module.get_function("multiplies")((1,), (1,), (X, y, np.int32(2**31 // 784 + 1)))
    with pytest.raises(LaunchError, match="which is neither shared memory nor an array's"):
        module.get_function("far_away")((1,), (1,), (X, y, np.int64(2**45)))


def test_a_device_has_clocks(module):
    t = np.zeros(2, np.int64)
    module.get_function("times")((1,), (1,), (t,))
    assert 0 < t[0] <= t[1]


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
        (
            (X, X.copy(), np.int32(9)),
            64,
            60000,
            "60000 bytes of shared memory, and max_dynamic_shared_size_bytes",
        ),
    ],
)
def test_what_cupy_would_take_without_a_word_is_refused(module, arguments, block, shared, said):
    with pytest.raises(LaunchError, match=said):
        module.get_function("mirrored")((1,), (block,), arguments, shared_mem=shared)


def test_what_is_no_kernel_is_said(module):
    with pytest.raises(LaunchError, match="the source has no kernel 'other': it has mirrored, shuffled"):
        module.get_function("other")
    with pytest.raises(LaunchError, match="ptx_vote_sync_all_pred"):
        CpuRawModule(code='extern "C" __global__ void f() { asm("vote.sync.all.pred %0, 1;" : "=r"(a)); }').compile()


def test_nothing_is_rewritten_but_assembler_and_shared_memory():
    text = '"cvt.x %0, [%1], {%2, 3};\\n"\n  "mov.u64 %0, %%clock;"'
    source = f'a;\nasm volatile({text} : "=f"(f(a, b)[1]), "r"(p) : "n"((2)));\nb;'
    assert for_a_cpu(source) == (
        "a;\nptx_cvt_x((f(a, b)[1]), (p), ((2)), 3); ptx_mov_u64((f(a, b)[1]), ptx_register_clock());\n\nb;".replace(
            ";\n\nb", "\n;\nb"
        )
    )
    assert for_a_cpu(SOURCE).count("\n") == SOURCE.count("\n"), "errors name the line of the source"
    assert entries(SOURCE)["mirrored"] == "THREADS, 2"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("sanitizer", "options", "size", "said"),
    [
        ("thread", OPTIONS, 256, ""),
        ("address, undefined", OPTIONS, 256, ""),
        ("address, undefined", OPTIONS, 252, "AddressSanitizer: heap-buffer-overflow"),
        ("thread", OPTIONS, None, "ThreadSanitizer: data race"),
    ],
)
def test_sanitizers_find_what_is_planted_and_nothing_else(sanitizer, options, size, said):
    source = SOURCE if size else SOURCE.replace("if (t != WITHOUT) __syncthreads();", "")
    y = nothing(100)
    found = sanitized(
        CpuRawKernel(source, "mirrored", options), sanitizer, (2,), (64,), (X, y, np.int32(100)), shared_mem=size or 256
    )
    assert said in found
    assert bool(said) == bool(found)
    assert said or (y[:64] == X[63::-1]).all()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "what", "wrong"), [("multiplies", np.int32(2**31 // 784 + 1), True), ("multiplies", np.int32(9), False)]
)
def test_what_is_undefined_ends_a_program_under_its_sanitizer(module, name, what, wrong):
    kernel = module.get_function(name)
    found = sanitized(kernel, "address, undefined", (1,), (1,), (X, nothing(4), what))
    assert found == ("UndefinedBehaviorSanitizer: trapped" if wrong else "")
