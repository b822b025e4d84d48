"""The kernels with explicit vectors: any specification, bad input, accuracy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.kernels import reference
from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_numba_simd import (
    FLOP_PER_THREAD,
    NumbaSimdKernel,
    NumbaSimdParallelKernel,
    NumbaSimdSparseKernel,
)
from mlpbench.kernels.numba_simd.passes import packing
from mlpbench.kernels.params import Params, seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.divided import divided
from support.specs import specs

Divided = divided(NumbaSimdParallelKernel)
KERNELS = [NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel, Divided]
kernels = pytest.mark.parametrize("kernel_class", KERNELS)

#: Around every tile: a row alone, rows left over at each height, and each number of vectors of rows.
ROWS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 65, 80])


def some_inputs(spec, rows, seed, scale=1.0, density=1.0):
    generator = np.random.default_rng([seed, rows])
    x = scale * generator.standard_normal((rows, spec.n_in)) * (generator.random((rows, spec.n_in)) < density)
    return x.astype(spec.dtype)


@kernels
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), spec=specs(max_size=140), rows=ROWS, seed=st.integers(0, 9))
def test_any_specification(kernel_class, data, spec, rows, seed):
    params = seeded(spec, seed)
    kernel = kernel_class(spec, params)
    scale, density = data.draw(st.sampled_from([0.0, 1.0, 30.0])), data.draw(st.sampled_from([0.1, 0.6, 1.0]))
    agree(kernel, params, some_inputs(spec, rows, seed, scale, density))
    agree(kernel, params, some_inputs(spec, rows // 2 + 1, seed + 1, scale, density))
    agree(kernel, params, some_inputs(spec, 2, seed, scale, density), singly=True)


@kernels
@pytest.mark.parametrize(
    "sizes",
    [(784, 50, 100, 10), (1, 1), (300, 1, 200), (65, 64, 63, 129), (200, 1000), (2100, 50, 3), (4099, 17)],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gate(kernel_class, sizes, dtype):
    for hidden in ("sigmoid", "relu"):
        assert check(kernel_class, ForwardSpec(sizes, hidden, dtype=dtype)).max_error_ratio < 0.5


@kernels
def test_a_wide_network_goes_through_in_blocks(kernel_class):
    spec = ForwardSpec((700, 600, 40))
    assert spec.weight_bytes() > packing.NARROW_BYTES
    params = seeded(spec)
    kernel = kernel_class(spec, params)
    agree(kernel, params, np.random.default_rng(0).random((301, 700), np.float32))


@kernels
@pytest.mark.parametrize("hidden", ["sigmoid", "relu", "step"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sizes", [(7, 5, 3), (70, 50, 3)], ids=str)
def test_nan_and_infinity_stay_in_their_row_and_go_where_the_formula_puts_them(kernel_class, hidden, bad, sizes):
    """The padding must not turn an infinity into NaN, nor swallow a NaN."""
    spec = ForwardSpec(sizes, hidden, "identity")
    params = seeded(spec)
    x = np.random.default_rng(0).random((13, sizes[0]), np.float32)
    x[4, 2] = bad
    with np.errstate(invalid="ignore"):
        expected = reference.forward(spec, params, x)
    got = kernel_class(spec, params).forward(x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-5)
    assert np.isfinite(np.delete(got, 4, axis=0)).all()


@kernels
@pytest.mark.parametrize("where", [(2, 1), (2, 49)], ids=["in a tile", "in a single column"])
def test_a_nan_among_the_weights_shows(kernel_class, where):
    spec = ForwardSpec((70, 50, 3), "relu", "softmax")
    params = seeded(spec)
    params.weights[0][where] = np.nan
    assert np.isnan(kernel_class(spec, params).forward(np.ones((6, 70), np.float32))).all()


def test_zeros_hide_a_bad_weight_from_the_sparse_kernel_alone():
    """What its docstring says: skipped is skipped."""
    spec = ForwardSpec((70, 48), output="identity")
    params = seeded(spec)
    params.weights[0][2, 1] = np.inf
    x = np.ones((4, 70), np.float32)
    x[:, :20] = 0
    assert np.isfinite(NumbaSimdSparseKernel(spec, params).forward(x)).all()
    assert np.isnan(NumbaSimdKernel(spec, params).forward(x)[:, 1]).all()


@kernels
@pytest.mark.parametrize(("dtype", "ulps"), [("float32", 3), ("float64", 3)])
def test_sigmoid_is_as_near_as_it_says(kernel_class, dtype, ulps):
    n = 160
    spec = ForwardSpec((n, n, n), "sigmoid", "identity", dtype)
    kernel = kernel_class(spec, Params((np.eye(n), np.eye(n)), (np.zeros(n), np.zeros(n))))
    x = np.sort(np.random.default_rng(0).uniform(-80, 20, (200, n))).astype(dtype)
    expected = reference.sigmoid(x.astype(np.longdouble))
    distance = np.abs(kernel.forward(x) - expected) / np.spacing(expected.astype(dtype))
    assert (distance <= ulps + 0.2 * np.maximum(-x, 0)).all()


@kernels
def test_a_result_is_not_stale_and_buffers_follow_the_batch(kernel_class):
    params = seeded(MNIST)
    kernel = kernel_class(MNIST, params)
    x = np.random.default_rng(0).random((300, 784), np.float32)
    whole = kernel.forward(x).copy()
    for rows in (300, 10, 11, 1, 299):
        assert kernel.forward(x[:rows]) == pytest.approx(whole[:rows], abs=3e-6)
        assert kernel.forward(x[-rows:]) == pytest.approx(whole[-rows:], abs=3e-6)
    assert kernel.forward_one(x[5]) == pytest.approx(whole[5], abs=3e-6)


@kernels
def test_it_writes_nothing_beside_the_output_and_takes_what_may_not_be_written_to(kernel_class):
    kernel = kernel_class(MNIST, seeded(MNIST))
    memory = np.full((43, 784), np.nan, np.float32)
    x = memory[1:42]
    x[:] = np.random.default_rng(0).random(x.shape, np.float32)
    expected = kernel.forward(x.copy()).copy()
    memory.flags.writeable = False
    np.testing.assert_array_equal(kernel.forward(memory[1:42]), expected)
    guarded = np.full((43, 10), -7, np.float32)
    kernel._network.write_to(guarded[1:42])
    kernel._serial(x, kernel._address)
    assert (guarded[0] == -7).all()
    assert (guarded[42] == -7).all()
    assert guarded[1:42] == pytest.approx(expected, abs=3e-6)


@kernels
@pytest.mark.parametrize(
    "x",
    [np.zeros((3, 783), "f"), np.zeros((3, 784)), np.zeros((784, 3), "f").T, [[0.0] * 784]],
    ids=["n_in", "d", "F", "l"],
)
def test_what_it_was_not_compiled_for_is_refused_and_not_read_out_of_bounds(kernel_class, x):
    with pytest.raises((ValueError, TypeError)):
        kernel_class(MNIST, seeded(MNIST)).forward(x)


@kernels
def test_one_row_of_another_length_is_refused(kernel_class):
    with pytest.raises(ValueError, match="shape"):
        kernel_class(MNIST, seeded(MNIST)).forward_one(np.zeros(783, np.float32))


def test_threads_are_used_from_the_same_work_on_for_any_specification():
    for sizes in ((784, 50, 100, 10), (2, 3, 2, 2), (300, 300, 300, 10)):
        spec = ForwardSpec(sizes)
        kernel = NumbaSimdParallelKernel(spec, seeded(spec))
        threads = kernel.describe()["threads"]
        if threads == 1:
            pytest.skip("one thread")
        rows = kernel.describe()["serial_below_rows"]
        assert spec.flop(rows) >= threads * FLOP_PER_THREAD > spec.flop(rows - 1)
        assert kernel._parallel_rows == rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 3, 8, 13, 50])
def test_any_height_of_tile_may_skip_together(rows, dtype):
    """Which one does is data of the plan, and differs between processors."""
    spec = ForwardSpec((70, 50, 7), dtype=dtype)
    params, generator = seeded(spec), np.random.default_rng(0)
    x = (generator.random((rows, 70)) * (generator.random((rows, 70)) < 0.3)).astype(dtype)
    kernel, dense = NumbaSimdSparseKernel(spec, params), NumbaSimdKernel(spec, params)
    assert kernel._network.plan[packing.GROUP_ROWS] == kernel._shape.group == kernel.describe()["group_rows"]
    for group in kernel._shape.ladder:
        kernel._network.plan[packing.GROUP_ROWS] = group
        np.testing.assert_allclose(kernel.forward(x), dense.forward(x), rtol=1e-5, atol=1e-7)


def test_what_describe_says():
    serial, parallel, sparse = (cls(MNIST, seeded(MNIST)).describe() for cls in KERNELS[:3])
    assert serial["isa"] in ("avx512", "avx2", "sse2", "neon", "generic")
    assert serial["threads"] == sparse["threads"] == 1
    assert (serial["skips_work"], sparse["skips_work"]) == (False, True)
    assert parallel["threading_layer"] in ("omp", "tbb", "workqueue")
    if serial["isa"] == "avx512":
        assert (serial["tile"], serial["layer_tiles"]) == ("8x48", "3+dot(2) | 3+2+2 | 1")


def test_probe_says_why_not(monkeypatch):
    NumbaSimdKernel.probe()
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    with pytest.raises(KernelUnavailable, match="NUMBA_DISABLE_JIT"):
        NumbaSimdKernel.probe()


@kernels
@pytest.mark.parametrize("sizes", [(80, 50), (80, 96, 7), (80, 2), (80, 52, 3)], ids=str)
def test_around_the_share_from_which_on_nothing_is_skipped(kernel_class, sizes):
    """Tiles of one batch on both sides of it, with single columns and without."""
    spec = ForwardSpec(sizes, output="identity")
    params, x = seeded(spec), np.random.default_rng(0).random((64, 80), np.float32)
    for i in range(64):
        x[i, : i // 8 * 4] = 0
    agree(kernel_class(spec, params), params, x)
    agree(kernel_class(spec, params), params, x, singly=True)
