"""The vector kernels err no more than NumPy does, whose BLAS adds in parts: one long sum would err by twice as much.

float32 alone: the reference is float64 itself. The largest of a few errors is a matter of luck: 20,000 outputs leave
little to it.
"""

import numpy as np
import pytest

from mlpbench.kernels import reference
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.contestants import divided


@pytest.mark.parametrize("n_out", [10, 64, 300])
@pytest.mark.parametrize("n_in", [50, 384, 784, 2000, 4099])
def test_sums_of_any_length_err_at_most_1_5_times_numpys(n_in, n_out):
    spec = ForwardSpec((n_in, n_out), output="identity")
    params, x = seeded(spec, 1), np.random.default_rng(2).random((20_000 // n_out, n_in), np.float32)
    expected = reference.forward(spec, params, x)
    numpys = np.abs(NumpyKernel(spec, params).forward(x) - expected)
    for kernel_class in (NumbaSimdKernel, divided(NumbaSimdParallelKernel), NumbaSimdSparseKernel):
        ours = np.abs(kernel_class(spec, params).forward(x) - expected)
        assert ours.max() <= 1.5 * numpys.max()
        assert np.sqrt(np.square(ours).mean()) <= 1.25 * np.sqrt(np.square(numpys).mean())
