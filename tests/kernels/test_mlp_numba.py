"""The Numba kernels: threads, packing, probes. What they compile to: numba_jit/test_loops.py."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings

from mlpbench.kernels import mlp_numba, mlp_numba_simd
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_numba import NumbaKernel, NumbaParallelKernel, pack
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel
from mlpbench.kernels.numba_jit import loops
from mlpbench.kernels.numba_jit.target import PANEL, TILE_ROWS
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import divided, specs

Divided = divided(NumbaParallelKernel)


def test_read_only_inputs_have_no_code_of_their_own():
    kernel = NumbaKernel(MNIST, seeded(MNIST))
    x = np.random.default_rng(0).random((40, 784), np.float32)
    expected = kernel.forward(x).copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(kernel.forward(x), expected)
    assert len(loops.compiled("float32").signatures) == 1


def test_parallel_and_serial_rows_are_the_same_to_the_bit():
    params = seeded(MNIST)
    x = np.random.default_rng(0).random((203, 784), np.float32)
    serial, divided = NumbaKernel(MNIST, params).forward(x), Divided(MNIST, params).forward(x)
    # A row that is left over alone is summed by the other loop, and so rounds otherwise.
    np.testing.assert_array_equal(serial[:200], divided[:200])


@pytest.mark.parametrize("module", [mlp_numba, mlp_numba_simd])
def test_threads_are_used_from_the_same_work_on_for_any_specification(module):
    parallel = mlp_numba.NumbaParallelKernel if module is mlp_numba else mlp_numba_simd.NumbaSimdParallelKernel
    for sizes in ((784, 50, 100, 10), (2, 3, 2, 2), (300, 300, 300, 10)):
        spec = ForwardSpec(sizes)
        kernel = parallel(spec, seeded(spec))
        threads = kernel.describe()["threads"]
        if threads == 1:
            pytest.skip("one thread")
        rows = kernel.describe()["serial_below_rows"]
        assert spec.flop(rows) >= threads * module.FLOP_PER_THREAD > spec.flop(rows - 1)
        assert kernel._parallel_rows == rows


def test_what_describe_says():
    serial, parallel = (cls(MNIST, seeded(MNIST)).describe() for cls in (NumbaKernel, NumbaParallelKernel))
    assert serial["threads"] == 1
    assert serial["fastmath"] == "contract"
    assert serial["vector_bytes"] in (16, 32, 64)
    assert serial["tile"].startswith(f"{TILE_ROWS}x")
    assert parallel["threading_layer"] in ("omp", "tbb", "workqueue")
    assert parallel.keys() - serial.keys() == {"threading_layer", "serial_below_rows"}


@settings(max_examples=50)
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


@pytest.mark.parametrize("kernel_class", [NumbaKernel, NumbaSimdKernel])
def test_probe_says_why_not(monkeypatch, kernel_class):
    kernel_class.probe()
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    with pytest.raises(KernelUnavailable, match="NUMBA_DISABLE_JIT"):
        kernel_class.probe()


def test_probe_passes_the_words_of_an_import_that_fails(monkeypatch, tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.4 or less. Got NumPy 9.9.')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "numba")
    with pytest.raises(KernelUnavailable, match="Numba needs NumPy"):
        NumbaKernel.probe()
