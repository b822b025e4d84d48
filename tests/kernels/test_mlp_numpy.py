"""The NumPy kernels: `numpy-out` keeps its buffers, and makes no array of the size of a layer."""

import tracemalloc

import numpy as np
import pytest

from mlpbench.kernels.mlp_numpy import NumpyKernel, NumpyOutKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec


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
