"""The NumPy kernels: `numpy-out` keeps its buffers, copies nothing in secret, and is one thread's own."""

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.kernels.conformance import agree
from mlpbench.kernels.mlp_numpy import NumpyKernel, NumpyOutKernel
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.specs import specs


@pytest.mark.parametrize("kernel_class", [NumpyKernel, NumpyOutKernel])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(spec=specs(max_size=140), rows=st.sampled_from([1, 2, 3, 7, 33]), seed=st.integers(0, 9))
def test_any_specification(kernel_class, spec, rows, seed):
    params = seeded(spec, seed)
    kernel = kernel_class(spec, params)
    x = np.random.default_rng(seed).standard_normal((rows, spec.n_in)).astype(spec.dtype)
    agree(kernel, params, x)
    agree(kernel, params, x[: rows // 2 + 1] + 1)
    agree(kernel, params, x, singly=True, rows=2)


def test_buffers_are_used_again_and_grow_to_the_largest_batch():
    kernel = NumpyOutKernel(MNIST, seeded(MNIST))
    x = np.random.default_rng(0).random((300, 784), np.float32)
    largest = kernel.forward(x)
    whole = largest.copy()
    for rows in (300, 10, 11, 1, 299):
        y = kernel.forward(x[-rows:])
        assert np.shares_memory(y, largest)
        assert y.flags.c_contiguous
        assert y == pytest.approx(whole[-rows:], abs=3e-6)
    one = kernel.forward_one(x[5])
    assert np.shares_memory(one, kernel.forward_one(x[6]))
    assert not np.shares_memory(one, largest), "a single result is not overwritten by a batch"


@pytest.mark.parametrize("hidden", ["sigmoid", "relu", "step"])
@pytest.mark.parametrize("output", ["softmax", "identity"])
def test_a_call_allocates_no_array_of_the_size_of_a_layer(hidden, output):
    """NumPy tells tracemalloc of its arrays. Softmax needs two of (batch, 1), a comparison 8 KiB of buffer."""
    rows, spec = 5000, ForwardSpec((60, 50, 40, 30), hidden, output)
    x = np.random.default_rng(0).random((rows, 60), np.float32)

    def peak(kernel):
        kernel.forward(x)
        tracemalloc.start()
        try:
            kernel.forward(x)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    smallest = rows * 30 * 4
    assert peak(NumpyOutKernel(spec, seeded(spec))) < smallest / 5
    assert peak(NumpyKernel(spec, seeded(spec))) > smallest, "what makes temporary arrays is seen"


def test_an_instance_for_each_thread_is_enough():
    params, x = seeded(MNIST), np.random.default_rng(0).random((64, 784), np.float32)
    expected = NumpyOutKernel(MNIST, params).forward(x).copy()
    wrong = []

    def work(kernel, rows):
        for _ in range(50):
            if not np.allclose(kernel.forward(x[rows]), expected[rows], atol=1e-6):
                wrong.append(rows)
            if not np.allclose(kernel.forward_one(x[rows.start]), expected[rows.start], atol=1e-6):
                wrong.append(rows.start)

    pairs = [(NumpyOutKernel(MNIST, params), slice(start, start + 30)) for start in (0, 17, 34)]
    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
