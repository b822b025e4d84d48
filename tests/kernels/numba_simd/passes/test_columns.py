"""Columns divided among threads, where and how often. `test_far` compares the results with those of one thread."""

import numba.core.event as event
import numpy as np
import pytest

from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel
from mlpbench.kernels.numba_simd.passes import packing
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import by_columns

ByColumns = by_columns(NumbaSimdParallelKernel)
WIDE = ForwardSpec((784, 1024, 1024, 10))


def test_a_batch_of_several_blocks_and_a_result_that_is_not_stale():
    spec = ForwardSpec((700, 800, 40))
    params = seeded(spec)
    kernel, serial = ByColumns(spec, params), NumbaSimdKernel(spec, params)
    x = np.random.default_rng(0).random((301, 700), np.float32)
    assert packing.block_rows(spec, kernel._shape) < 301
    kernel.forward(x)
    with event.install_recorder("numba:compile") as compiled:
        for part in (x, x[:10], x[5:300], x[:1], x):
            np.testing.assert_array_equal(kernel.forward(part), serial.forward(part))
        np.testing.assert_array_equal(kernel.forward_one(x[0]), serial.forward_one(x[0]))
    assert not compiled.buffer, "no call compiles: it would be in the clock"
    with pytest.raises(ValueError, match="does not have the shape that the network takes"):
        kernel.forward(x[:, 1:].copy())


def test_columns_are_divided_in_wide_networks_by_several_threads_and_nowhere_else():
    alone = by_columns(NumbaSimdParallelKernel, threads=1)(WIDE, seeded(WIDE))
    assert alone.describe().others["columns_below_rows"] is None
    assert alone._few is alone._serial
    narrow, wide = (NumbaSimdParallelKernel(spec, seeded(spec)) for spec in (MNIST, WIDE))
    if narrow.describe().threads == 1:
        pytest.skip("one thread")
    assert narrow.describe().others["columns_below_rows"] is None
    assert narrow._few is narrow._serial
    assert wide.describe().others["serial_below_rows"] == 1
    assert wide.describe().others["columns_below_rows"] == wide._parallel_rows
    assert wide._few not in (wide._serial, wide._parallel)
