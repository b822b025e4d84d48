"""Columns divided among threads, where and how often. `test_far` compares the results with those of one thread."""

import numba.core.event as event
import numpy as np
import pytest

from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel
from mlpbench.kernels.numba_simd.passes import packing
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import by_columns
from support.processes import printed

ByColumns = by_columns(NumbaSimdParallelKernel)
WIDE = ForwardSpec((784, 1024, 1024, 10))

#: Makes a parallel kernel and a serial one; says what was compiled, and whether their results are the same.
SCRIPT = """
import json, sys
import numba.core.event as event
import numpy as np
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

same, spec = [], ForwardSpec((784, 1000, 1030, 10), dtype=sys.argv[1])
with event.install_recorder("numba:compile") as compiled:
    parallel, serial = (cls(spec, seeded(spec)) for cls in (NumbaSimdParallelKernel, NumbaSimdKernel))
    describe = parallel.describe().as_dict()
    for rows in (1, 2, 7, 8, 9, describe["columns_below_rows"] - 1):
        x = np.random.default_rng(rows).random((rows, 784)).astype(spec.dtype)
        same.append(bool((parallel.forward(x) == serial.forward(x)).all()))
    same.append(bool((parallel.forward_one(x[0]) == serial.forward_one(x[0])).all()))
print(json.dumps({"compiled": len(compiled.buffer), "same": same, "describe": describe}))
"""


def test_a_batch_of_several_blocks_and_a_result_that_is_not_stale():
    spec = ForwardSpec((700, 800, 40))
    params = seeded(spec)
    kernel, serial = ByColumns(spec, params), NumbaSimdKernel(spec, params)
    x = np.random.default_rng(0).random((301, 700), np.float32)
    assert packing.block_rows(spec, kernel._shape) < 301
    for part in (x, x[:10], x[5:300], x[:1], x):
        np.testing.assert_array_equal(kernel.forward(part), serial.forward(part))
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


@pytest.mark.parametrize(("dtype", "threads"), [("float32", 4), ("float64", 2)])
def test_several_threads_give_the_same_and_compile_nothing_that_this_process_did(dtype, threads):
    """In the folder that every test uses: compiling it once more, for this test alone, takes long."""
    spec = ForwardSpec(WIDE.sizes, dtype=dtype)
    kernel, x = ByColumns(spec, seeded(spec)), np.ones((1, 784), dtype)
    with event.install_recorder("numba:compile") as called:
        kernel.forward(x)
        kernel.forward_one(x[0])
    assert not called.buffer, "no call compiles: it would be in the clock"
    said = printed(SCRIPT, dtype, NUMBA_NUM_THREADS=threads)
    assert said["compiled"] == 0
    assert said["describe"]["threads"] == threads
    assert said["describe"]["serial_below_rows"] == 1
    assert all(said["same"])
