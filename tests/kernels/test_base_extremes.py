"""NaN, infinity, denormals, logits of 1e4, large activations, no rows at all: all our kernels give one answer."""

import numpy as np
import pytest

from mlpbench.kernels import reference
from mlpbench.kernels.params import Params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import OURS, available, computed, computed_singly

every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(params=OURS)
def kernel_class(request):
    return available(request.param)


def hold(kernel, x, expected, **tolerance):
    """Compare the outputs of a batch, and of one row at a time, with what is expected; return those of the batch."""
    with np.errstate(over="ignore", invalid="ignore"):  # NumPy's kernels let exp overflow, as they say
        batch, singly = computed(kernel, x), computed_singly(kernel, x)
    np.testing.assert_allclose(batch, expected, **tolerance)
    np.testing.assert_allclose(singly, expected, **tolerance)
    return batch


def diagonal(spec, value=1.0):
    """Return parameters with ``value`` on the diagonals, so that sums are known, and no bias."""
    return Params(
        tuple(value * np.eye(*shape) for shape in spec.layers), tuple(np.zeros(n_out) for _, n_out in spec.layers)
    )


@pytest.mark.parametrize("hidden", ["sigmoid", "relu", "step"])
@pytest.mark.parametrize("sizes", [(7, 5, 3), (70, 50, 3)], ids=str)
def test_nan_and_infinity_stay_in_their_row_and_go_where_the_formula_puts_them(kernel_class, hidden, sizes):
    """The padding of panels and tiles must not turn an infinity into NaN, nor swallow a NaN."""
    spec = ForwardSpec(sizes, hidden, "identity")
    params = seeded(spec)
    kernel = kernel_class(spec, params)
    x = np.random.default_rng(0).random((13, sizes[0]), np.float32)
    for bad in (np.nan, np.inf, -np.inf):
        x[4, 2] = bad
        with np.errstate(invalid="ignore"):
            expected = reference.forward(spec, params, x)
        y = hold(kernel, x, expected, rtol=1e-5, atol=2e-5)
        assert np.isfinite(np.delete(y, 4, axis=0)).all()


@pytest.mark.parametrize("where", [(2, 1), (2, 49)], ids=["in a tile", "in a single column"])
def test_a_nan_among_the_weights_shows(kernel_class, where):
    spec = ForwardSpec((70, 50, 3), "relu", "softmax")
    params = seeded(spec)
    params.weights[0][where] = np.nan
    assert np.isnan(computed(kernel_class(spec, params), np.ones((6, 70), np.float32))).all()


@every_dtype
def test_logits_of_1e4_and_probabilities_down_to_the_denormals(kernel_class, dtype):
    n = 70  # more than a panel of columns, no multiple of a vector
    spec = ForwardSpec((n, n), output="softmax", dtype=dtype)
    x = np.zeros((5, n), dtype)
    x[0, 69], x[1, 0], x[2, :] = 1e4, -1e4, -1e4
    x[3, 1:], x[4] = -90.0, np.linspace(-104, 0, n)
    rtol = 1e-5 if dtype == "float32" else 1e-13
    y = hold(kernel_class(spec, diagonal(spec)), x, reference.softmax(x), rtol=rtol, atol=1e-44)
    np.testing.assert_array_equal(y[0], np.eye(n)[69])


@every_dtype
def test_the_ends_of_sigmoid(kernel_class, dtype):
    """One input for one neuron: beside it, an infinity would be multiplied by zero."""
    spec = ForwardSpec((1, 1, 1), "sigmoid", "identity", dtype)
    x = np.array([[-1e4], [1e4], [-1e30], [1e30], [-np.inf], [np.inf], [0], [np.nan]], dtype)
    expected = [[0], [1], [0], [1], [0], [1], [0.5], [np.nan]]
    smallest = 1.2e-38 if dtype == "float32" else 1e-300  # what the vector kernels have for 0
    hold(kernel_class(spec, diagonal(spec)), x, expected, rtol=1e-7, atol=smallest)


@pytest.mark.parametrize(("dtype", "tiny"), [("float32", 1e-38), ("float64", 1e-307)])
def test_denormal_inputs_and_weights(kernel_class, dtype, tiny):
    spec = ForwardSpec((40, 50), output="identity", dtype=dtype)
    weights = Params((np.full((40, 50), 1e-3, dtype),), (np.zeros(50),))
    x = np.full((9, 40), 1e-3 * tiny, dtype)
    x[:, 0] = 100 * tiny
    assert 1e-3 * tiny < np.finfo(dtype).tiny
    hold(kernel_class(spec, weights), x, np.full((9, 50), 0.1 * tiny), rtol=1e-3)
    swapped = Params((np.full((40, 50), tiny / 80, dtype),), (np.zeros(50),))
    expected = np.full((9, 50), 20 * float(swapped.weights[0][0, 0]))
    hold(kernel_class(spec, swapped), np.full((9, 40), 0.5, dtype), expected, rtol=1e-3)


@every_dtype
def test_large_activations(kernel_class, dtype):
    """Sums of 1e30, which softmax turns into certainty and not into NaN."""
    for output in ("identity", "softmax"):
        spec = ForwardSpec((33, 35, 20), "relu", output, dtype)
        params = seeded(spec)
        large = Params(tuple(1e15 * W for W in params.weights), tuple(1e15 * b for b in params.biases)).astype(dtype)
        x = np.random.default_rng(0).random((11, 33)).astype(dtype)
        expected = reference.forward(spec, large, x)
        y = hold(kernel_class(spec, large), x, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        assert output == "identity" or y.max(axis=1).tolist() == [1.0] * 11


def test_sums_beyond_the_largest_float_are_infinite_and_spoil_no_other_row(kernel_class):
    spec = ForwardSpec((20, 20, 20), "relu", "identity")
    x = np.ones((7, 20), np.float32)
    x[2, 3], x[5, 4] = 1e30, -1e30
    weights = diagonal(spec, 1e10)
    with np.errstate(over="ignore", invalid="ignore"):
        y = kernel_class(spec, Params(tuple(W + 1e-3 for W in weights.weights), weights.biases)).forward(x)
    assert np.isinf(y[2]).all()
    np.testing.assert_allclose(np.delete(y, [2, 5], axis=0), y[0:1].repeat(5, axis=0), rtol=1e-6)
    assert np.isfinite(np.delete(y, 2, axis=0)).all()


@every_dtype
def test_a_batch_of_no_rows(kernel_class, dtype):
    spec = ForwardSpec(MNIST.sizes, dtype=dtype)
    kernel = kernel_class(spec, seeded(spec))
    x = np.random.default_rng(0).random((5, 784)).astype(dtype)
    expected = kernel.forward(x).copy()
    empty = kernel.forward(x[:0])
    assert (empty.shape, empty.dtype) == ((0, 10), dtype)
    np.testing.assert_array_equal(kernel.forward(x), expected)
