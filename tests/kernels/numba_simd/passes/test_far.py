"""Networks that exceed the second-level cache, and columns divided among threads: the same results, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel
from mlpbench.kernels.numba_simd.passes import packing, program
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import by_columns, divided, specs

Divided, ByColumns = divided(NumbaSimdParallelKernel), by_columns(NumbaSimdParallelKernel)
WIDE = ForwardSpec((784, 1024, 1024, 10))


@settings(max_examples=15)
@given(specs(max_size=200), st.sampled_from([1, 2, 3, 8, 9, 31, 130]), st.integers(2, 5), st.integers(0, 9))
def test_far_away_and_divided_by_columns_the_results_are_the_same_to_the_bit(spec, rows, threads, seed):
    params = seeded(spec, seed)
    x = np.random.default_rng([seed, rows]).standard_normal((rows, spec.n_in)).astype(spec.dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "NARROW_BYTES", 0)
        near = NumbaSimdKernel(spec, params)
        patch.setattr(packing, "FAR_BYTES", 0)
        kernel, divided = NumbaSimdKernel(spec, params), by_columns(NumbaSimdParallelKernel, threads)(spec, params)
    assert (near._far, kernel._far) == (False, True)
    assert divided.describe().others["serial_below_rows"] == 1
    agree(near, params, x)
    for other in (kernel, divided):
        for part in (x, x[:1]):
            np.testing.assert_array_equal(other.forward(part), near.forward(part))
        np.testing.assert_array_equal(other.forward_one(x[0]), near.forward_one(x[0]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kernel_class", "sizes"),
    [(NumbaSimdKernel, (700, 800, 40)), (Divided, (700, 800, 40)), (ByColumns, (2100, 500)), (ByColumns, (4099, 158))],
)
def test_the_gate(kernel_class, sizes, dtype):
    for hidden in ("sigmoid", "relu"):
        assert check(kernel_class, ForwardSpec(sizes, hidden, dtype=dtype)).max_error_ratio < 0.5


def test_it_is_for_large_networks_and_not_for_an_index_of_zeros():
    kinds = (NumbaSimdKernel, MNIST), (NumbaSimdKernel, WIDE), (NumbaSimdSparseKernel, WIDE)
    programs = [program.compiled("float32", (), is_far=is_far) for is_far in (False, True, False)]
    assert [kind(spec, seeded(spec))._program for kind, spec in kinds] == programs


def test_a_batch_of_several_blocks_and_a_result_that_is_not_stale():
    spec = ForwardSpec((700, 800, 40))
    params = seeded(spec)
    kernel, serial = ByColumns(spec, params), NumbaSimdKernel(spec, params)
    x = np.random.default_rng(0).random((301, 700), np.float32)
    assert packing.block_rows(spec, kernel._shape) < 301
    for part in (x, x[:10], x[5:300], x[:1], x):
        np.testing.assert_array_equal(kernel.forward(part), serial.forward(part))
    np.testing.assert_array_equal(kernel.forward_one(x[0]), serial.forward_one(x[0]))
