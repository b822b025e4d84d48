"""The kernels with explicit vectors: skipped zeros, errors of sums and activations, far networks, divided columns."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.kernels import reference
from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.numba_simd.passes import packing
from mlpbench.kernels.params import Params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import by_columns, divided, specs

Divided, ByColumns = divided(NumbaSimdParallelKernel), by_columns(NumbaSimdParallelKernel)
KERNELS = [NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel, Divided]
kernels = pytest.mark.parametrize("kernel_class", KERNELS)
pytestmark = pytest.mark.usefixtures("one_program")


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
def test_it_writes_nothing_beside_the_output(kernel_class):
    kernel = kernel_class(MNIST, seeded(MNIST))
    x = np.random.default_rng(0).random((41, 784), np.float32)
    expected = kernel.forward(x).copy()
    guarded = np.full((43, 10), -7, np.float32)
    kernel._network.write_to(guarded[1:42])
    kernel._serial(x, kernel._address)
    assert (guarded[[0, 42]] == -7).all()
    assert guarded[1:42] == pytest.approx(expected, abs=3e-6)


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


@pytest.mark.parametrize("n_out", [10, 64, 300])
@pytest.mark.parametrize("n_in", [50, 384, 784, 2000, 4099])
def test_sums_of_any_length_err_at_most_1_5_times_numpys(n_in, n_out):
    """Whose BLAS adds in parts; the largest of a few errors is a matter of luck, of 20,000 outputs hardly."""
    spec = ForwardSpec((n_in, n_out), output="identity")
    params, x = seeded(spec, 1), np.random.default_rng(2).random((20_000 // n_out, n_in), np.float32)
    expected = reference.forward(spec, params, x)
    numpys = np.abs(NumpyKernel(spec, params).forward(x) - expected)
    for kernel_class in (NumbaSimdKernel, Divided, NumbaSimdSparseKernel):
        ours = np.abs(kernel_class(spec, params).forward(x) - expected)
        assert ours.max() <= 1.5 * numpys.max()
        assert np.sqrt(np.square(ours).mean()) <= 1.25 * np.sqrt(np.square(numpys).mean())


def activated(kernel_class, hidden, x):
    """Return what an activation makes of each number: one neuron with weight 1, behind one with weight 1."""
    spec = ForwardSpec((1, 1, 1), hidden, "identity", str(x.dtype))
    kernel = kernel_class(spec, Params((np.ones((1, 1)),) * 2, (np.zeros(1),) * 2))
    return kernel.forward(np.ascontiguousarray(x[:, None]))[:, 0].copy()


#: The errors that vector kernels state, in units in the last place: for every x, and how many more where x < 0.
STATED = {
    "sigmoid": lambda x: 3 + 0.25 * np.maximum(-x, 0),
    "tanh": lambda x: 1.9 + 0 * x,
    "silu": lambda x: 3 + 0.25 * np.maximum(-x, 0),
    "gelu": lambda x: 6 + np.minimum(x, 0) ** 2 / 2,
}
#: Where results are no denormals, and exp(-x) is finite.
RANGES = {"sigmoid": (-80, 20), "tanh": (-104, 104), "silu": (-86, 104), "gelu": (-12.5, 13)}


@kernels
@pytest.mark.parametrize("hidden", STATED)
def test_float32_errs_by_at_most_what_is_stated_and_minus_infinity_has_the_limit(kernel_class, hidden):
    rng = np.random.default_rng(1)
    spread = [rng.uniform(*RANGES[hidden], 60_000), rng.uniform(-2, 2, 60_000), 10.0 ** rng.uniform(-30, 0, 9_000)]
    x = np.concatenate(spread).astype(np.float32)
    exact = reference.HIDDEN[hidden](x)
    ulps = np.abs(activated(kernel_class, hidden, x) - exact) / np.spacing(np.abs(exact).astype(np.float32))
    assert (ulps <= STATED[hidden](x)).all()
    low = activated(kernel_class, hidden, np.float32([-np.inf]))
    np.testing.assert_allclose(low, [-1 if hidden == "tanh" else 0], atol=1e-37)


def normal(x):
    """Return Phi(x) = erfc(-x / sqrt(2)) / 2. What rounding erfc's argument does is taken out, to first order."""
    argument = -x / np.sqrt(np.longdouble(2))
    rounded = argument.astype(np.float64)
    slope = 2 / np.sqrt(np.longdouble(np.pi)) * np.exp(-argument * argument)
    return (np.array([math.erfc(value) for value in rounded]) - slope * (argument - rounded)) / 2


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="no long double here to compare float64 with")
def test_float64_errs_by_at_most_what_is_stated():
    x = np.concatenate([np.random.default_rng(1).uniform(-36, 36, 20_000), np.linspace(-1, 1, 20_001)])
    wide = x.astype(np.longdouble)
    exact = {"sigmoid": 1 / (1 + np.exp(-wide)), "tanh": np.tanh(wide)}
    exact |= {"silu": wide * exact["sigmoid"], "gelu": wide * normal(wide)}
    for hidden, stated in STATED.items():
        allowed = stated(x) + (3 if hidden == "gelu" else 0)  # that of the C library's erfc
        error = np.abs(activated(NumbaSimdKernel, hidden, x) - exact[hidden])
        assert (error <= allowed * np.spacing(np.abs(exact[hidden]).astype(np.float64))).all(), hidden


# Networks that exceed the second-level cache, and columns divided among threads: the same results, to the bit

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
    assert [kind(spec, seeded(spec))._far for kind, spec in kinds] == [False, True, False]


def test_a_batch_of_several_blocks_and_a_result_that_is_not_stale():
    spec = ForwardSpec((700, 800, 40))
    params = seeded(spec)
    kernel, serial = ByColumns(spec, params), NumbaSimdKernel(spec, params)
    x = np.random.default_rng(0).random((301, 700), np.float32)
    assert packing.block_rows(spec, kernel._shape) < 301
    for part in (x, x[:10], x[5:300], x[:1], x):
        np.testing.assert_array_equal(kernel.forward(part), serial.forward(part))
    np.testing.assert_array_equal(kernel.forward_one(x[0]), serial.forward_one(x[0]))
