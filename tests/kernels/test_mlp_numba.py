"""The Numba kernels: any specification, buffers, threads, bad input. What they compile to: test_numba_compiled.py."""

import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.kernels import reference
from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_numba import FLOP_PER_THREAD, NumbaKernel, NumbaParallelKernel, pack
from mlpbench.kernels.numba_jit import loops
from mlpbench.kernels.numba_jit.target import PANEL, TILE_ROWS
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.divided import divided
from support.specs import specs

Divided = divided(NumbaParallelKernel)
KERNELS = [NumbaKernel, NumbaParallelKernel, Divided]
kernels = pytest.mark.parametrize("kernel_class", KERNELS)

#: Around every block and tile: a row alone, rows left over, more than one block.
ROWS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 34, 63, 65, 97])


@kernels
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), spec=specs(max_size=140), rows=ROWS, seed=st.integers(0, 9))
def test_any_specification(kernel_class, data, spec, rows, seed):
    params = seeded(spec, seed)
    kernel = kernel_class(spec, params)
    scale = data.draw(st.sampled_from([0.0, 1.0, 30.0]))
    x = (scale * np.random.default_rng(seed).standard_normal((rows, spec.n_in))).astype(spec.dtype)
    agree(kernel, params, x)
    agree(kernel, params, x[: rows // 2 + 1] + 1)
    agree(kernel, params, x, singly=True, rows=2)


@kernels
@pytest.mark.parametrize("sizes", [(784, 50, 100, 10), (1, 1), (300, 1, 200), (65, 64, 63, 129), (200, 1000)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gate(kernel_class, sizes, dtype):
    for hidden in ("sigmoid", "relu"):
        assert check(kernel_class, ForwardSpec(sizes, hidden, dtype=dtype)).max_error_ratio < 0.5


@kernels
@pytest.mark.parametrize("hidden", ["sigmoid", "relu", "step"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_row_and_go_where_the_formula_puts_them(kernel_class, hidden, bad):
    """The padding of the panels must not turn an infinity into NaN, nor swallow a NaN."""
    spec = ForwardSpec((7, 5, 3), hidden, "identity")
    params = seeded(spec)
    x = np.random.default_rng(0).random((9, 7), np.float32)
    x[4, 2] = bad
    with np.errstate(invalid="ignore"):
        expected = reference.forward(spec, params, x)
    got = kernel_class(spec, params).forward(x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert np.isfinite(np.delete(got, 4, axis=0)).all()


@kernels
def test_a_nan_among_the_weights_shows(kernel_class):
    spec = ForwardSpec((7, 5, 3), "relu", "softmax")
    params = seeded(spec)
    params.weights[0][2, 1] = np.nan
    assert np.isnan(kernel_class(spec, params).forward(np.ones((6, 7), np.float32))).all()


@kernels
def test_a_result_is_not_stale_and_buffers_follow_the_batch(kernel_class):
    params = seeded(MNIST)
    kernel = kernel_class(MNIST, params)
    x = np.random.default_rng(0).random((300, 784), np.float32)
    whole = kernel.forward(x).copy()
    for rows in (300, 10, 11, 1, 299):
        assert kernel.forward(x[:rows]) == pytest.approx(whole[:rows], abs=1e-6)
        assert kernel.forward(x[-rows:]) == pytest.approx(whole[-rows:], abs=1e-6)
    assert kernel.forward_one(x[5]) == pytest.approx(whole[5], abs=1e-6)


@kernels
def test_it_takes_what_may_not_be_written_to(kernel_class):
    """Arrays from files and from other libraries are often read-only; no second version is compiled for them."""
    kernel = kernel_class(MNIST, seeded(MNIST))
    x = np.random.default_rng(0).random((40, 784), np.float32)
    expected = kernel.forward(x).copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(kernel.forward(x), expected)
    np.testing.assert_array_equal(kernel.forward_one(x[3]), kernel.forward(x[3:4])[0])
    assert len(loops.compiled("float32", parallel=False).signatures) == 1


@kernels
@pytest.mark.parametrize(
    "x",
    [np.zeros((3, 783), "f"), np.zeros((3, 784)), np.zeros((784, 3), "f").T, [[0.0] * 784]],
    ids=["n_in", "d", "F", "l"],
)
def test_what_it_was_not_compiled_for_is_refused_and_not_read_out_of_bounds(kernel_class, x):
    with pytest.raises((ValueError, TypeError)):
        kernel_class(MNIST, seeded(MNIST)).forward(x)


def test_parallel_and_serial_rows_are_the_same_to_the_bit():
    params = seeded(MNIST)
    x = np.random.default_rng(0).random((203, 784), np.float32)
    serial, divided = NumbaKernel(MNIST, params).forward(x), Divided(MNIST, params).forward(x)
    # A row that is left over alone is summed by the other loop, and so rounds otherwise.
    np.testing.assert_array_equal(serial[:200], divided[:200])


def test_threads_are_used_from_the_same_work_on_for_any_specification():
    for sizes in ((784, 50, 100, 10), (2, 3, 2, 2), (784, 1024, 1024, 10)):
        spec = ForwardSpec(sizes)
        kernel = NumbaParallelKernel(spec, seeded(spec))
        threads = kernel.describe()["threads"]
        if threads == 1:
            pytest.skip("one thread")
        rows = kernel.describe()["serial_below_rows"]
        assert spec.flop(rows) >= threads * FLOP_PER_THREAD > spec.flop(rows - 1)
        assert kernel._divides(rows)
        assert not kernel._divides(rows - 1)


def test_what_describe_says():
    serial, parallel = (cls(MNIST, seeded(MNIST)).describe() for cls in (NumbaKernel, NumbaParallelKernel))
    assert serial["threads"] == 1
    assert serial["fastmath"] == "contract"
    assert serial["vector_bytes"] in (16, 32, 64)
    assert serial["tile"].startswith(f"{TILE_ROWS}x")
    assert parallel["threading_layer"] in ("omp", "tbb", "workqueue")
    assert parallel.keys() - serial.keys() == {"threading_layer", "serial_below_rows"}


def test_instances_do_not_share_buffers():
    params, x = seeded(MNIST), np.random.default_rng(0).random((64, 784), np.float32)
    expected = NumbaKernel(MNIST, params).forward(x).copy()
    wrong = []

    def work(kernel, rows):
        wrong.extend(rows for _ in range(50) if not np.allclose(kernel.forward(x[rows]), expected[rows], atol=1e-6))

    pairs = [(NumbaKernel(MNIST, params), slice(start, start + 30)) for start in (0, 17, 34)]
    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@settings(max_examples=50, deadline=None, derandomize=True)
@given(specs(max_size=200))
def test_packing_keeps_every_weight_once_and_pads_with_zeros(spec):
    params = seeded(spec)
    packed = pack(spec, params)
    assert packed.ctypes.data % 64 == 0
    row = 0
    for W, b in zip(params.weights, params.biases, strict=True):
        for left in range(0, W.shape[1], PANEL):
            columns = min(PANEL, W.shape[1] - left)
            np.testing.assert_array_equal(packed[row, :columns], b[left : left + columns])
            np.testing.assert_array_equal(packed[row + 1 : row + 1 + len(W), :columns], W[:, left : left + columns])
            assert not packed[row : row + 1 + len(W), columns:].any()
            row += 1 + len(W)
    assert row == len(packed)


def test_probe_says_why_not(monkeypatch):
    NumbaKernel.probe()
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    with pytest.raises(KernelUnavailable, match="NUMBA_DISABLE_JIT"):
        NumbaKernel.probe()


def test_probe_passes_the_words_of_an_import_that_fails(monkeypatch, tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.4 or less. Got NumPy 9.9.')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "numba")
    with pytest.raises(KernelUnavailable, match="Numba needs NumPy"):
        NumbaKernel.probe()
