"""Columns divided among threads: the results are those of one thread, to the bit, for any network."""

import numba.core.event as event
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel
from mlpbench.kernels.numba_simd.passes import packing
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.assembly import printed
from support.contestants import by_columns, specs

ByColumns = by_columns(NumbaSimdParallelKernel)
WIDE = ForwardSpec((784, 1024, 1024, 10))

#: Makes a parallel kernel and a serial one; says what was compiled, and whether their results are the same.
SCRIPT = """
import json, sys
import numba.core.event as event
import numpy as np
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import ForwardSpec

same, spec = [], ForwardSpec((784, 1000, 1030, 10), dtype=sys.argv[1])
with event.install_recorder("numba:compile") as compiled:
    parallel, serial = (cls(spec, seeded(spec)) for cls in (NumbaSimdParallelKernel, NumbaSimdKernel))
    describe = parallel.describe()
    for rows in (1, 2, 7, 8, 9, describe["columns_below_rows"] - 1):
        x = np.random.default_rng(rows).random((rows, 784)).astype(spec.dtype)
        same.append(bool((parallel.forward(x) == serial.forward(x)).all()))
    same.append(bool((parallel.forward_one(x[0]) == serial.forward_one(x[0])).all()))
print(json.dumps({"compiled": len(compiled.buffer), "same": same, "describe": describe}))
"""


@settings(max_examples=25)
@given(
    spec=specs(max_size=200),
    rows=st.sampled_from([1, 2, 3, 8, 9, 31, 130]),
    threads=st.integers(2, 5),
    seed=st.integers(0, 9),
)
def test_the_results_are_those_of_one_thread_to_the_bit(spec, rows, threads, seed):
    params = seeded(spec, seed)
    x = np.random.default_rng([seed, rows]).standard_normal((rows, spec.n_in)).astype(spec.dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "NARROW_BYTES", 0)
        serial = NumbaSimdKernel(spec, params)
        patch.setattr(packing, "FAR_BYTES", 0)
        divided = by_columns(NumbaSimdParallelKernel, threads)(spec, params)
    assert divided.describe()["serial_below_rows"] == 1
    expected = serial.forward(x).copy()
    agree(serial, params, x)
    np.testing.assert_array_equal(divided.forward(x), expected)
    np.testing.assert_array_equal(divided.forward(x[:1]), serial.forward(x[:1]))
    np.testing.assert_array_equal(divided.forward_one(x[0]), serial.forward_one(x[0]))


@pytest.mark.parametrize("sizes", [(784, 1024, 1024, 10), (2100, 500), (4099, 158), (700, 800, 40)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gate(sizes, dtype):
    for hidden in ("sigmoid", "relu"):
        assert check(ByColumns, ForwardSpec(sizes, hidden, dtype=dtype)).max_error_ratio < 0.5


def test_a_batch_of_several_blocks_and_a_result_that_is_not_stale():
    spec = ForwardSpec((700, 800, 40))
    params = seeded(spec)
    kernel, serial = ByColumns(spec, params), NumbaSimdKernel(spec, params)
    x = np.random.default_rng(0).random((301, 700), np.float32)
    assert packing.block_rows(spec, kernel._shape) < 301
    for part in (x, x[:10], x[5:300], x[:1], x):
        np.testing.assert_array_equal(kernel.forward(part), serial.forward(part))


def test_what_does_not_have_the_shape_is_refused():
    kernel = ByColumns(WIDE, seeded(WIDE))
    for call, x in ((kernel.forward, np.zeros((3, 783), "f")), (kernel.forward_one, np.zeros(783, "f"))):
        with pytest.raises(ValueError, match="shape"):
            call(x)


def test_columns_are_divided_in_wide_networks_and_nowhere_else():
    narrow, wide = (NumbaSimdParallelKernel(spec, seeded(spec)) for spec in (MNIST, WIDE))
    if narrow.describe()["threads"] == 1:
        pytest.skip("one thread")
    assert narrow.describe()["columns_below_rows"] is None
    assert narrow._few is narrow._serial
    assert wide.describe()["serial_below_rows"] == 1
    assert wide.describe()["columns_below_rows"] == wide._parallel_rows
    assert wide._few not in (wide._serial, wide._parallel)


def test_one_thread_divides_nothing():
    kernel = by_columns(NumbaSimdParallelKernel, threads=1)(WIDE, seeded(WIDE))
    assert kernel.describe()["columns_below_rows"] is None
    assert kernel._few is kernel._serial


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_threads_or_four_give_the_same_and_compile_nothing_that_this_process_did(dtype):
    """In the folder that every test uses: compiling it once more, for this test alone, takes long."""
    spec = ForwardSpec(WIDE.sizes, dtype=dtype)
    kernel, x = ByColumns(spec, seeded(spec)), np.ones((1, 784), dtype)
    with event.install_recorder("numba:compile") as called:
        kernel.forward(x)
        kernel.forward_one(x[0])
    assert not called.buffer, "no call compiles: it would be in the clock"
    for threads in (4, 2):
        said = printed(SCRIPT, dtype, NUMBA_NUM_THREADS=threads)
        assert said["compiled"] == 0
        assert said["describe"]["threads"] == threads
        assert said["describe"]["serial_below_rows"] == 1
        assert all(said["same"])
